"""Several workers through real Ray: the same vectors and scores as one process, and no worker's death loses any."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import ray
import torch
from faults import TASKS, assert_all_json_is_whole, finish, group_is_gone, launch, scores, stored
from safetensors.torch import load_file, save_file

from qzhou_eval import cli
from qzhou_eval.encode.cluster.resources import connect, worker_resources
from qzhou_eval.encode.cluster.worker import Worker
from qzhou_eval.encode.cluster.worker_pool import WorkerPool
from qzhou_eval.encode.shard_writer import EncodeError
from qzhou_eval.encode.stage import encode, prepare
from qzhou_eval.encode.store import Store, prompt_key
from qzhou_eval.errors import BadInput
from qzhou_eval.miniature.__main__ import CHECKPOINT
from qzhou_eval.model.settings import EncoderOptions
from qzhou_eval.run.config import RunConfig
from qzhou_eval.run.plan import plan_task
from qzhou_eval.run.prepare import prepare_run
from qzhou_eval.system.mteb_version import how_to_install

SCRIPTS = Path(__file__).parents[1] / "support" / "scripts"


def command(output, *more: str) -> list[str]:
    what = ["run", "--model_name_or_path", str(CHECKPOINT), "--profile", "qzhou-zh-mini", "--tasks", *TASKS]
    where = ["--device", "cpu", "--eval_workers", "1", "--batch_tokens", "512", "--output_dir", str(output)]
    return [*what, "--dim", "128", "1792", *where, *more]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The output of one process with one thread, as each worker has."""
    folder = tmp_path_factory.mktemp("alone")
    finish(folder, command(folder / "out"))
    return folder / "out"


def vectors_of(folder: Path) -> dict[bytes, torch.Tensor]:
    store = Store(folder.parent, folder.name)
    store.refresh()
    keys = sorted(store.keys())
    return dict(zip(keys, store.get(keys), strict=True))


def assert_equal(output, *expected) -> None:
    """Check that the vectors are bitwise equal, hence the scores too, and that each prompt is in one shard.

    ``expected`` are outputs of one reading each, which ``output`` has together.
    """
    for one in expected:
        (store,) = (one / "store").iterdir()
        ours, theirs = vectors_of(output / "store" / store.name), vectors_of(store)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
        shards = (output / "store" / store.name).glob("*.safetensors")
        keys = [bytes(key) for shard in shards for key in load_file(shard)["keys"]]
        assert len(keys) == len(set(keys))
    assert len(list((output / "store").iterdir())) == len(expected)
    assert scores(output) == {path: found for one in expected for path, found in scores(one).items()}
    assert_all_json_is_whole(output)


@pytest.mark.slow
def test_a_worker_that_sees_other_weights_or_no_store_is_refused(tiny, tmp_path):
    model = shutil.copytree(tiny, tmp_path / "model")
    config = RunConfig(str(model), tmp_path / "out", profile="qzhou-zh-mini", tasks=["MiniSTS"])
    run = prepare_run(replace(config, options=EncoderOptions(device="cpu")))
    worker = Worker(run.subject.open_encoder, run.subject.readings, tmp_path / "nowhere")
    worker.open()
    with pytest.raises(BadInput, match=r"no store in .*nowhere.*; give a --store_dir that all machines share"):
        worker.encode([b"0" * 16], [], run.subject.readings[0].fingerprint, 0)
    weights = load_file(model / "model.safetensors")
    weights["norm.weight"] *= 1.01
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadInput, match="model differs there in checkpoint; give all machines the same files"):
        worker.open()


def test_without_ray_one_line_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("qzhou_eval.run.subjects.openers.find_spec", lambda name: None)
    assert cli.main(command(tmp_path / "out", "--workers", "2")) == cli.EXIT_BAD_INPUT
    assert capsys.readouterr().err.endswith(f": needs Ray: {how_to_install('ray')}\n")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def in_the_middle(tmp_path):
    """A run with two workers that has written its first shard: its process, its lines on stderr, and a worker's pid."""
    process = launch(tmp_path, command(tmp_path / "out", "--workers", "2"))
    lines = follow(process)
    pid = int(wait_for_line(lines, r"process (\d+): model loaded")[1])
    while not stored(tmp_path / "out"):
        time.sleep(0.02)
    return process, lines, pid


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_is_replaced_and_nothing_is_lost(alone, tmp_path, in_the_middle):
    process, lines, pid = in_the_middle
    os.kill(pid, signal.SIGKILL)
    process.wait(timeout=200)
    said = "\n".join(lines)
    assert process.returncode == 0, said
    assert f"process {pid} died; another is started, and its work is given out again" in said
    assert_equal(tmp_path / "out", alone)


@pytest.mark.slow
def test_killing_the_run_ends_its_workers_and_the_same_command_goes_on(alone, tmp_path, in_the_middle):
    process, _, pid = in_the_middle
    process.kill()
    process.wait()
    assert gone(pid, 30)
    before = stored(tmp_path / "out")
    finish(tmp_path, command(tmp_path / "out", "--workers", "2"))
    assert before.items() <= stored(tmp_path / "out").items()
    assert_equal(tmp_path / "out", alone)


