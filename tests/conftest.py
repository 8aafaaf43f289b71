"""Shared fixtures: tiny models that the tests make, the packaged checkpoint, and real data where available."""

import logging
import os
from pathlib import Path

import pytest
import torch
from commands import run_command
from decoders import make_decoder
from kept_processes import KeptProcesses, open_pool
from layouts import new_layout
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import AutoTokenizer

from qzhou_eval import cli
from qzhou_eval.miniature.__main__ import CHECKPOINT
from qzhou_eval.run import processes


def pytest_addoption(parser):
    parser.addoption(
        "--data_root",
        default=os.environ.get("QZHOU_EVAL_DATA"),
        help="folder that holds cmteb/ and cmteb-lookalike/ (default: $QZHOU_EVAL_DATA)",
    )


# Files that take minutes run first, so that no process is left working alone on one of them at the end.
LONG = (
    *("test_real_data", "test_cluster", "test_kills", "test_workers", "test_generations", "test_faults"),
    *("test_rough_weather", "test_full_size"),
)


def pytest_collection_modifyitems(items):
    """Run the files in ``LONG`` first."""
    rank = {f"{name}.py": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.name, len(LONG)))


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Keep every cache in the tests' own folders and never contact a hub."""
    os.environ["QZHOU_EVAL_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_MODULES_CACHE"] = str(tmp_path_factory.mktemp("modules"))  # where subprocesses copy remote code


@pytest.fixture(autouse=True, scope="session")
def kept_processes():
    """Runs of this process use one another's scoring processes: see :mod:`kept_processes`."""
    kept = KeptProcesses()
    processes.process_pool = kept.process_pool
    yield
    processes.process_pool = open_pool
    kept.end()


@pytest.fixture(autouse=True)
def log_level():
    """Undo what ``--quiet`` and ``--verbose`` of a test's own commands set for the whole process."""
    logger = logging.getLogger("qzhou_eval")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.fixture(scope="session")
def data_root(request):
    root = request.config.getoption("--data_root")
    if not root or not Path(root).is_dir():
        pytest.skip("no real evaluation data: give --data_root or QZHOU_EVAL_DATA")
    return Path(root)


@pytest.fixture(scope="session")
def tokenizer():
    """The miniature's tokenizer, which knows Qwen's special tokens."""
    return AutoTokenizer.from_pretrained(CHECKPOINT)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, tokenizer) -> Path:
    """A small random sentence-transformers folder: Qwen3, last-token pooling, projection 64 -> 96."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    decoder = make_decoder("Qwen3", vocab_size=len(tokenizer))
    bare = tmp_path_factory.mktemp("models") / "bare"
    decoder.save_pretrained(bare)
    tokenizer.save_pretrained(bare)
    torch.manual_seed(1)
    modules = [
        Transformer(str(bare)),
        Pooling(64, pooling_mode="lasttoken"),
        Dense(64, 96, bias=True, activation_function=torch.nn.Identity()),
    ]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder), create_model_card=False)
    settings = folder / "tokenizer_config.json"  # a class name that transformers 4 knows too
    settings.write_text(settings.read_text("utf-8").replace("TokenizersBackend", "PreTrainedTokenizerFast"), "utf-8")
    return folder


@pytest.fixture(scope="session")
def official(tmp_path_factory) -> Path:
    """The miniature's rows in the benchmark's own layout: a data folder for one task of each type."""
    return new_layout(tmp_path_factory.mktemp("official"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory, tiny, official) -> Path:
    """A finished run in the published precision at three dimensions. Read-only: copy it before changing anything."""
    output = tmp_path_factory.mktemp("finished") / "out"
    assert cli.main(run_command(tiny, official, output)) == 0
    return output
