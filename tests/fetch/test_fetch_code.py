"""What ``fetch`` brings on demand: pickles, and a model's own code, which only a flag runs; what lacks is one line."""

import json

import fetching
import pytest
from checkpoints import edit_json, with_remote_code
from commands import run_command
from fetching import contents
from hub import COMMIT, Hub
from verifying import OK, fitting, marks, quick_profile, verdict

from qzhou_eval import cli
from qzhou_eval.benchmark.packaged import cmteb
from qzhou_eval.model.folder.checkpoint import find_checkpoint

CODE = "modeling_prepending.py"
CLASS = "modeling_prepending.PrependingQwen3"


@pytest.fixture
def model(tiny, tokenizer, tmp_path):
    """A checkpoint whose code is in two files, one of which imports the other."""
    placeholder = tokenizer.convert_tokens_to_ids("<|im_start|>")
    folder = with_remote_code(tiny, tmp_path / "made", placeholder=placeholder, last_layer=7)
    constants, rest = (folder / CODE).read_text("utf-8").split("\n", 1)
    (folder / "constants.py").write_text(constants + "\n", "utf-8")
    (folder / CODE).write_text(f"from .constants import LAST, PLACEHOLDER\n{rest}", "utf-8")
    return folder


@pytest.fixture
def hub(model):
    hub = Hub()
    hub.add_folder("org/tiny", model, COMMIT, "models")
    yield hub
    hub.close()


@pytest.fixture
def fetch(hub, tmp_path):
    """A function that fetches the model, with more flags: exit code, stdout and stderr."""
    asked = ["fetch", "--to", tmp_path / "data", "--model", "org/tiny"]
    return lambda *argv: fetching.run([*asked, *argv], tmp_path, hub.url)


def named(folder) -> tuple[str, str]:
    found = find_checkpoint(str(folder))
    return found.name, found.revision[:6]


def one_line(code: int, out: str, err: str) -> str:
    assert (code, out, err.count("\n")) == (cli.EXIT_BAD_INPUT, "", 1)
    assert "://" not in err
    return err


@pytest.mark.slow
def test_fetch_then_verify_against_the_code(fetch, hub, model, tmp_path):
    folder = tmp_path / "data/models/org/tiny"
    profile = quick_profile(tmp_path)
    where = ["verify", "--model_name_or_path", folder, "--profile", profile, "--device", "cpu", "--against", "remote"]

    def verify(*flags):
        return fetching.run([*where, *flags], tmp_path, hub.url)

    code, _, err = fetch()
    assert code == 0
    said = f"org/tiny: names code of its own ({CLASS}), which was not downloaded: download it with --code"
    assert sum(line.startswith(said) for line in err.splitlines()) == 1
    assert [name for name in contents(folder) if name.endswith(".py")] == []
    command = f"qzhou-eval fetch --model org/tiny --revision {COMMIT} --code --to ROOT"
    line = one_line(*verify())
    assert line == f"error: {folder}/config.json: names {CLASS}, but {CODE} is missing; download it with {command}\n"

    hub.forget()
    code, _, err = fetch("--code")
    assert code == 0 and "not downloaded" not in err
    assert set(hub.sent) == {CODE, "constants.py"}  # the rest was already downloaded
    assert contents(folder) == contents(model)
    recorded = json.loads((tmp_path / "data/fetched.json").read_text())["repositories"]["models/org/tiny"]
    assert {CODE, "constants.py"} < recorded["files"].keys() and recorded["revision"] == COMMIT
    hub.forget()
    code, out, err = verify()
    assert code == 0, err
    assert f"this side:  org/tiny, revision {COMMIT}" in out
    assert (marks(out), fitting(out)) == (OK, ["TP 1-7"])
    assert verdict(out).startswith("verdict: OK: ")
    assert verify("--offline")[0] == 0
    assert hub.requests == []  # neither fetching nor running made a request
    assert named(folder) == ("org/tiny", COMMIT[:6])

    (folder / "constants.py").unlink()
    assert named(folder) == ("local/tiny", "local-")
    assert f"but constants.py, which {CODE} imports, is missing; add the file, or download" in one_line(*verify())


