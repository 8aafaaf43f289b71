"""``compare`` and manifests: every fact counts, nothing is dropped silently, and damage gives one line."""

import json
import shutil
from copy import deepcopy
from dataclasses import replace

import pytest
from comparing import BAD, compared, differing, edited

from qzhou_eval import cli
from qzhou_eval.benchmark.packaged import cmteb
from qzhou_eval.checks.compare.differences import find_differences
from qzhou_eval.checks.compare.sides import from_folder, side_of
from qzhou_eval.results.manifest import _sha256
from qzhou_eval.results.reader import RecordedResults


@pytest.mark.parametrize(
    ("fact", "value", "named", "refused"),
    [
        ("scikit_learn", "1.9.1", "scikit-learn", False),
        ("mteb", "2.30.0", "mteb", False),
        ("splits", ["validation"], "splits", True),
        ("data", "local-0", "data", True),
        ("metric", "map", "metric", False),
        ("metric", "mrr", "metric", True),
    ],
)
def test_what_the_record_says_is_held_against_the_other(*, fact, value, named, refused, finished, tmp_path, capsys):
    """Other versions cannot be installed here, so the manifest of a run that had them is written instead."""

    def change(entry):
        entry["tasks"]["T2Reranking"]["record"][fact] = value
        entry["tasks"]["T2Reranking"].pop("data_files")

    copy = edited(finished, tmp_path / "copy", change)
    code, out, err = compared(capsys, finished, "--to", copy)
    assert differing(out) == {named}
    assert (code, err) == (0, "")  # the other task still counts
    assert (f"not compared at dim 96, 64, 16: {named} (T2Reranking)" in out) == refused
    assert f"verdict: {3 if refused else 6} OK, 0 CLOSE, 0 OFF" in out


def test_the_same_files_are_the_same_data_whatever_each_mteb_calls_them(finished, tmp_path, capsys):
    """A folder at the revision that one mteb pins is local data to another mteb."""

    def change(entry):
        entry["tasks"]["STSB"]["record"]["data"] = "local-0"

    code, out, err = compared(capsys, finished, "--to", edited(finished, tmp_path / "copy", change))
    assert (code, err, differing(out)) == (0, "", set())
    assert "verdict: 6 OK, 0 CLOSE, 0 OFF" in out


def test_a_break_at_a_narrower_dimension_alone_is_seen(finished, tmp_path, capsys):
    def at_16(entry):
        if entry["variant"]["dim"] == 16:
            entry["tasks"]["STSB"]["record"]["data"] = "local-0"
            entry["tasks"]["STSB"]["data_files"] = "local-0"

    copy = edited(finished, tmp_path / "copy", at_16)
    code, out, err = compared(capsys, finished, "--to", copy)
    assert (code, err, differing(out)) == (0, "", {"data"})
    assert "also at dim 16" in out and "not compared at dim 16: data (STSB)" in out
    assert "verdict: 5 OK, 0 CLOSE, 0 OFF" in out


IGNORED = {  # fields that compare need not look at, because of the fact or name in the trailing comment
    *("variant.model", "variant.revision", "provenance.model.name", "provenance.model.revision"),  # model (revision)
    *("provenance.model.hidden_size", "provenance.model.pickle", "provenance.model.adapter_of"),  # weights
    *("provenance.profile.attention", "provenance.profile.pooling", "provenance.profile.include_prompt"),  # the model's
    *("variant.profile", "variant.profile_digest", "provenance.profile.digest"),  # the profile's fields, instruction
    *("provenance.profile.name", "provenance.profile.source", "provenance.profile.matryoshka_dims"),  # names
    *("provenance.profile.dtype", "provenance.profile.max_length", "provenance.profile.token_prepending"),  # variant
    *("provenance.token_prepending", "variant.fingerprint", "variant.experiment", "variant.dim", "variant.width"),
    *(
        "task.sha256",
        "task.items",
        "task.record.type",
        "task.samples.text",
        "task.samples.query",
        "task.samples.document",
    ),
    *("task.texts", "task.prompts", "task.tokens", "task.cut", "task.encoded", "task.encoded_tokens", "task.seconds"),
    *("task.padding_tokens", "task.share_of_ceiling", "task.evaluators"),
    *("task.instruction.instruct", "task.scored_with.python", "task.scored_with.torch", "task.code.version"),
    *("task.scored_with.mteb", "task.scored_with.scikit-learn"),  # the record's
    *("task.code.changed", "task.encoded_with"),  # its parts are tested below
    *("task.data_files", "task.official_statistics"),  # the name of the data is compared, unless these are the same
}