@pytest.mark.slow
def test_an_interrupt_ends_the_workers_within_seconds(in_the_middle):
    process, lines, pid = in_the_middle
    start = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    assert time.monotonic() - start < 15
    assert process.returncode == cli.EXIT_INTERRUPTED
    assert gone(pid, 10) and group_is_gone(process, 10)
    assert [line for line in lines if line][-1] == "interrupted; repeat the command to resume"
    assert "Traceback" not in "\n".join(lines)


@pytest.mark.slow
def test_a_cluster_of_two_nodes_with_a_shared_store_loads_once_for_several_readings(alone, tmp_path):
    """Two Ray nodes on this machine, one core each; the run joins them from outside.

    Each reading's vectors and scores are those of one process that runs that reading alone.
    """
    finish(tmp_path, command(tmp_path / "off", "--token_prepending", "off"))
    script = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    nodes = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        address = next(line.strip() for line in nodes.stdout if re.match(r"[\d.]+:\d+$", line.strip()))
        more = ["--store_dir", str(tmp_path / "out/store"), "--token_prepending", "auto", "off"]
        said = finish(tmp_path, command(tmp_path / "out", "--ray", address, *more))
    finally:
        nodes.communicate(timeout=60)
    assert said.count("model loaded") == 2
    assert_equal(tmp_path / "out", alone, tmp_path / "off")


@pytest.fixture
def two_workers(tmp_path, monkeypatch):
    """Two workers with an encoder of support/scripts/deadly.py, and a function that has them encode some prompts."""
    monkeypatch.setenv("PYTHONPATH", f"{SCRIPTS}:{Path(__file__).parents[2]}")
    monkeypatch.syspath_prepend(SCRIPTS)
    options = EncoderOptions(device="cpu", batch_tokens=256)
    run = prepare_run(RunConfig(str(CHECKPOINT), tmp_path, profile="qzhou-zh-mini", tasks=["MiniSTS"], options=options))
    (task,) = run.tasks
    prompts = plan_task(task, run.sources[task.name], run.subject.profile, use_instruction=True).prompts[:300]
    deadly = [prompt for prompt in prompts if "火车" in prompt]
    prompts = [prompt for prompt in prompts if prompt not in deadly[2:]]  # each costs the start of two workers
    tokenizer = run.subject.open_tokenizer()

    def encode_with(change) -> Store:
        store = Store(run.store_dir, run.subject.readings[0].fingerprint)
        connect(None, 2)
        places = worker_resources("cpu", 2)
        with closing(
            WorkerPool(places, change(run.subject.open_encoder), run.subject.readings, run.store_dir)
        ) as workers:
            encode(prepare(prompts, tokenizer), store, lambda: workers, run.subject.readings[0].identity)
        return store

    (token,) = tokenizer.tokenizer.encode("火车", add_special_tokens=False).ids
    return prompts, token, encode_with, run


@pytest.mark.slow
@pytest.mark.parametrize("breaks", [False, True])
def test_a_batch_that_kills_two_workers_is_set_aside_and_its_prompts_are_named(two_workers, breaks):
    prompts, token, encode_with, run = two_workers
    from deadly import Deadly

    deadly = {prompt_key(prompt) for prompt in prompts if "火车" in prompt}
    assert len(deadly) == 2
    with pytest.raises(EncodeError, match="set aside because they killed two workers") as error:
        encode_with(lambda open_encoder: partial(Deadly, open_encoder, token, breaks=breaks))
    assert not ray.is_initialized()
    named = {bytes.fromhex(key) for key in str(error.value).split(": ")[-1].split()}
    assert deadly <= named
    store = Store(run.store_dir, run.subject.readings[0].fingerprint)
    store.refresh()
    everything = {prompt_key(prompt) for prompt in prompts}
    assert set(store.keys()) == everything - named  # everything outside a deadly batch is stored


@pytest.mark.slow
def test_a_worker_that_cannot_load_the_model_is_left_out(two_workers, tmp_path, caplog):
    prompts, _, encode_with, _ = two_workers
    from deadly import second_alone

    store = encode_with(lambda open_encoder: partial(second_alone, open_encoder, tmp_path))
    assert set(store.keys()) == {prompt_key(prompt) for prompt in prompts}
    assert (
        "cannot load the model (CUDA error: uncorrectable ECC error encountered); continuing with 1 workers"
        in caplog.text
    )


def follow(process) -> list[str]:
    """Collect a process's lines on stderr while it runs."""
    lines: list[str] = []

    def collect() -> None:
        for line in process.stderr:
            lines.append(line.rstrip("\n"))

    for target in (collect, process.stdout.read):
        threading.Thread(target=target, daemon=True).start()
    return lines


def wait_for_line(lines: list[str], pattern: str) -> re.Match:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        for line in list(lines):
            if found := re.search(pattern, line):
                return found
        time.sleep(0.05)
    raise AssertionError("\n".join(lines))


def gone(pid: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False
