"""``compare`` names exactly what differs: each break is a run of its own, and the unbroken pair is OK."""

import json
import shutil
from dataclasses import replace

import pytest
import yaml
from conftest import run_command
from safetensors.torch import load_file, save_file

from qzhou_eval import cli
from qzhou_eval.compare.differences import differences
from qzhou_eval.compare.sides import Side, TaskSide, from_folder, from_published
from qzhou_eval.compare.verdicts import TOLERANCE, Row, column_tolerance, mean_rows, side_row
from qzhou_eval.errors import EXIT_CHECK_FAILED
from qzhou_eval.paths import data_folder
from qzhou_eval.profile import load_profile
from qzhou_eval.results import Manifest, Record, Variant
from qzhou_eval.tasks import all_tasks

CARD = json.loads((data_folder("results/published") / "card_tables.json").read_text("utf-8"))
NAME = "QZhou-Embedding-Zh"


def compared(capsys, *argv) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.main(["compare", *map(str, argv)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def differing(out: str) -> set[str]:
    """The first column of the table of differences."""
    found, inside = set(), False
    for line in out.splitlines():
        if line.startswith("differs"):
            inside = True
        elif inside and (not line.strip() or line.startswith("known on one side")):
            break
        elif inside and not line.startswith("---"):
            found.add(line.split("  ")[0].strip())
    return found


def test_the_unbroken_pair_is_ok(finished, tiny, official, tmp_path, capsys):
    """The same command again, from nothing: no field differs, every score is the same."""
    assert cli.main(run_command(tiny, official, tmp_path / "again")) == 0
    code, out, err = compared(capsys, finished, "--to", tmp_path / "again")
    assert (code, err) == (0, "")
    assert "no known field differs" in out
    assert "verdict: 6 OK, 0 CLOSE, 0 OFF" in out


def changed_profile(tmp_path, **fields):
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump({"name": "qzhou-zh", "extends": "qzhou-zh", "source": "a test", **fields}))
    return ["--profile", str(path)]


def changed_weights(tiny, tmp_path):
    """One tensor, one percent."""
    copy = shutil.copytree(tiny, tmp_path / "tiny")
    weights = copy / "model.safetensors"
    tensors = load_file(weights)
    name = next(key for key in tensors if "layers.3" in key and "down_proj" in key)
    tensors[name] = tensors[name] * 1.01
    save_file(tensors, weights, metadata={"format": "pt"})
    return copy


PROFILE = load_profile("qzhou-zh")
BREAKS = {
    "closing quote": (lambda p: changed_profile(p, template=PROFILE.template.removesuffix("“")), "template", True),
    "instruction": (
        lambda p: changed_profile(p, tasks={"STSB": {"instruct": "both", "instruction": "Retrieve similar text"}}),
        "instruction",
        True,
    ),
    "space after Query:": (lambda _: ["--profile", "qzhou-zh-quickstart"], "instruction line", True),
    "TP range": (lambda _: ["--tp_layers", "1-6"], "token prepending", True),
    "TP off": (lambda _: ["--token_prepending", "off"], "token prepending", True),
    "limit": (lambda _: ["--max_length", "48"], "limit", True),
    "precision": (lambda _: ["--dtype", "float32"], "precision", False),
}


@pytest.mark.slow
@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_setting_is_named_alone(*, broken, finished, tiny, official, tmp_path, capsys):
    flags, field, refused = BREAKS[broken]
    assert cli.main(run_command(tiny, official, tmp_path / "broken", *flags(tmp_path))) == 0
    code, out, err = compared(capsys, tmp_path / "broken", "--to", finished)
    assert differing(out) == {field}
    if not refused:
        assert "OK" in out
        return
    assert code == cli.EXIT_BAD_INPUT
    assert f"not comparable: {field} (" in err
    assert "verdict" not in out
    code, out, err = compared(capsys, tmp_path / "broken", "--to", finished, "--allow-mismatch")
    assert code in (0, 1) and err == ""
    assert "STSB" in out and "not comparable" in out
    marked = {line.split()[0] for line in out.splitlines() if line.rstrip().endswith("*")}
    assert marked >= ({"STSB"} if broken == "instruction" else {"STSB", "T2Reranking"})
    if broken == "instruction":
        assert "T2Reranking" not in marked  # the other task's instruction is the same


@pytest.mark.slow
def test_changed_weights_and_data_are_named(finished, tiny, official, tmp_path, capsys):
    assert cli.main(run_command(changed_weights(tiny, tmp_path), official, tmp_path / "weights")) == 0
    code, out, _ = compared(capsys, tmp_path / "weights", "--to", finished)
    assert differing(out) == {"weights", "model revision"}
    assert "`verify` names the tensors" in out
    assert code in (0, 1)
    data = shutil.copytree(official, tmp_path / "data")
    file = data / all_tasks()["STSB"].path / "data/test.jsonl"
    file.write_text("\n".join(file.read_text("utf-8").splitlines()[:-1]), "utf-8")
    assert cli.main(run_command(tiny, data, tmp_path / "rows", "--dim", "96")) == 0
    code, out, err = compared(capsys, tmp_path / "rows", "--to", finished)
    assert code == cli.EXIT_BAD_INPUT
    assert differing(out) == {"data"}
    assert "STSB" in out and "T2Reranking" not in out
    assert "not comparable: data" in err


@pytest.mark.parametrize(
    ("field", "value", "named", "refused"),
    [
        ("scikit_learn", "1.9.1", "scikit-learn", False),
        ("mteb", "2.30.0", "mteb", False),
        ("splits", ["validation"], "splits", True),
        ("metric", "map", "metric", False),
        ("metric", "mrr", "metric", True),
    ],
)
def test_what_the_record_says_of_the_libraries_and_the_data_is_held_against_the_other(
    *, field, value, named, refused, finished, tmp_path, capsys
):
    """Other versions cannot be installed here; the manifest of a run that had them is written instead."""
    copy = shutil.copytree(finished, tmp_path / "copy")
    content = json.loads((copy / "manifest.json").read_text())
    for entry in content["variants"].values():
        entry["tasks"]["T2Reranking"]["record"][field] = value
    (copy / "manifest.json").write_text(json.dumps(content))
    code, out, err = compared(capsys, finished, "--to", copy)
    assert differing(out) == {named}
    assert ("not comparable" in err) == refused
    assert code == (cli.EXIT_BAD_INPUT if refused else 0)


def test_the_encoders_libraries_and_device_are_stated(finished, tmp_path, capsys):
    copy = shutil.copytree(finished, tmp_path / "copy")
    content = json.loads((copy / "manifest.json").read_text())
    for entry in content["variants"].values():
        for task in entry["tasks"].values():
            (made_with,) = task["encoded_with"]
            made_with["versions"]["transformers"] = "4.51.1"
            made_with["device"] = "cuda"
    (copy / "manifest.json").write_text(json.dumps(content))
    code, out, err = compared(capsys, finished, "--to", copy)
    assert (code, err) == (0, "")
    assert differing(out) == {"transformers", "device"}


def replicated(model: str = NAME, shift: dict[str, float] | None = None) -> Side:
    """A run as it would be that replicates a model's published scores on the hub's data, with a shift per task."""
    theirs = from_published(None, model, "card")
    record = {"mteb": "1.38.30", "scikit-learn": "1.7.2"}
    tasks = {
        name: TaskSide(one.score + (shift or {}).get(name, 0), record | one.facts) for name, one in theirs.tasks.items()
    }
    return replace(theirs, name="ours", dim=1792, width=1792, tasks=tasks)


def test_a_faithful_run_has_no_difference_to_the_published_one():
    ours, theirs = replicated(), from_published(None, NAME, "card")
    assert differences(ours, theirs) == []
    rows = mean_rows(side_row(ours, "cmteb"), dict(zip(CARD["columns"], CARD["table_1"]["rows"][NAME], strict=True)))
    assert {row.verdict for row in rows} == {"OK"}
    assert max(abs(row.difference) for row in rows) <= 0.005 + 1e-9


def test_the_current_mtebs_way_is_stated_and_comparable():
    """Re-uploads at other revisions and map_at_1000 are named with their tasks; scores still compare."""
    ours = replicated()
    current = {
        name: TaskSide(one.score, one.facts | {"mteb": "2.26.24", "data": task.revision, "metric": task.metric})
        for name, one in ours.tasks.items()
        for task in [all_tasks()[name]]
    }
    found = differences(replace(ours, tasks=current), from_published(None, NAME, "card"))
    assert {d.field for d in found} == {"mteb", "data", "metric"}
    assert all(d.comparable for d in found)
    assert sum(len(d.tasks) for d in found if d.field == "data") == 14
    assert {task for d in found if d.field == "metric" for task in d.tasks} == {
        name for name, task in all_tasks().items() if task.type == "Reranking" and task.benchmark == "cmteb"
    }


def test_local_data_never_pass_for_the_published():
    ours = replicated()
    local = ours.tasks | {"STSB": replace(ours.tasks["STSB"], facts=ours.tasks["STSB"].facts | {"data": "local-1"})}
    (found,) = differences(replace(ours, tasks=local), from_published(None, NAME, "card"))
    assert (found.field, found.tasks, found.comparable) == ("data", ("STSB",), False)


@pytest.mark.parametrize(
    ("difference", "verdict"), [(0.0, "OK"), (0.1, "OK"), (-0.1, "OK"), (0.11, "CLOSE"), (-0.3, "CLOSE"), (0.31, "OFF")]
)
def test_verdicts_worked_out_by_hand(difference, verdict):
    assert Row("STSB", 50 + difference, 50, TOLERANCE["STS"]).verdict == verdict


def test_a_missing_score_has_no_verdict():
    assert Row("STSB", None, 50, 0.1).verdict is None


def test_a_means_tolerance_follows_from_its_tasks():
    assert column_tolerance("STS") == pytest.approx(0.1 / 7**0.5 + 0.01)
    assert column_tolerance("Clustering") == pytest.approx(1 / 4**0.5 + 0.01)
    variance = 6 * 0.3**2 + 4 * 1.0**2 + (2 + 4 + 8 + 7) * 0.1**2
    assert column_tolerance("Mean(Task)") == pytest.approx(variance**0.5 / 31 + 0.01)


def write_run(folder, finished, dim, scores):
    """A folder as a run leaves it, with the given main scores by task and split."""
    entries = json.loads((finished / "manifest.json").read_text())["variants"].values()
    template = next(entry for entry in entries if entry["variant"]["dim"] == 96)
    experiment = () if dim == 1792 else (("dim", dim),)
    changed = {"experiment": experiment, "model": f"local/{NAME}", "token_prepending": (1, 7)}
    variant = Variant(**template["variant"] | changed | {"dim": dim, "width": 1792})
    for name, splits in scores.items():
        task = all_tasks()[name]
        path = folder / variant.folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"scores": {split: [{"main_score": s}] for split, s in splits.items()}}))
        record = Record(
            type=task.type,
            metric=task.card_metric or task.metric,
            splits=task.splits,
            data=task.card_revision or task.revision,
            mteb="1.38.30",
            scikit_learn="1.7.2",
        )
        instruction = PROFILE.tasks[name].model_dump()
        Manifest(folder).add([variant], name, record, {"instruction": instruction}, template["provenance"])


