"""A device out of memory and unusable vectors: the task stops and is named, the rest of the run goes on."""

import re
import shutil
from array import array
from typing import ClassVar

import pytest
import torch
from faults import scores, stored
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from qzhou_eval import Embedder, cli
from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.encode.shard_writer import EncodeError, write_shards
from qzhou_eval.encode.store import Store, prompt_key
from qzhou_eval.model.encoded import Encoded
from qzhou_eval.model.forward import Forward
from qzhou_eval.model.tokenizer import Tokenized
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.run.plan import plan_task

RARE = "火车"  # a token of MiniSTS that MiniRetrieval does not have
TEXTS = [f"第{n}句话" * (1 + n % 7) for n in range(60)]


def command(model, output, *tasks) -> list[str]:
    what = ["run", "--model_name_or_path", str(model), "--profile", "qzhou-zh-mini", "--tasks", *tasks, "--dim", "16"]
    return [*what, "--device", "cpu", "--eval_workers", "1", "--output_dir", str(output)]


def prompts_of(task: str) -> list[str]:
    task = packaged_tasks()[task]
    return plan_task(task, locate(task, None), load_profile("qzhou-zh-mini"), use_instruction=True).prompts


@pytest.fixture
def room_for(monkeypatch):
    """A device with room for so many tokens per batch or prompt; above that, torch's own error, as on a GPU."""
    real = Forward.__call__
    tried = []

    def fill(limit: int, *, of: str = "tokens") -> list[int]:
        def call(self, batch, *args, **how):
            tried.append(batch.tokens)
            if getattr(batch, of) > limit:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return real(self, batch, *args, **how)

        monkeypatch.setattr(Forward, "__call__", call)
        return tried

    return fill


@pytest.mark.parametrize("attention", ["packed", "padded"])
def test_a_full_device_halves_its_batches_and_gives_the_same_vectors(tiny, room_for, caplog, attention):
    model = Embedder.from_pretrained(
        str(tiny), profile="qzhou-zh", device="cpu", batch_tokens=1024, attention=attention
    )
    expected = model.encode(TEXTS)
    tried = room_for(300)
    assert abs(model.encode(TEXTS) - expected).max() < 1e-5
    refused = [tokens for tokens in tried if tokens > 300]
    assert len(refused) == {"packed": 2, "padded": 1}[attention]  # halved until it fits, then no other size is tried
    said = [line for line in caplog.messages if "out of memory" in line]
    assert said == [
        f"the device is out of memory at {tokens} tokens in a batch; continuing with at most {tokens // 2}"
        for tokens in refused
    ]
    assert model.made_with["batch_plan"] == f"longest first, up to {refused[-1] // 2} tokens"


@pytest.mark.slow
def test_a_prompt_that_does_not_fit_alone_stops_its_task_and_no_other(tiny, tmp_path, room_for, caplog):
    room_for(40, of="longest")  # prompts of MiniSTS have up to 33 tokens, those of MiniClassification up to 45
    assert cli.main(command(tiny, tmp_path, "MiniClassification", "MiniSTS")) == cli.EXIT_FAILED_TASKS
    reason = r"MiniClassification: the device is out of memory: a single prompt of \d+ tokens does not fit"
    assert re.search(reason, caplog.text)
    assert [place.split("/")[-1] for place in scores(tmp_path)] == ["MiniSTS.json"]


@pytest.fixture(scope="module")
def with_nan(tiny, tmp_path_factory):
    """A real checkpoint with one damaged row of embeddings."""
    folder = shutil.copytree(tiny, tmp_path_factory.mktemp("nan") / "tiny")
    tensors = load_file(folder / "model.safetensors")
    (row,) = AutoTokenizer.from_pretrained(tiny)(RARE)["input_ids"]
    (name,) = [name for name in tensors if name.endswith("embed_tokens.weight")]
    tensors[name][row] = float("nan")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.mark.slow