def leaves(value, path=""):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    else:
        yield path


def changed(value):
    kinds = {bool: lambda v: not v, int: lambda v: v + 1, str: lambda v: f"{v} changed"}
    return kinds.get(type(value), lambda v: "changed")(value)


def test_every_fact_of_the_manifest_is_compared_or_is_listed_as_needless(finished):
    """Change each leaf of an entry in turn: unless it is listed above, a difference must appear."""
    theirs = from_folder(finished, "card")[0]
    tasks = {name: replace(task, files=None) for name, task in theirs.tasks.items()}  # equal files would settle it
    theirs = replace(theirs, tasks=tasks)
    place = f"results/local__tiny/{theirs.revision}"
    entry = json.loads((finished / "manifest.json").read_text())["variants"][place]
    found = 0
    for area in ("variant", "provenance", "task"):
        root = entry["tasks"]["STSB"] if area == "task" else entry[area]
        for path in leaves(root):
            if f"{area}.{path}" in IGNORED:
                continue
            assert _differs(finished, theirs, place, area, path.split(".")), f"{area}.{path}"
            found += 1
    assert found > 20


def _differs(finished, theirs, place, area, keys) -> list:
    entry = deepcopy(json.loads((finished / "manifest.json").read_text())["variants"][place])
    inner = entry["tasks"]["STSB"] if area == "task" else entry[area]
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = changed(inner[keys[-1]])
    recorded = RecordedResults(finished / place, entry, {task: {} for task in entry["tasks"]}, (cmteb(),))
    return find_differences(side_of(finished, recorded, "card"), theirs)


@pytest.mark.parametrize(
    ("fact", "change"),
    [
        ("transformers", lambda made: made["versions"].update(transformers="4.51.1")),
        ("device", lambda made: made.update(device="cuda")),
        ("attention", lambda made: made.update(attention="eager")),
        ("batch_plan", lambda made: made.update(batch_plan="one by one")),
        ("products", lambda made: made.update(products="float16")),
        ("machine", lambda made: made["hardware"].update(gpu="another")),
    ],
)
def test_what_encoded_is_stated(*, fact, change, finished, tmp_path, capsys):
    def both(entry):
        for task in entry["tasks"].values():
            change(task["encoded_with"][0])

    code, out, err = compared(capsys, finished, "--to", edited(finished, tmp_path / "copy", both))
    assert (code, err, differing(out)) == (0, "", {fact})


def test_what_has_no_other_side_is_said(finished, tmp_path, capsys):
    def without(entry):
        if entry["variant"]["dim"] != 16:
            del entry["tasks"]["STSB"]

    copy = edited(finished, tmp_path / "copy", without)
    content = json.loads((copy / "manifest.json").read_text())
    content["variants"] = {place: e for place, e in content["variants"].items() if e["variant"]["dim"] != 64}
    (copy / "manifest.json").write_text(json.dumps(content))
    code, out, err = compared(capsys, finished, "--to", copy)
    assert (code, err) == (0, "")
    assert f"only in {finished}: STSB" in out
    assert "not compared: tiny, dim 64: only in" in out
    assert "verdict: 3 OK, 0 CLOSE, 0 OFF" in out


