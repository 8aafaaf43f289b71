"""Arithmetic compared with what torch counts, and the printed plan compared with counts made here."""

import re
import shutil
from array import array

import pytest
import torch
from decoders import make_decoder
from torch.utils.flop_counter import FlopCounterMode

from qzhou_eval import Embedder, cli
from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import cmteb, miniature, packaged_tasks
from qzhou_eval.miniature.__main__ import CHECKPOINT
from qzhou_eval.model.family import decoder_layers
from qzhou_eval.model.folder.checkpoint import find_checkpoint
from qzhou_eval.model.forward import Forward
from qzhou_eval.model.speed.cost import checkpoint_cost, cost_of
from qzhou_eval.model.speed.time_estimate import EFFICIENCY, PEAKS
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.run.plan import plan_task
from qzhou_eval.run.subjects import openers

TASKS = ["MiniSTS", "MiniRetrieval"]


def products(counter: FlopCounterMode, without: str = "rotary_emb") -> tuple[float, float]:
    """FLOP that torch counted in products of weights, and in products of activations (eager attention, ``bmm``)."""
    counts = {str(op): flops for op, flops in counter.get_flop_counts()["Global"].items()}
    rotary = sum(sum(flops.values()) for module, flops in counter.get_flop_counts().items() if module.endswith(without))
    return counts.get("aten.mm", 0) + counts.get("aten.addmm", 0), counts["aten.bmm"] - rotary


@pytest.mark.parametrize("family", ["Qwen3", "Qwen2", "Llama", "Gemma", "Phi3"])
def test_arithmetic_is_counted_as_torch_counts_it(family):
    """torch counts all pairs of eager attention, this project those that see each other: n (n + 1) / 2 of n * n."""
    model, length = make_decoder(family), 24
    model.config._attn_implementation = "eager"
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, length, dtype=torch.long))
    weights, pairs = products(counter)
    cost = cost_of(model.layers, model.config, None)
    assert cost.per_token * length == weights
    assert cost.per_pair * length**2 == pairs
    assert cost([length]) == weights + pairs * (length + 1) / (2 * length)
    assert cost([length, 0]) == cost([length])


def test_the_projection_is_counted():
    """Packed as in a run. Attention is counted above."""
    model = make_decoder("Qwen3")
    projection = torch.nn.Linear(64, 96).eval()
    forward = Forward(model, projection, device="cpu", max_length=64, attention="packed")
    lengths = [5 + n % 3 for n in range(9)]
    batch = forward.batch(list(range(9)), [list_of(n) for n in lengths])
    with FlopCounterMode(display=False) as counter:
        forward(batch)
    counts = {str(op): flops for op, flops in counter.get_flop_counts()["Global"].items()}
    cost = cost_of(model.layers, model.config, projection)
    assert cost.per_token * sum(lengths) + cost.per_prompt * 9 == counts["aten.mm"] + counts["aten.addmm"]


def list_of(length: int) -> array:
    return array("I", range(3, 3 + length))


def test_without_weights_the_cost_is_that_of_the_loaded_model():
    model = Embedder.from_pretrained(str(CHECKPOINT), profile="qzhou-zh-mini", device="cpu")
    layers = decoder_layers(model.model)
    loaded = cost_of(layers, model.model.config, model.head)
    assert checkpoint_cost(find_checkpoint(str(CHECKPOINT))) == loaded
    ratio = model.ideal_seconds([7, 9]) / model.ideal_seconds([16])
    assert ratio == pytest.approx(loaded([7, 9]) / loaded([16]))


def plan(tiny, output, *more) -> list[str]:
    where = ["--profile", "qzhou-zh-mini", "--output_dir", str(output), "--eval_workers", "1"]
    return ["plan", "--model_name_or_path", str(tiny), *where, "--tasks", *TASKS, *more]


def table(out: str) -> dict[str, list[str]]:
    """The cells of each task's row; two or more spaces separate them."""
    return {line.split()[0]: re.split(r"\s{2,}", line)[1:] for line in out.splitlines() if "  " in line}


def number(cell: str) -> float:
    value, prefix = re.fullmatch(r"([\d.,]+) ?([kMGTPE]?)", cell).groups()
    return float(value.replace(",", "")) * 1000 ** " kMGTPE".index(prefix or " ")


