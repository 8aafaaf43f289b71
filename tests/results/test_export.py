"""Exported results are accepted by mteb's own loader, its submit-results and the results repository's checks."""

import hashlib
import json
import shutil
import subprocess

import pytest
from mteb.cache import ResultCache

from qzhou_eval import cli
from qzhou_eval.results.variant import Variant

NAME, COMMIT = "Kingsoft-LLM/QZhou-Embedding-Zh", "0321ccb126413d1e49c5ce908e802b63d35f18e2"
TASKS = ["STSB", "T2Reranking"]


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "cache"
    argv = ["export", str(finished), "--to", str(folder), "--model_name", NAME, "--model_revision", COMMIT]
    assert cli.main(argv) == 0
    return folder


@pytest.fixture(scope="module")
def scores(finished):
    """Main score by (task, dimension), read from the run's own files."""
    found = {}
    for entry_place, entry in json.loads((finished / "manifest.json").read_text())["variants"].items():
        for task in entry["tasks"]:
            rows = json.loads((finished / entry_place / f"{task}.json").read_text())["scores"].values()
            found[task, entry["variant"]["dim"]] = next(iter(rows))[0]["main_score"]
    return found


def test_mtebs_loader_gives_the_score_of_each_dimension(exported, scores):
    loaded = ResultCache(exported).load_results(models=[NAME], tasks=TASKS, load_experiments="match_name")
    found = {}
    for model in loaded.model_results:
        assert (model.model_name, model.model_revision) == (NAME, COMMIT)
        dim = (model.model_meta.experiment_kwargs or {}).get("dim", 96)
        found |= {(result.task_name, dim): result.get_score() for result in model.task_results}
    assert found == {key: pytest.approx(score, abs=1e-6) for key, score in scores.items()}
    assert len(set(found.values())) == len(TASKS) * 3  # catches a loader that averages or repeats dimensions


def test_its_default_sees_the_full_width_alone(exported, scores):
    """Without load_experiments it must find the protocol's own scores, not another dimension's."""
    (model,) = ResultCache(exported).load_results(models=[NAME], tasks=TASKS).model_results
    found = {result.task_name: result.get_score() for result in model.task_results}
    assert found == {task: pytest.approx(scores[task, 96], abs=1e-6) for task in TASKS}


def test_folders_are_named_as_the_results_repository_checks(exported):
    """Its rule: results/<name with __>/<revision> holds the model_meta.json of that name and revision, and results."""
    metas = list(exported.glob("results/**/model_meta.json"))
    assert len(metas) == 3
    for path in metas:
        meta = json.loads(path.read_text())
        assert (meta["name"], meta["revision"]) == (NAME, COMMIT)
        base = exported / "results" / NAME.replace("/", "__") / COMMIT
        kwargs = meta["experiment_kwargs"]
        assert path.parent == (base / "experiments" / f"dim_{kwargs['dim']}" if kwargs else base)
        assert {p.stem for p in path.parent.glob("*.json")} == {*TASKS, "model_meta"}


def test_submit_results_takes_them(exported, monkeypatch, tmp_path):
    """mteb's own submission, up to the commit; its clone of the results repository is replaced by an empty one."""
    cache = ResultCache(shutil.copytree(exported, tmp_path / "cache"))
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]

    def empty_clone():
        cache.remote_repo_path.mkdir(parents=True)
        for argv in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "start"]):
            subprocess.run([*git, *argv], cwd=cache.remote_repo_path, check=True)
        subprocess.run(["git", "config", "user.name", "t"], cwd=cache.remote_repo_path, check=True)
        subprocess.run(["git", "config", "user.email", "t@example.org"], cwd=cache.remote_repo_path, check=True)

    monkeypatch.setattr(cache, "download_from_remote", empty_clone)
    response = cache.submit_results(create_pr=False)
    assert response["status"] == "ready_for_submission"
    assert response["models_submitted"] == [(NAME, COMMIT)]
    assert response["result_count"] == len(TASKS)
    argv = ["git", "show", "--name-only", "--format="]
    committed = subprocess.run(argv, cwd=cache.remote_repo_path, capture_output=True, text=True, check=True)
    base = f"results/{NAME.replace('/', '__')}/{COMMIT}"
    assert set(committed.stdout.split()) == {f"{base}/{name}.json" for name in [*TASKS, "model_meta"]}


def test_a_folders_name_and_revision_never_leave(finished, tmp_path, capsys):
    target = tmp_path / "new"
    for given, message in (
        ([], "local/tiny: not a model's name on the hub; give --model_name ORG/NAME"),
        (["--model_name", "local/x"], "not a model's name on the hub"),
        (["--model_name", "no-organisation"], "not a model's name on the hub"),
        (["--model_name", NAME], "is not a commit on the hub; give --model_revision COMMIT"),
        (["--model_name", NAME, "--model_revision", "no_revision_available"], "is not a commit on the hub"),
        (["--model_name", NAME, "--model_revision", COMMIT, "--mteb", "card"], "no results of --mteb card"),
    ):
        assert cli.main(["export", str(finished), "--to", str(target), *given]) == cli.EXIT_BAD_INPUT
        assert message in capsys.readouterr().err
        assert not target.exists()


