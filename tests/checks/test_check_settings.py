"""``check`` refuses results that are not comparable with the baseline and names each setting that differs."""

import json
import shutil

import pytest
from checking import DIMS, suite_counts
from comparing import BAD, edited

from qzhou_eval import cli
from qzhou_eval.checks.tolerance import TOLERANCE
from qzhou_eval.results.reader import RecordedResults

PROFILE = ("provenance", "profile")


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("variant", "token_prepending"), None, "token_prepending is off, the baseline has 1-7"),
        (("variant", "token_prepending"), [1, 6], "token_prepending is 1-6, the baseline has 1-7"),
        (("variant", "max_length"), 512, "max_length is 512, the baseline has 1024"),
        (("variant", "truncate"), "text", "truncate is text, the baseline has whole"),
        (("variant", "dtype"), "float32", "dtype is float32, the baseline has bfloat16"),
        (("variant", "normalize"), False, "normalize is false, the baseline has true"),
        (("variant", "use_instruction"), False, "use_instruction is false, the baseline has true"),
        (("variant", "width"), 97, "width is 97, the baseline has 96"),
        (("provenance", "model", "remote_code"), {"class": "x"}, "remote_code is true, the baseline has false"),
        ((*PROFILE, "template"), "{text}", "template is {text}, the baseline has 'This sentence: <|im_start|>“{text}”"),
        ((*PROFILE, "placeholder"), None, "placeholder is none, the baseline has <|im_start|>"),
        ((*PROFILE, "instruction"), "I: {instruction}\n", "instruction_line is 'I: {instruction}\\n', the baseline"),
        ((*PROFILE, "empty_text"), "", "empty_text is '', the baseline has Null"),
        ((*PROFILE, "end_token"), "</s>", "end_token is </s>, the baseline has none"),
        (
            ("tasks", "STSB", "record", "metric"),
            "pearson",
            "metric is pearson, the baseline has cosine_spearman (STSB)",
        ),
        (("tasks", "STSB", "record", "splits"), ["a", "b"], "splits is 'a, b', the baseline has test (STSB)"),
        (("tasks", "STSB", "record", "data"), "local-0", "data is local-0, the baseline has local-"),
        (("tasks", "STSB", "record", "mteb"), "2.30.0", "mteb is 2.30.0, the baseline has 2."),
        (("tasks", "STSB", "record", "scikit_learn"), "1.9", "scikit_learn is 1.9, the baseline has 1."),
        (("tasks", "STSB", "instruction"), None, "instruction is none, the baseline has 'both: Retrieve"),
        (("tasks", "STSB", "instruction", "instruct"), "queries", "instruction is 'queries: Retrieve"),
    ],
)
def test_each_unlike_setting_is_refused_with_both_values(*, where, value, said, check, finished, tmp_path):
    def change(entry):
        for key in where[:-1]:
            entry = entry[key]
        entry[where[-1]] = value

    code, out, err, suite = check(results=edited(finished, tmp_path / "copy", change))
    assert (code, out, len(err.splitlines())) == (BAD, "", 1)
    assert f"{tmp_path / 'copy'} cannot be compared with " in err
    assert said in err and err.count(", the baseline has ") == 1
    assert suite_counts(suite) == {"tests": 1, "failures": 0, "errors": 1}
    assert said.split(",")[0] in suite.find(".//error").get("message")
    assert "refused" in (tmp_path / "s.md").read_text("utf-8")


def test_several_unlike_settings_are_all_named_in_one_line(check, finished, tmp_path):
    def change(entry):
        entry["variant"] |= {"max_length": 512, "truncate": "text"}
        for task in entry["tasks"].values():
            task["record"]["mteb"] = "2.30.0"

    code, _, err, _ = check(results=edited(finished, tmp_path / "copy", change))
    assert code == BAD and len(err.splitlines()) == 1
    assert err.count("the baseline has") == 3 and "(" not in err.split("mteb is")[1]  # for all tasks, so none is named


def filed(source, copy, dims=DIMS, revision=None, **settings):
    """Copy results at ``dims`` to the folders of other settings or of another revision; what ``copy`` has stays."""
    path = copy / "manifest.json"
    variants = json.loads(path.read_text())["variants"] if path.exists() else {}
    for place, entry in json.loads((source / "manifest.json").read_text())["variants"].items():
        variant = entry["variant"]
        if variant["dim"] in dims:
            variant |= settings | ({"revision": revision} if revision else {})
            variant["experiment"] += [[name, value] for name, value in settings.items()]
        moved = RecordedResults(copy, entry, {}, ()).variant.folder
        shutil.copytree(source / place, copy / moved, ignore=shutil.ignore_patterns("experiments"), dirs_exist_ok=True)
        variants[moved] = entry
    path.write_text(json.dumps({"format": 1, "variants": variants}))
    return copy