def test_the_plan_prints_what_there_is_to_do(tiny, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("qzhou_eval.run.dry_run.CHEAP_WEIGHTS", 0)
    argv = plan(tiny, tmp_path, "--max_length", "30", "--device", "cpu")
    assert cli.main(argv) == 0
    rows = table(capsys.readouterr().out)
    profile = load_profile("qzhou-zh-mini")
    model = Embedder.from_pretrained(str(tiny), profile="qzhou-zh-mini", device="cpu", max_length=30)
    cost = checkpoint_cost(find_checkpoint(str(tiny)))
    seen: set[str] = set()
    sums = torch.zeros(5)
    for name in TASKS:
        task = packaged_tasks()[name]
        planned = plan_task(task, locate(task, None), profile, use_instruction=True)
        new = [prompt for prompt in planned.prompts if prompt not in seen]
        seen.update(new)
        whole = [len(one.ids) for one in model.tokenize.tokenizer.encode_batch(new, add_special_tokens=False)]
        kept = [min(length, 30) for length in whole]
        cut = sum(length > 30 for length in whole)
        texts, distinct, stored, todo, tokens, prompts_cut, work = rows[name]
        found = [texts, distinct, todo, tokens, prompts_cut]
        expected = [planned.texts, len(new), len(new), sum(kept), cut]
        assert [number(cell) for cell in found] == expected and stored == "0%"
        assert number(work) == pytest.approx(cost(kept), rel=0.01)
        sums += torch.tensor(expected)
    assert 0 < sums[4] < sums[1]
    texts, distinct, _, todo, tokens, cut, _ = rows["total"]
    assert [number(cell) for cell in (texts, distinct, todo, tokens, cut)] == sums.tolist()


@pytest.mark.slow
def test_a_prompt_of_two_tasks_is_planned_once(tiny, official, tmp_path, capsys):
    """Two data sets with the same texts, and no instruction that makes their prompts differ."""
    for name in ("STSB", "ATEC"):
        shutil.copytree(official / packaged_tasks()["STSB"].path, tmp_path / "data" / packaged_tasks()[name].path)
    what = ["--tasks", "STSB", "ATEC", "--data_dir", str(tmp_path / "data"), "--use_instruction", "false"]
    assert cli.main([*plan(tiny, tmp_path / "out", "--device", "cpu")[: -len(TASKS) - 1], *what]) == 0
    rows = table(capsys.readouterr().out)
    distinct = {name: number(cells[1]) for name, cells in rows.items() if name in ("ATEC", "STSB", "total")}
    assert distinct == {"ATEC": distinct["total"], "STSB": 0, "total": distinct["total"]} and distinct["total"] > 0


def test_what_is_in_the_store_is_not_planned(tiny, tmp_path, capsys):
    encode = ["encode", *plan(tiny, tmp_path, "--device", "cpu")[1:]]
    encode[encode.index("MiniSTS")] = "MiniRetrieval"
    assert cli.main(encode) == 0
    assert cli.main(plan(tiny, tmp_path, "--gpu", "cpu", "--tasks", "MiniRetrieval")) == 0
    out = capsys.readouterr().out
    assert table(out)["MiniRetrieval"][2:] == ["100%", "0", "0", "0", "0"]
    assert "time" not in out


@pytest.mark.parametrize("gpu", ["h100", *(pytest.param(g, marks=pytest.mark.slow) for g in ("h200", "a100", "4090"))])
def test_absent_hardware_is_arithmetic_and_called_so(tiny, tmp_path, capsys, gpu):
    if torch.cuda.is_available():
        pytest.skip("the GPU may be here")
    assert cli.main(plan(tiny, tmp_path, "--gpu", gpu, "--tasks", "MiniRetrieval")) == 0
    out = capsys.readouterr().out
    assert table(out)["MiniRetrieval"][-1] == "<1 s"
    last = out.splitlines()[-1]
    assert last.startswith("time: arithmetic, not a measurement")
    assert f"{EFFICIENCY:.0%} of the data sheet's {PEAKS[gpu] / 1e12:.0f} TFLOP/s" in last


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--gpu", "v100"], "argument --gpu: invalid choice: 'v100'"),
        (["--gpu", "cpu", "--device", "cuda"], "--gpu cpu contradicts --device cuda"),
        (["--gpu", "h100", "--dtype", "float32"], "its speed is known only in bfloat16, not in float32"),
        (["--gpu", "h100", "--device", "cpu"], "--gpu h100 contradicts --device cpu"),
    ],
)
def test_hardware_that_cannot_be_meant_is_bad_input(tiny, tmp_path, capsys, more, said):
    assert cli.main(plan(tiny, tmp_path, *more)) == cli.EXIT_BAD_INPUT
    assert said in capsys.readouterr().err


def test_a_run_takes_no_hardware_for_an_estimate(tiny, tmp_path, capsys):
    assert cli.main(["run", *plan(tiny, tmp_path, "--gpu", "cpu")[1:]]) == cli.EXIT_BAD_INPUT
    assert "--gpu cpu: only for --dry_run" in capsys.readouterr().err