def test_of_two_revisions_the_same_one_is_taken(finished, tmp_path, capsys):
    copy = shutil.copytree(finished, tmp_path / "two")
    content = json.loads((copy / "manifest.json").read_text())
    other = {}
    for place, entry in content["variants"].items():
        moved = place.replace(entry["variant"]["revision"], "another")
        shutil.copytree(copy / place, copy / moved, dirs_exist_ok=True)
        other[moved] = entry | {"variant": entry["variant"] | {"revision": "another"}}
    content["variants"] = other | content["variants"]
    (copy / "manifest.json").write_text(json.dumps(content))
    code, out, err = compared(capsys, finished, "--to", copy)
    assert (code, err, differing(out)) == (0, "", set())
    renamed = edited(finished, tmp_path / "third", lambda e: e["variant"].update(revision="third"))
    for place in list((renamed / "results/local__tiny").iterdir()):
        place.rename(place.with_name("third"))
    content = json.loads((renamed / "manifest.json").read_text())
    revision = next(iter(content["variants"])).split("/")[2]
    content["variants"] = {p.replace(revision, "third"): e for p, e in content["variants"].items()}
    (renamed / "manifest.json").write_text(json.dumps(content))
    code, _, err = compared(capsys, renamed, "--to", copy)
    assert code == BAD and "several results could be compared with tiny, dim 96" in err


def test_bad_input_is_one_line(finished, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    files = {
        "no-models": '{"models": 3}',
        "no-scores": '{"models": [{"model": "a/b"}]}',
        "no-splits": '{"models": [{"model": "a/b", "scores": {"STSB": 0.5}}]}',
        "words": '{"models": [{"model": "a/b", "scores": {"STSB": {"test": "high"}}}]}',
        "number": '{"models": [{"model": 3, "scores": {}}]}',
        "versions": '{"models": [{"model": "a/b", "scores": {}, "mteb_versions": 5}]}',
        "no-json": "{",
    }
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(content)
    for argv, message in (
        ([tmp_path / "empty"], "no results there"),
        ([finished, "--to", tmp_path / "nowhere"], "give published, published:MODEL, a folder of results, or a file"),
        ([finished, "--to", ""], "--to: is empty"),
        ([finished, "--to", tmp_path / "empty"], "no results there"),
        *(([finished, "--to", tmp_path / f"{name}.json"], "not a file of published scores") for name in files),
        ([finished, "--to", "published:Nothing"], "no scores for Nothing"),
        ([finished, "--to", "published:qwen3-embedding-8b"], "did you mean Qwen3-Embedding-8B? give published:NAME"),
        ([finished], "no scores for tiny"),
        ([finished.parent], f"not an output folder, but the parent of several ({finished.name})"),
    ):
        code, out, err = compared(capsys, *argv)
        assert (code, out) == (BAD, ""), argv
        assert message in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("content", ["{}", "[]", "null", '{"variants": {"x": {}}}', '{"variants": 3}'])
@pytest.mark.parametrize("verb", ["compare", "report", "export"])
def test_a_manifest_of_another_shape_is_named(*, verb, content, tmp_path, capsys):
    (tmp_path / "manifest.json").write_text(content)
    assert cli.main([verb, str(tmp_path), *(["--to", "new"] if verb == "export" else [])]) == BAD
    assert "manifest.json: damaged" in capsys.readouterr().err


def test_a_result_without_a_score_is_named_and_left_out(finished, tmp_path, capsys, caplog):
    copy = shutil.copytree(finished, tmp_path / "copy")
    path = next(copy.glob("results/*/*/STSB.json"))
    path.write_text(json.dumps({"scores": {"test": [{"main_score": None}]}}))
    content = json.loads((copy / "manifest.json").read_text())
    for place, entry in content["variants"].items():
        entry["tasks"]["STSB"]["sha256"] = _sha256(copy / place / "STSB.json")
    (copy / "manifest.json").write_text(json.dumps(content))
    code, out, _ = compared(capsys, copy, "--to", finished)
    assert code == 0 and "verdict: 5 OK" in out
    assert "STSB.json: left out, it is not a complete result file; remove it" in caplog.text