@pytest.fixture(scope="module")
def published_run(finished, tmp_path_factory):
    """A folder with QZhou-Embedding-Zh's published scores, as a replication to the last digit would leave it."""
    folder = tmp_path_factory.mktemp("published")
    table = json.loads((data_folder("results/published") / "published_scores.json").read_text("utf-8"))
    scores = next(m["scores"] for m in table["models"] if m["model"].endswith(f"/{NAME}"))
    write_run(folder, finished, 1792, scores)
    write_run(folder, finished, 1024, scores)
    return folder


def test_the_published_run_against_published_scores_and_the_cards_tables(published_run, capsys):
    code, out, err = compared(capsys, published_run, "--to", "published")
    assert err == ""
    assert differing(out) == {"model revision"}  # a folder's digest is not the hub's commit
    for name in PROFILE.tasks:
        (line,) = [line for line in out.splitlines() if line.startswith(f"{name} ")]
        assert line.split()[-1] == "OK"
    tables = {line.split("  ")[0]: line.split() for line in out.splitlines() if line.startswith("table ")}
    assert tables.keys() == {"table 1, QZhou-Embedding-Zh", "table 2, TP", "table 3, 1792", "table 3, 1024"}
    for row, cells in tables.items():
        assert cells[-1] == ("OFF" if row == "table 3, 1024" else "OK"), row
    ours, theirs = CARD["table_1"]["rows"][NAME], CARD["table_3"]["rows"]["1024"]
    differences_by_hand = [round(one - two, 2) for one, two in zip(ours, theirs, strict=True)]
    found = [float(cell.rstrip("~!")) for cell in tables["table 3, 1024"] if cell[0] in "+-"]
    assert found == pytest.approx(differences_by_hand, abs=0.011)
    assert code == EXIT_CHECK_FAILED