@pytest.mark.slow
def test_the_time_is_that_of_the_prompts_at_the_measured_rate(tmp_path, capsys):
    """This holds at any rate; how close it comes to a real run is measured in perf/eta.py, not tested."""
    tasks = list(miniature().names)
    assert cli.main([*plan(CHECKPOINT, tmp_path, "--gpu", "cpu"), "--tasks", *tasks]) == 0
    out = capsys.readouterr().out
    (rate,) = re.findall(r"time: calibrated: ([\d,]+) tokens/s on this machine's CPU", out)
    *_, tokens, _, _, _, seconds, unit = re.search(r"^total .*$", out, re.MULTILINE).group().split()
    seconds = {"s": 1, "min": 60}[unit] * float(seconds)
    assert seconds == pytest.approx(int(tokens.replace(",", "")) / int(rate.replace(",", "")), rel=0.3, abs=1)


def test_several_gpus_share_the_time_evenly_without_ray(tiny, tmp_path, capsys, monkeypatch):
    """This holds for an estimate; the cluster that ``--ray`` names is not contacted."""
    if torch.cuda.is_available():
        pytest.skip("the GPU may be here")
    monkeypatch.setattr(openers, "find_spec", lambda name: pytest.fail("Ray was looked for"))
    monkeypatch.setattr("qzhou_eval.run.dry_run.duration", str)  # seconds, not rounded
    argv = plan(tiny, tmp_path, "--gpu", "h100", "--tasks", "MiniRetrieval")
    seconds = []
    for more in ([], ["--workers", "8"], ["--workers", "8", "--ray", "nowhere:6379"]):
        assert cli.main([*argv, *more]) == 0
        out = capsys.readouterr().out
        seconds.append(float(table(out)["total"][-1]))
    assert seconds[0] == pytest.approx(8 * seconds[1]) and seconds[1] == seconds[2]
    assert "time: arithmetic, not a measurement: 8 H100, each at " in out


@pytest.mark.parametrize("cheap", [True, False])
def test_without_hardware_the_time_is_this_machines_where_it_costs_little(tiny, tmp_path, capsys, monkeypatch, cheap):
    monkeypatch.setattr("qzhou_eval.run.dry_run.CHEAP_SECONDS", 0.1)
    if not cheap:
        monkeypatch.setattr("qzhou_eval.run.dry_run.CHEAP_WEIGHTS", 1)
        monkeypatch.setattr(
            "qzhou_eval.run.subjects.openers.open_encoder", lambda *_: pytest.fail("the model was loaded")
        )
    assert cli.main(plan(tiny, tmp_path, "--device", "cpu", "--tasks", "MiniSTS")) == 0
    out = capsys.readouterr().out
    assert ("time: calibrated: " in out) == ("time" in out.splitlines()[0]) == cheap


@pytest.mark.slow
def test_tasks_without_data_are_named_and_the_others_planned(tiny, official, tmp_path, capsys, caplog):
    argv = ["run", "--dry_run", "--model_name_or_path", str(tiny), "--profile", "qzhou-zh", "--device", "cpu"]
    where = ["--data_dir", str(official), "--output_dir", str(tmp_path / "out"), "--eval_workers", "1"]
    assert cli.main([*argv, *where]) == cli.EXIT_FAILED_TASKS
    planned = {name for name in table(capsys.readouterr().out) if name in packaged_tasks()}
    there = [task for task in cmteb().tasks if (official / task.path).is_dir()]
    assert planned == {task.name for task in there} and 0 < len(there) < 31
    (line,) = [message for message in caplog.messages if message.startswith("not planned, ")]
    lost = [task.name for task in cmteb().tasks if task not in there]
    assert line == (
        f"not planned, {len(lost)} of 31 tasks without data: {', '.join(lost)}; "
        f"qzhou-eval fetch --tasks {' '.join(lost)} --to {official}"
    )
    copy = shutil.copytree(official, tmp_path / "damaged")
    (copy / packaged_tasks()["STSB"].path / "data/test.jsonl").write_text("{")
    tasks = ["--tasks", "STSB", "Ocnli", "--data_dir", str(copy)]
    assert cli.main([*argv, *where, *tasks]) == cli.EXIT_FAILED_TASKS
    assert {name for name in table(capsys.readouterr().out) if name in packaged_tasks()} == {"Ocnli"}
    assert caplog.messages[-1].startswith("not planned: STSB: ")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert cli.main([*argv, *where, "--data_dir", str(empty)]) == cli.EXIT_BAD_INPUT
    run = [*argv[:1], *argv[2:], *where]
    assert cli.main(run) == cli.EXIT_BAD_INPUT  # a run of all tasks is not the same as a run of some
    assert not (tmp_path / "out").exists()