def test_nan_stops_the_task_names_the_first_bad_prompt_and_the_others_are_right(
    with_nan, tiny, tmp_path, caplog, capfd
):
    assert cli.main(command(tiny, tmp_path / "good", "MiniRetrieval", "MiniSTS")) == 0
    capfd.readouterr()
    caplog.clear()
    bad = command(with_nan, tmp_path / "bad", "MiniRetrieval", "MiniSTS")
    assert cli.main(bad) == cli.EXIT_FAILED_TASKS
    key = re.search(r"MiniSTS: the model gave NaN or infinity for prompt (\w{32})$", caplog.text, re.MULTILINE)[1]
    assert key in {prompt_key(prompt).hex() for prompt in prompts_of("MiniSTS") if RARE in prompt}
    (good,) = [s for place, s in scores(tmp_path / "good").items() if place.endswith("MiniRetrieval.json")]
    assert list(scores(tmp_path / "bad").values()) == [good]
    kept = {key for shard in stored(tmp_path / "bad").values() for key in shard}
    assert not kept & {prompt_key(prompt) for prompt in prompts_of("MiniSTS") if RARE in prompt}
    assert caplog.messages[-1] == (
        "1 of 2 tasks failed; what is done is kept; with the cause mended, repeat the command:\n"
        f"  MiniSTS: the model gave NaN or infinity for prompt {key}"
    )


def test_zero_vectors_stop_each_task(tiny, tmp_path, caplog):
    folder = shutil.copytree(tiny, tmp_path / "tiny")
    (dense,) = folder.glob("*Dense/model.safetensors")
    save_file({name: torch.zeros_like(tensor) for name, tensor in load_file(dense).items()}, dense)
    assert cli.main(command(folder, tmp_path / "out", "MiniRetrieval", "MiniSTS")) == cli.EXIT_FAILED_TASKS
    assert len(re.findall(r"failed: Mini\w+: the model gave a zero vector for prompt \w{32}", caplog.text)) == 2
    assert not scores(tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fewer vectors than prompts", "a batch that never comes"])
def test_too_few_rows_stop_the_task(tiny, tmp_path, monkeypatch, caplog, kind):
    stream = Embedder.stream

    def short(self, tokenized):
        for number, done in enumerate(stream(self, tokenized)):
            if kind == "fewer vectors than prompts":
                yield Encoded(done.rows, done.vectors[1:], done.forwarded)
            elif number != 1:
                yield done

    monkeypatch.setattr(Embedder, "stream", short)
    assert cli.main(command(tiny, tmp_path, "MiniSTS")) == cli.EXIT_FAILED_TASKS
    said = {
        "fewer vectors than prompts": r"gave \d+ vectors for \d+ prompts",
        "a batch that never comes": "got no vector",
    }
    assert re.search(rf"MiniSTS: .*{said[kind]}, the first .*\w{{32}}$", caplog.text, re.MULTILINE)
    assert not scores(tmp_path)
    monkeypatch.undo()
    assert cli.main(command(tiny, tmp_path, "MiniSTS")) == 0


@pytest.mark.parametrize("ending", [KeyboardInterrupt, torch.OutOfMemoryError, EncodeError])
def test_whatever_ends_encoding_the_vectors_in_hand_are_written(tmp_path, ending):
    class Ends:
        made_with: ClassVar = {"machine": "any"}

        def ideal_seconds(self, lengths):
            return None

        def stream(self, tokenized):
            yield Encoded([1], torch.ones(1, 4), forwarded=1)
            raise ending

    store = Store(tmp_path, "0f" * 32)
    store.create({})
    keys = [prompt_key("one"), prompt_key("two")]
    with pytest.raises(EncodeError if ending is torch.OutOfMemoryError else ending):
        list(write_shards(Ends(), keys, [Tokenized(array("I", [1]), cut=False)] * 2, store))
    again = Store(tmp_path, "0f" * 32)
    again.refresh()
    assert set(again.keys()) == {keys[1]}


@pytest.mark.slow
def test_a_broken_device_ends_the_run_in_one_line_and_is_no_fault_of_ours(tiny, tmp_path, monkeypatch, capsys):
    def broken(*_):
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        yield

    monkeypatch.setattr("qzhou_eval.encode.stage.write_shards", broken)
    assert cli.main(command(tiny, tmp_path, "MiniSTS", "MiniRetrieval")) == cli.EXIT_FAILED_TASKS
    assert "error: the device failed (CUDA error: an illegal memory access" in capsys.readouterr().err
    assert not (tmp_path / "faults").exists()