def test_one_task_that_is_off_is_named_and_fails(published_run, finished, tmp_path, capsys):
    scores = from_published(None, NAME, "card").tasks
    splits = {
        name: {split: one.score / 100 - (0.005 if name == "T2Retrieval" else 0) for split in all_tasks()[name].splits}
        for name, one in scores.items()
    }
    write_run(tmp_path, finished, 1792, splits)
    code, out, _ = compared(capsys, tmp_path)
    assert code == EXIT_CHECK_FAILED
    off = {line.split()[0] for line in out.splitlines() if line.rstrip().endswith("OFF") and "verdict" not in line}
    assert off == {"T2Retrieval"}


def test_bad_input_is_one_line(finished, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for name, content in {
        "no-models": '{"models": 3}',
        "no-scores": '{"models": [{"model": "a/b"}]}',
        "no-splits": '{"models": [{"model": "a/b", "scores": {"STSB": 0.5}}]}',
        "words": '{"models": [{"model": "a/b", "scores": {"STSB": {"test": "high"}}}]}',
        "no-json": "{",
    }.items():
        (tmp_path / f"{name}.json").write_text(content)
    for argv, message in (
        ([tmp_path / "empty"], "no results there"),
        ([finished, "--to", tmp_path / "nowhere"], "give published, published:MODEL, a folder of results, or a file"),
        ([finished, "--to", tmp_path / "empty"], "no results there"),
        *(
            ([finished, "--to", tmp_path / f"{name}.json"], "not a file of published scores")
            for name in ("no-models", "no-scores", "no-splits", "words", "no-json")
        ),
        ([finished, "--to", "published:Nothing"], "no scores of Nothing"),
        ([finished], "no scores of tiny"),
    ):
        code, out, err = compared(capsys, *argv)
        assert (code, out) == (cli.EXIT_BAD_INPUT, "")
        assert message in err and len(err.splitlines()) == 1


def test_a_file_in_the_published_form_is_another_side(finished, tmp_path, capsys):
    sides = from_folder(finished, "card")
    wide = next(side for side in sides if side.dim == side.width)
    scores = {name: {"test": one.score / 100, "dev": one.score / 100} for name, one in wide.tasks.items()}
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({"models": [{"model": "org/other", "revision": "1", "scores": scores}]}))
    code, out, _ = compared(capsys, finished, "--to", path)
    assert code == 0
    assert differing(out) == {"model", "model revision"}
    assert "verdict: 2 OK, 0 CLOSE, 0 OFF" in out