@pytest.mark.slow
def test_code_that_came_stays_and_is_checked(fetch, hub, model, tmp_path):
    folder = tmp_path / "data/models/org/tiny"
    assert fetch("--code")[0] == 0
    before = (tmp_path / "data/fetched.json").read_text()
    for flags in ([], ["--code"], ["--revision", COMMIT], ["--revision", COMMIT, "--code"]):
        hub.forget()
        code, _, err = fetch(*flags)
        assert code == 0 and "already there" in err and "not downloaded" not in err
        assert hub.sent == {} and (tmp_path / "data/fetched.json").read_text() == before
    assert hub.requests == []  # a commit that is complete, its code included

    verify = ["fetch", "--to", tmp_path / "data", "--verify"]
    assert fetching.run(verify, tmp_path)[0] == 0
    own = (folder / CODE).read_bytes()
    (folder / CODE).write_bytes(own + b"# edited\n")
    assert fetching.run(verify, tmp_path)[:2] == (1, f"models/org/tiny/{CODE}: changed\n")
    assert named(folder) == ("local/tiny", "local-")
    assert fetch()[0] == 0  # also without the flag
    assert (folder / CODE).read_bytes() == own and named(folder) == ("org/tiny", COMMIT[:6])

    (folder / "own.py").write_text("# by hand\n")
    assert named(folder) == ("local/tiny", "local-")
    assert fetching.run(verify, tmp_path)[:2] == (1, "models/org/tiny/own.py: extra\n")
    (folder / "own.py").unlink()

    (model / CODE).write_bytes(own + b"# the next version\n")
    hub.add_folder("org/tiny", model, "d" * 40, "models")
    assert fetch()[0] == 0  # never new weights with old code
    assert (folder / CODE).read_bytes() == own + b"# the next version\n"
    assert named(folder) == ("org/tiny", "dddddd")


@pytest.mark.slow
def test_code_added_by_hand_is_not_the_hubs(fetch, hub, model, tmp_path):
    folder = tmp_path / "data/models/org/tiny"
    assert fetch()[0] == 0
    assert named(folder) == ("org/tiny", COMMIT[:6])
    for name in (CODE, "constants.py"):
        (folder / name).write_bytes((model / name).read_bytes())  # even the hub's own bytes: nobody has checked them
    assert named(folder) == ("local/tiny", "local-")
    assert "so not the hub's version: constants.py, modeling_prepending.py\n" in fetch()[2]
    hub.forget()
    assert fetch("--code")[0] == 0
    assert hub.sent == {} and named(folder) == ("org/tiny", COMMIT[:6])


def test_a_repository_without_the_code_that_it_names_says_so(fetch, hub, model):
    for path in model.glob("*.py"):
        path.unlink()
    hub.add_folder("org/tiny", model, "d" * 40, "models")
    code, _, err = fetch("--code")
    assert code == 0 and f"names code of its own ({CLASS}), which was not downloaded: the repository has none\n" in err


@pytest.mark.slow
def test_what_is_named_comes_and_nothing_else(fetch, hub, tmp_path):
    """The hub has only the model, so each data set that is requested gives a line."""
    data_sets = sorted(task.path for task in cmteb().tasks)

    def missing(out: str) -> list[str]:
        return sorted(line.split(":")[0] for line in out.splitlines())

    assert fetch()[:2] == (0, "")
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"models", "fetched.json"}
    code, out, _ = fetch("--tasks", "STSB")
    assert (code, missing(out)) == (3, ["mteb/STSB"])
    code, out, _ = fetch("--benchmark", "cmteb")
    assert (code, missing(out)) == (3, data_sets) and len(data_sets) == 31
    code, out, _ = fetching.run(["fetch", "--to", tmp_path / "data"], tmp_path, hub.url)
    assert (code, missing(out)) == (3, data_sets)