def test_a_changed_result_is_named_and_not_exported(finished, tmp_path, caplog):
    copy = shutil.copytree(finished, tmp_path / "copy")
    path = next(copy.glob("results/*/*/STSB.json"))
    path.write_text(path.read_text().replace("main_score", "main_score "))
    argv = ["export", str(copy), "--to", str(tmp_path / "new"), "--model_name", NAME, "--model_revision", COMMIT]
    assert cli.main(argv) == 0
    assert "STSB.json: left out, it was changed" in caplog.text
    full = tmp_path / "new/results" / NAME.replace("/", "__") / COMMIT
    assert [p.stem for p in full.glob("T2Reranking.json")] == ["T2Reranking"] and not (full / "STSB.json").exists()


def exporting(results, to, *more) -> int:
    return cli.main(["export", str(results), "--to", str(to), *more])


HUB = ["--model_name", NAME, "--model_revision", COMMIT]


def changed_copy(finished, folder, change):
    """A copy of a run with changed manifest entries; the files go to where the entries now point."""
    copy = shutil.copytree(finished, folder)
    content = json.loads((copy / "manifest.json").read_text())
    variants = {}
    for place, entry in content["variants"].items():
        new = change(place, entry) or place
        if new != place:
            shutil.copytree(copy / place, copy / new, dirs_exist_ok=True, ignore=shutil.ignore_patterns("experiments"))
        variants[new] = entry
    (copy / "manifest.json").write_text(json.dumps(content | {"variants": variants}))
    return copy


def test_two_models_are_never_merged(finished, tmp_path, capsys):
    def other_name(place, entry):
        if entry["variant"]["dim"] == 16:
            entry["variant"]["model"] = "local/other"
            return place.replace("local__tiny", "local__other")

    mixed = changed_copy(finished, tmp_path / "mixed", other_name)
    assert exporting(mixed, tmp_path / "new", *HUB) == cli.EXIT_BAD_INPUT
    assert "several models (local/other@local-" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_hub_models_results_keep_their_name(finished, tmp_path, capsys):
    def from_the_hub(place, entry):
        entry["variant"] |= {"model": NAME, "revision": COMMIT}
        return place.replace("local__tiny", NAME.replace("/", "__")).replace(place.split("/")[2], COMMIT)

    hub = changed_copy(finished, tmp_path / "hub", from_the_hub)
    assert exporting(hub, tmp_path / "new", "--model_name", "Org/Other") == cli.EXIT_BAD_INPUT
    assert f"--model_name Org/Other: these are results of {NAME}" in capsys.readouterr().err
    assert exporting(hub, tmp_path / "new") == 0
    assert exporting(hub, tmp_path / "new", *HUB) == 0  # repeating the export changes nothing
    assert (tmp_path / "new/results" / NAME.replace("/", "__") / COMMIT / "STSB.json").exists()


def test_the_cards_results_are_exported_on_demand_and_never_over_the_current_ones(finished, tmp_path, capsys):
    def by_the_cards_mteb(place, entry):
        entry["variant"]["experiment"] = sorted([*entry["variant"]["experiment"], ["mteb", "1.38.30"]])
        return Variant(**entry["variant"]).folder

    card = changed_copy(finished, tmp_path / "card", by_the_cards_mteb)
    assert exporting(card, tmp_path / "new", *HUB) == cli.EXIT_BAD_INPUT
    assert "no results of --mteb current" in capsys.readouterr().err
    for path in card.glob("results/**/STSB.json"):
        path.write_text(path.read_text().replace("2.26.24", "1.38.30"))
    content = json.loads((card / "manifest.json").read_text())
    for place, entry in content["variants"].items():
        entry["tasks"]["STSB"]["sha256"] = hashlib.sha256((card / place / "STSB.json").read_bytes()).hexdigest()
    (card / "manifest.json").write_text(json.dumps(content))
    assert exporting(card, tmp_path / "new", *HUB, "--mteb", "card") == 0
    base = tmp_path / "new/results" / NAME.replace("/", "__") / COMMIT
    assert json.loads((base / "STSB.json").read_text())["mteb_version"] == "1.38.30"
    assert {p.name for p in (base / "experiments").iterdir()} == {"dim_16", "dim_64"}
    assert exporting(finished, tmp_path / "new", *HUB) == cli.EXIT_BAD_INPUT
    assert "STSB.json: exists already with other content" in capsys.readouterr().err
    assert json.loads((base / "STSB.json").read_text())["mteb_version"] == "1.38.30"


def test_results_of_which_none_is_the_protocols_own_are_exported_with_a_warning(finished, tmp_path, caplog):
    def in_float32(place, entry):
        entry["variant"]["experiment"] = sorted([*entry["variant"]["experiment"], ["dtype", "float32"]])
        return Variant(**entry["variant"]).folder

    assert exporting(finished, tmp_path / "own", *HUB) == 0
    assert not any("submit-results" in message for message in caplog.messages)
    assert exporting(changed_copy(finished, tmp_path / "copy", in_float32), tmp_path / "new", *HUB) == 0
    (line,) = [message for message in caplog.messages if "submit-results finds none" in message]
    assert "dtype_float32" in line and "--dtype bfloat16" in line


def test_a_damaged_model_meta_and_a_file_as_target_are_named(finished, tmp_path, capsys):
    copy = shutil.copytree(finished, tmp_path / "copy")
    next(copy.glob("results/*/*/model_meta.json")).write_text("{")
    assert exporting(copy, tmp_path / "new", *HUB) == cli.EXIT_BAD_INPUT
    assert "model_meta.json: missing or damaged" in capsys.readouterr().err
    (tmp_path / "file").write_text("x")
    assert exporting(finished, tmp_path / "file", *HUB) == cli.EXIT_BAD_INPUT
    assert "is a file, not a folder" in capsys.readouterr().err