def test_a_setting_that_is_not_there_is_held_against_the_closest(check, finished, tmp_path):
    short, file = filed(finished, tmp_path / "short", max_length=512), tmp_path / "two.json"
    two = filed(finished, filed(finished, tmp_path / "two", max_length=512))
    assert cli.main(["check", str(two), "--baseline", str(file), "--update-baseline"]) == 0
    other = filed(finished, filed(finished, tmp_path / "other", max_length=512), dtype="fp8")
    code, _, err, _ = check(results=other, against=file)
    assert code == BAD and err.strip().endswith("two.json: tiny: dtype is fp8, the baseline has bfloat16")
    code, _, err, _ = check(results=finished, against=file)
    assert code == BAD and err.strip().endswith("two.json: tiny (max_length 512): missing")
    code, _, err, _ = check(results=short)
    assert code == BAD and err.strip().endswith("b.json: max_length is 512, the baseline has 1024")
    code, _, err, _ = check(results=filed(finished, tmp_path / "renamed", model="local/big"))
    assert code == BAD and err.strip().endswith("b.json: filed under another experiment")
    code, out, err, _ = check(results=two)
    assert (code, err) == (0, "") and "note: not in the baseline, not judged: tiny (max_length 512)" in out


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (("provenance", "model", "weights_sha256"), "note: weights is another, the baseline has "),
        (("provenance", "model", "tokenizer_sha256"), "note: tokenizer is another, the baseline has "),
        (("tasks", "STSB", "encoded_with", 0, "hardware", "cpu"), "note: machine is another, the baseline has "),
    ],
)
def test_what_is_under_test_is_stated_and_not_refused(*, where, said, check, finished, tmp_path):
    def change(entry):
        entry["tasks"] = {"STSB": entry["tasks"]["STSB"]}
        for key in where[:-1]:
            entry = entry[key]
        entry[where[-1]] = "another"

    file = tmp_path / "stsb.json"
    alone = remove(finished, tmp_path / "alone", task="T2Reranking")
    assert cli.main(["check", str(alone), "--baseline", str(file), "--update-baseline"]) == 0
    code, out, err, _ = check(results=edited(finished, tmp_path / "copy", change), against=file)
    assert (code, err) == (0, "") and said in out
    assert said.removeprefix("note: ") in (tmp_path / "s.md").read_text("utf-8")


def test_another_revision_is_under_test_but_two_do_not_mix(check, finished, tmp_path):
    code, out, err, _ = check(results=filed(finished, tmp_path / "new", revision="newer"))
    assert (code, err) == (0, "") and "note: revision is newer, the baseline has local-" in out
    code, _, err, _ = check(results=filed(finished, tmp_path / "two", dims=(16,), revision="newer"))
    assert code == BAD and "mixed: local/tiny at revisions local-" in err and " and newer" in err
    mixed = filed(finished, filed(finished, tmp_path / "settings"), revision="newer", max_length=512)
    code, _, err, _ = check(results=mixed)
    assert code == BAD and "mixed: local/tiny at revisions local-" in err and " and newer" in err


def remove(finished, copy, *, task=None, dim=None):
    """A copy without a task, a dimension, or a task at a dimension."""
    shutil.copytree(finished, copy)
    content = json.loads((copy / "manifest.json").read_text())
    for place, entry in list(content["variants"].items()):
        if dim in (None, entry["variant"]["dim"]):
            if task:
                del entry["tasks"][task]
            else:
                del content["variants"][place]
    (copy / "manifest.json").write_text(json.dumps(content))
    return copy


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ({"task": "STSB"}, "no results (STSB)"),
        ({"dim": 64}, "no results at dim 64"),
        ({"task": "STSB", "dim": 64}, "no results at dim 64 (STSB)"),
    ],
)
def test_what_the_run_lacks_is_refused_and_what_it_has_beside_is_noted(
    *, gone, said, check, finished, tmp_path, capsys
):
    less, file = remove(finished, tmp_path / "less", **gone), tmp_path / "less.json"
    code, _, err, _ = check(results=less)
    assert code == BAD and err.strip().endswith(f": {said}")
    assert cli.main(["check", str(less), "--baseline", str(file), "--update-baseline"]) == 0
    code, out, _, _ = check(against=file)
    assert code == 0 and "note: not in the baseline, not judged: " in out


def test_another_mixture_of_libraries_in_one_folder_is_refused(check, finished, tmp_path):
    def at_16(entry):
        if entry["variant"]["dim"] == 16:
            entry["tasks"]["STSB"]["record"]["mteb"] = "2.30.0"

    code, _, err, _ = check(results=edited(finished, tmp_path / "copy", at_16))
    assert code == BAD and "mixed: STSB has mteb 2.30.0 and 2." in err


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (("provenance",), "template is not recorded, the baseline has"),
        (("tasks", "STSB", "record", "metric"), "manifest.json: damaged (KeyError('metric'))"),
        (("provenance", "profile"), "template is not recorded, the baseline has"),
    ],
)
def test_a_manifest_that_lacks_facts_is_one_line(*, gone, said, check, finished, tmp_path):
    def change(entry):
        for key in gone[:-1]:
            entry = entry[key]
        del entry[gone[-1]]

    code, out, err, _ = check(results=edited(finished, tmp_path / "copy", change))
    assert (code, out, len(err.splitlines())) == (BAD, "", 1) and said in err


def without_items(entry):
    for task in entry["tasks"].values():
        task["items"] = None


def test_results_without_items_have_scores_alone(check, finished, tmp_path):
    """As under mteb 1.38.30: no spread, no vectors."""
    bare, file = edited(finished, tmp_path / "bare", without_items), tmp_path / "bare.json"
    code, _, err, _ = check(results=bare)
    assert code == BAD and "no vectors to compare with the baseline's" in err
    assert cli.main(["check", str(bare), "--baseline", str(file), "--update-baseline"]) == 0
    task = json.loads(file.read_text("utf-8"))["results"][0]["tasks"]["STSB"]
    assert (task["spread"], task["probe"], task["tolerance"]) == (None, {}, TOLERANCE["STS"])
    code, out, _, _ = check(results=bare, against=file)
    assert code == 0 and "no probe vectors in the baseline: tiny" in out
