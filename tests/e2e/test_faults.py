"""Full disks, read-only stores, two runs at once, damaged files, a clock set back: wrong data are never used."""

import os
import resource
import shutil
import subprocess
from pathlib import Path

import pytest
from faults import TASKS, assert_all_json_is_whole, files, finish, launch, scores, stored

from qzhou_eval import cli
from qzhou_eval.miniature.__main__ import CHECKPOINT

pytestmark = pytest.mark.slow


def command(output, *more: str, verb: str = "run") -> list[str]:
    what = [verb, "--model_name_or_path", str(CHECKPOINT), "--profile", "qzhou-zh-mini", "--tasks", *TASKS]
    where = ["--dim", "128", "1792", "--device", "cpu", "--eval_workers", "1", "--output_dir", str(output)]
    return [*what, *where, *more]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    finish(folder, command(folder / "out"))
    return folder / "out"


@pytest.fixture
def copied(unbroken, tmp_path) -> Path:
    return shutil.copytree(unbroken, tmp_path / "out")


@pytest.fixture
def small_disk(tmp_path):
    """A separate file system of one megabyte, which can be remounted with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True, capture_output=True)

    try:
        mount("size=1500k")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount a file system")
    try:
        yield folder, mount
    finally:
        subprocess.run(["umount", folder], check=True)


def ends_badly(tmp_path, argv: list[str], **options) -> str:
    """Run a command that must end with one line and exit code 2; return that line."""
    process = launch(tmp_path, argv, **options)
    _, said = process.communicate(timeout=300)
    assert process.returncode == cli.EXIT_BAD_INPUT, said
    assert "Traceback" not in said
    return said.splitlines()[-1]


def assert_goes_on(tmp_path, argv: list[str], output: Path, unbroken: Path, before: dict) -> None:
    finish(tmp_path, argv)
    assert before.items() <= stored(output).items()
    assert scores(output) == scores(unbroken)
    assert_all_json_is_whole(output)


def test_a_full_disk_is_one_line_and_with_more_room_the_run_goes_on(small_disk, unbroken, tmp_path):
    disk, mount = small_disk
    argv = command(disk / "out")
    said = ends_badly(tmp_path, argv)
    assert said == (
        f"error: --store_dir {disk}/out/store: cannot write there (No space left on device); "
        "what is done is kept; repeat the command to resume"
    )
    before = stored(disk / "out")
    assert len(before) == 1
    assert not list(disk.rglob(".tmp-*"))
    mount("remount,size=100m")
    assert_goes_on(tmp_path, argv, disk / "out", unbroken, before)


def test_a_quota_is_one_line_and_without_it_the_run_goes_on(unbroken, tmp_path):
    output = tmp_path / "out"
    limit = 600_000  # bytes: a shard is larger, every other file smaller
    said = ends_badly(
        tmp_path, command(output), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    assert f"error: --store_dir {output}/store: cannot write there (File too large)" in said
    assert not list(output.rglob(".tmp-*")) and not stored(output)
    assert_goes_on(tmp_path, command(output), output, unbroken, {})


def test_a_read_only_store_is_refused_before_anything_is_read_and_scored_by_evaluate(small_disk, unbroken, tmp_path):
    disk, mount = small_disk
    mount("remount,size=100m")
    shutil.copytree(unbroken / "store", disk / "store")
    mount("remount,ro")
    where = ["--store_dir", str(disk / "store")]
    said = ends_badly(tmp_path, command(tmp_path / "out", *where))
    assert said == f"error: --store_dir {disk}/store: cannot write there (Read-only file system)"
    assert not (tmp_path / "out").exists()
    finish(tmp_path, command(tmp_path / "out", *where, verb="evaluate"))
    assert scores(tmp_path / "out") == scores(unbroken)


def test_two_runs_at_once_in_one_folder_disturb_neither_each_other_nor_the_results(unbroken, tmp_path):
    output = tmp_path / "out"
    runs = [launch(tmp_path, command(output)) for _ in range(2)]
    for run in runs:
        _, said = run.communicate(timeout=300)
        assert run.returncode == 0, said
    assert scores(output) == scores(unbroken)
    left = {name for name in files(output) if not name.startswith("superseded/")}  # superseded: scored by both runs
    assert left == files(unbroken)
    assert "all 4 results are reused" in finish(tmp_path, command(output))


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_shard_is_set_aside_and_only_its_prompts_are_encoded_again(unbroken, copied, tmp_path, damage):
    shutil.rmtree(copied / "results")
    whole = stored(copied)
    shard = min(copied.glob("store/*/*.safetensors"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content if damage == "flipped" else content[:-1000])
    said = finish(tmp_path, command(copied))
    assert f"{shard.name}: its content does not match its checksum; set aside as {shard.stem}.damaged" in said
    assert f"encoded {len(whole[shard.name])} at" in said
    assert stored(copied).items() >= {name: keys for name, keys in whole.items() if name != shard.name}.items()
    assert scores(copied) == scores(unbroken)


def test_a_cut_manifest_is_named_and_nothing_is_changed(copied, tmp_path):
    manifest = copied / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:1000])
    before = files(copied)
    assert f"error: {manifest}: damaged" in ends_badly(tmp_path, command(copied))
    assert files(copied) == before
    manifest.unlink()
    finish(tmp_path, command(copied))
    assert_all_json_is_whole(copied)


def test_results_from_the_future_are_kept(copied, tmp_path):
    for path in copied.rglob("*"):
        os.utime(path, (4e9, 4e9))
    assert "all 4 results are reused" in finish(tmp_path, command(copied))


def test_a_clock_that_goes_backwards_changes_nothing(unbroken, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import time\nreal = time.time\nstart = real()\ntime.time = lambda: start - 100 * (real() - start)\n"
    )
    path = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    environment = os.environ | {"PYTHONPATH": path, "QZHOU_EVAL_CACHE": str(tmp_path / "cache")}
    finish(tmp_path, command(tmp_path / "out"), env=environment)
    assert scores(tmp_path / "out") == scores(unbroken)
    assert "all 4 results are reused" in finish(tmp_path, command(tmp_path / "out"), env=environment)
