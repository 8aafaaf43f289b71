"""``check`` on the faults it exists to catch, each declared in the manifest or silent, on the packaged checkpoint."""

import shutil
from contextlib import nullcontext

import pytest
import torch
from safetensors.torch import load_file, save_file

from qzhou_eval import cli
from qzhou_eval.checks.regression.baseline import read_baseline
from qzhou_eval.checks.regression.comparable import pairs
from qzhou_eval.checks.regression.measured import measure
from qzhou_eval.checks.regression.verdict import judge
from qzhou_eval.miniature.__main__ import CHECKPOINT
from qzhou_eval.model import body, tokenizer
from qzhou_eval.model.settings import EncoderOptions
from qzhou_eval.run.config import RunConfig
from qzhou_eval.run.pipeline import execute
from qzhou_eval.run.prepare import prepare_run
from qzhou_eval.run.processes import process_pool
from qzhou_eval.run.reuse import missing_results

pytestmark = pytest.mark.slow

TASKS = ["MiniClassification", "MiniReranking"]
PASSED, FAILED, REFUSED = 0, 1, 2


@pytest.fixture(scope="module")
def run():
    """A function that runs the packaged checkpoint, or another; all runs share one worker, which is slow to start."""
    with process_pool(1) as pool:

        def done(output, *, model=CHECKPOINT, profile="qzhou-zh-mini", use_instruction=True, **options):
            config = RunConfig(
                model_name_or_path=str(model),
                output_dir=output,
                profile=str(profile),
                tasks=TASKS,
                dim=["128", "1792"],
                use_instruction=use_instruction,
                options=EncoderOptions(device="cpu", dtype="float32", **options),
            )
            prepared = prepare_run(config)
            assert not execute(prepared, missing_results(prepared), pool).failed
            return output

        yield done


@pytest.fixture(scope="module")
def baseline(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("honest")
    assert cli.main(["check", str(run(folder / "out")), "--baseline", str(folder / "b.json"), "--update-baseline"]) == 0
    return folder / "b.json"


@pytest.fixture
def check(run, baseline, tmp_path, capsys):
    """A function that runs with the given changes, then checks; returns the exit code and the output."""

    def checked(**changes):
        output = run(tmp_path / "out", **changes)
        capsys.readouterr()
        code = cli.main(["check", str(output), "--baseline", str(baseline)])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return checked


def rows(baseline, output):
    found = read_baseline(baseline)
    return judge(pairs(found, measure(output, "card"), "baseline"), {}, 0.99999)


def write_profile(path, changes):
    """Write the miniature's profile, under its own name, with some fields changed."""
    path.write_text(f"name: qzhou-zh-mini\nextends: qzhou-zh-mini\nsource: a test\n{changes}", "utf-8")
    return path


QUOTE = "template: 'This sentence: <|im_start|>“{text}” means in one word: \"'\n"
NO_INSTRUCTION = "tasks:\n  MiniReranking:\n    instruct: both\n    instruction: ''\n"


@pytest.mark.parametrize("attention", ["auto", "padded"])
def test_an_honest_rerun_passes(*, attention, check):
    """The same run again, also with arithmetic that differs in the last digits."""
    code, said = check(attention=attention)
    assert code == PASSED and "4 OK, 0 DRIFT, 0 FAIL: passed" in said


def test_token_prepending_turned_off_is_refused_by_its_name(check):
    code, said = check(token_prepending="off")
    assert code == REFUSED
    assert said.strip().endswith("b.json: token_prepending is off, the baseline has 1-7")


def test_a_changed_closing_quote_is_refused_with_both_templates(check, tmp_path):
    code, said = check(profile=write_profile(tmp_path / "p.yaml", QUOTE))
    assert code == REFUSED
    assert "template is 'This sentence: <|im_start|>“{text}” means in one word: \"', the baseline has" in said
    assert said.count(" is ") == 1


def test_a_dropped_instruction_is_refused_by_its_task(check, tmp_path):
    code, said = check(profile=write_profile(tmp_path / "p.yaml", NO_INSTRUCTION))
    assert code == REFUSED
    assert "instruction is 'both: ', the baseline has 'both: Given a Chinese question, retrieve sentences" in said
    assert said.strip().endswith("(MiniReranking)")


def test_instructions_turned_off_are_refused_once(check):
    code, said = check(use_instruction=False)
    assert code == REFUSED
    assert said.strip().endswith("b.json: use_instruction is false, the baseline has true")


def without_instruction(text: str) -> str:
    head, marked, rest = text.partition("Instruct: ")
    return head + rest.split("\nQuery: ", maxsplit=1)[1] if marked else text


def with_another_quote(text: str) -> str:
    return text[:-1] + '"' if text.endswith("“") else text


@pytest.mark.parametrize("fault", [without_instruction, with_another_quote])
def test_a_prompt_changed_in_silence_fails_by_its_vectors(*, fault, check, monkeypatch):
    """The change is between the prompt, which is stored and recorded, and the model: the manifest does not show it."""
    honest = tokenizer.PromptTokenizer._ids
    monkeypatch.setattr(tokenizer.PromptTokenizer, "_ids", lambda self, texts: honest(self, [fault(t) for t in texts]))
    code, said = check()
    assert code == FAILED and said.count("FAIL (cosine)") == len(TASKS)


def test_token_prepending_lost_in_silence_fails_by_its_vectors(check, monkeypatch):
    monkeypatch.setattr(body, "prepending", lambda *_: nullcontext())
    code, said = check()
    assert code == FAILED and said.count("FAIL (cosine)") == len(TASKS)


def test_a_projection_perturbed_by_one_percent_fails_though_the_scores_do_not_show_it(check, baseline, tmp_path):
    copy = shutil.copytree(CHECKPOINT, tmp_path / CHECKPOINT.name)
    file = next(copy.glob("*Dense/model.safetensors"))
    weights = load_file(file)
    noise = torch.randn(weights["linear.weight"].shape, generator=torch.Generator().manual_seed(0))
    weights["linear.weight"] += 0.01 * weights["linear.weight"].std() * noise
    save_file(weights, file, {"format": "pt"})
    code, said = check(model=copy)
    assert code == FAILED and said.count("FAIL (cosine)") == len(TASKS)
    assert "note: different weights change every vector: if this is intended, --min_cosine -1" in said
    assert "note: weights is" in said  # weights are what is tested: a change is reported but is no reason to refuse
    for row in rows(baseline, tmp_path / "out"):
        assert abs(row.difference) <= row.tolerance, "the scores alone would pass"
        assert 0.9999 < row.cosine < 0.99999