def test_pickles_come_if_asked_for_stay_and_are_part_of_the_proof(fetch, hub, model, tmp_path):
    (model / "pytorch_model.bin").write_bytes(b"a pickle")
    hub.add_folder("org/tiny", model, COMMIT, "models")
    folder = tmp_path / "data/models/org/tiny"
    assert fetch()[0] == 0
    assert not (folder / "pytorch_model.bin").exists()
    hub.sent.clear()
    assert fetch("--pickle")[0] == 0
    assert set(hub.sent) == {"pytorch_model.bin"}  # the rest was already downloaded
    assert fetch()[0] == 0
    assert (folder / "pytorch_model.bin").read_bytes() == b"a pickle"
    assert named(folder)[0] == "org/tiny"
    (folder / "pytorch_model.bin").write_bytes(b"another")
    assert named(folder)[0] == "local/tiny"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--code"], "--code: only for --model; give --model ORG/NAME"),
        (["--pickle"], "--pickle: only for --model; give --model ORG/NAME"),
        (["--tasks", "STSB", "--code"], "--code: only for --model; give --model ORG/NAME"),
        (["--tasks"], "nothing to fetch: --tasks has no name, and --model is missing"),
    ],
)
def test_flags_that_do_not_fit_are_one_line(tmp_path, capsys, flags, message):
    assert cli.main(["fetch", "--to", str(tmp_path / "data"), *flags]) == cli.EXIT_BAD_INPUT
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize("command", ["run", "verify"])
def test_missing_code_of_a_local_folder_is_one_line(model, official, tmp_path, capsys, command):
    (model / "constants.py").unlink()
    verify = ["verify", "--model_name_or_path", str(model), "--device", "cpu", "--against", "remote"]
    run = run_command(model, official, tmp_path / "out", "--tasks", "STSB", "--trust_remote_code")
    code = cli.main(run if command == "run" else verify)
    line = one_line(code, *capsys.readouterr())
    how = "add the file, or download the model with qzhou-eval fetch --model ORG/NAME --code --to ROOT"
    words = f"names {CLASS}, but constants.py, which {CODE} imports, is missing; {how}"
    assert line == f"error: {model}/config.json: {words}\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "names", "message"),
    [
        ("tokenizer_config.json", [None, "own.Own"], "names own.Own, but own.py is missing; add the file, or"),
        ("tokenizer_config.json", ["org/other--own.Own", None], "own.Own is code from another repository, which"),
        ("tokenizer_config.json", ["../own.Own", None], "../own.Own is not a FILE.CLASS in the same folder"),
        ("modules.json", "own.Transformer", "names own.Transformer, but own.py is missing; add the file, or"),
        ("modules.json", "org/other--own.Transformer", "is code from another repository, which nothing pins"),
    ],
)
def test_other_code_that_sentence_transformers_would_run_is_there_or_one_line(
    *, model, tmp_path, monkeypatch, capsys, file, names, message
):
    """The decoder's code is downloaded; that of the tokenizer or a module is not, or is another repository's."""
    (tmp_path / "path" / "own").mkdir(parents=True)  # a folder that happens to have the module's name
    monkeypatch.syspath_prepend(tmp_path / "path")
    if file == "modules.json":
        modules = json.loads((model / file).read_text("utf-8"))
        modules[0]["type"] = names
        (model / file).write_text(json.dumps(modules), "utf-8")
    else:
        edit_json(model / file, auto_map={"AutoTokenizer": names})
    argv = ["verify", "--model_name_or_path", str(model), "--device", "cpu", "--against", "remote"]
    line = one_line(cli.main(argv), *capsys.readouterr())
    assert line.startswith(f"error: {model / file}: ") and message in line
