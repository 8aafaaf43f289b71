"""Exported results are what mteb's own loader, its submit-results and the results repository's checks accept."""

import json
import shutil
import subprocess

import pytest
from mteb.cache import ResultCache

from qzhou_eval import cli

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
    assert len(set(found.values())) == len(TASKS) * 3  # a loader that averages or repeats dimensions is seen


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
        (["--model_name", NAME], "is no commit of the hub; give --model_revision COMMIT"),
        (["--model_name", NAME, "--model_revision", "no_revision_available"], "is no commit of the hub"),
        (["--model_name", NAME, "--model_revision", COMMIT, "--mteb", "card"], "no results of --mteb card"),
    ):
        assert cli.main(["export", str(finished), "--to", str(target), *given]) == cli.EXIT_BAD_INPUT
        assert message in capsys.readouterr().err
        assert not target.exists()


def test_a_changed_result_is_not_exported(finished, tmp_path, capsys):
    copy = shutil.copytree(finished, tmp_path / "copy")
    path = next(copy.glob("results/*/*/STSB.json"))
    path.write_text(path.read_text().replace("main_score", "main_score "))
    argv = ["export", str(copy), "--to", str(tmp_path / "new"), "--model_name", NAME, "--model_revision", COMMIT]
    assert cli.main(argv) == cli.EXIT_BAD_INPUT
    assert "missing or changed" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
