"""Nothing that comes with a checkpoint, a data set or a results folder is executed: no pickles, code only by flag."""

import ast
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkpoints import edit_json, with_remote_code
from commands import run_command
from safetensors.torch import load_file

from qzhou_eval import cli
from qzhou_eval.model.folder.checkpoint import find_checkpoint

PACKAGE = Path(cli.__file__).parents[1]

MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "dbm", "runpy"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
CALLS = {
    *("torch.load", "torch.save", "torch.jit.load", "torch.hub.load", "np.load", "numpy.load", "np.fromfile"),
    *("pd.read_pickle", "pandas.read_pickle", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all"),
    *("os.system", "os.popen"),
}
OPTIONS = {"allow_pickle", "shell", "weights_only", "allow_dangerous_deserialization"}


def loaders_of_code(source: str) -> list[str]:
    """Everything in a module that can execute what it reads: imports, calls, options."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            found.append(node.module)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            safely = any(one.arg == "weights_only" and ast.unparse(one.value) == "True" for one in node.keywords)
            if name == "torch.load" and safely:
                continue  # runs no code; see tests/model/test_pickles.py
            found += [name] if name in CALLS | BUILTINS or name.endswith(".to_pickle") else []
            ours = name.isidentifier()  # a function of this project may pass the user's own flag on
            asked = [option.arg for option in node.keywords if option.arg in OPTIONS]
            found += [f"{name}({option}=)" for option in asked if not (ours and option == "allow_pickle")]
    return found


def test_the_package_has_no_way_to_execute_what_it_reads():
    found = {str(path): loaders_of_code(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}
    assert len(found) > 70
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "source",
    [
        *("import pickle", "from joblib import load", "import marshal as m", "x = eval('1')", "exec(open('f').read())"),
        *(
            "torch.load(path)",
            "torch.load(path, weights_only=False)",
            "np.load(f)",
            "numpy.memmap(f, allow_pickle=True)",
            "yaml.load(f)",
            "frame.to_pickle(p)",
        ),
        *("subprocess.run(c, shell=True)", "def f():\n    import dill", "os.system('ls')", "__import__('x')"),
    ],
)
def test_each_way_would_be_found(source):
    assert loaders_of_code(source)
    assert not loaders_of_code("model.eval()\nre.compile('a')\nload_file(p)\nyaml.safe_load(f)\njson.loads(t)")


class Bomb:
    """An object whose pickle makes a folder when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.fixture
def marker(tmp_path) -> Path:
    """A path that exists if anything was executed."""
    return tmp_path / "executed"


@pytest.fixture
def bomb(tmp_path, marker) -> bytes:
    """A pickle that creates the marker when it is read, as the first lines prove."""
    content = pickle.dumps(Bomb(marker))
    pickle.loads(content)
    marker.rmdir()
    return content


def run(model: Path, data: Path, output: Path, *more: str) -> int:
    return cli.main(run_command(model, data, output, "--tasks", "STSB", *more))


BESIDE = ("pytorch_model.bin", "optimizer.pt", "training_args.bin", "model.pkl", "2_Dense/pytorch_model.bin")


@pytest.mark.slow
def test_pickles_beside_weights_results_and_vectors_are_never_read(
    *, tiny, official, finished, tmp_path, bomb, marker, monkeypatch, caplog
):
    """All of them at once; the run ends with the scores of a run without them."""
    monkeypatch.setenv("QZHOU_EVAL_CACHE", str(tmp_path / "cache"))
    model, output = shutil.copytree(tiny, tmp_path / "tiny"), shutil.copytree(finished, tmp_path / "out")
    for name in BESIDE:
        (model / name).write_bytes(bomb)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "digests.json").write_bytes(bomb)
    (store,) = output.glob("store/*")
    for shard in store.glob("*.safetensors"):
        shard.unlink()
    planted = [store / "x.safetensors", store / f"{hashlib.sha256(bomb).hexdigest()[:32]}.safetensors"]
    for path in (*planted, store / "settings.json", *output.glob("results/**/STSB.json")):
        path.write_bytes(bomb)
    expected = {p.relative_to(finished): json.loads(p.read_text())["scores"] for p in finished.glob(STSB)}
    assert run(model, official, output) == 0
    assert not marker.exists()
    assert {p.suffix for p in store.iterdir() if p.stem in ("x", planted[1].stem)} == {".damaged"}
    assert caplog.text.count("set aside as") == 2
    found = {
        p.relative_to(output): json.loads(p.read_text())["scores"] for p in output.glob(STSB) if "_64" not in str(p)
    }
    assert found.items() <= expected.items() and len(found) == 2


STSB = "results/**/STSB.json"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("model.safetensors", "model.safetensors: damaged or incomplete"),
        ("2_Dense/model.safetensors", "2_Dense/model.safetensors: damaged or incomplete"),
        ("tokenizer.json", "cannot load the tokenizer"),
        ("tokenizer_config.json", "cannot read"),
        ("config.json", "cannot read"),
        ("modules.json", "cannot read"),
        ("1_Pooling/config.json", "cannot read"),
        ("model.safetensors.index.json", "cannot read"),
    ],
)
def test_a_pickle_in_a_files_place_is_one_line(*, tiny, tmp_path, bomb, marker, capsys, file, message):
    """Through ``verify``, which loads the whole model and starts no other process."""
    model = shutil.copytree(tiny, tmp_path / "model")
    (model / file).write_bytes(bomb)
    assert cli.main(["verify", "--model_name_or_path", str(model), "--device", "cpu"]) == cli.EXIT_BAD_INPUT
    (said,) = capsys.readouterr().err.splitlines()
    assert message in said
    assert not marker.exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pkl", "consolidated.00.pth"])
def test_a_pickle_instead_of_the_weights_is_one_line(*, tiny, tmp_path, bomb, marker, capsys, name):
    model = shutil.copytree(tiny, tmp_path / "model")
    (model / "model.safetensors").unlink()
    (model / name).write_bytes(bomb)
    assert cli.main(["verify", "--model_name_or_path", str(model)]) == cli.EXIT_BAD_INPUT
    (said,) = capsys.readouterr().err.splitlines()
    refused = (
        "its weights are a pickle" if name == "pytorch_model.bin" else "no *.safetensors file; other weight formats"
    )
    assert refused in said
    assert not marker.exists()


@pytest.mark.parametrize("file", ["manifest.json", "result"])
@pytest.mark.parametrize("verb", [["report"], ["compare", "--to", "published:Conan-embedding-v1"]])
def test_a_pickle_among_the_results_is_one_line(*, finished, tmp_path, bomb, marker, capsys, caplog, file, verb):
    """A bad manifest makes the command refuse the folder; a bad result is left out by name."""
    output = shutil.copytree(finished, tmp_path / "out")
    path = output / file if file == "manifest.json" else next(output.glob(STSB))
    path.write_bytes(bomb)
    code = cli.main([*verb, str(output)])
    (said,) = capsys.readouterr().err.splitlines() if file == "manifest.json" else [caplog.text]
    assert f"{path}: " in said
    assert code == cli.EXIT_BAD_INPUT or file == "result"
    assert not marker.exists()


@pytest.mark.parametrize("flag", ["compare", "verify"])
def test_a_pickle_as_the_other_side_is_one_line(*, finished, tiny, tmp_path, bomb, marker, capsys, flag):
    other = tmp_path / "other.json"
    other.write_bytes(bomb)
    compare = ["compare", str(finished), "--to", str(other)]
    verify = ["verify", "--model_name_or_path", str(tiny), "--against", str(other)]
    assert cli.main(compare if flag == "compare" else verify) == cli.EXIT_BAD_INPUT
    (said,) = capsys.readouterr().err.splitlines()
    assert str(other) in said
    assert not marker.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["test.jsonl", "test.parquet", "test.pkl", "test.pt", "test.arrow"])
def test_a_pickle_as_data_is_one_line(*, tiny, tmp_path, bomb, marker, caplog, name):
    folder = tmp_path / "data/mteb/STSB/data"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(bomb)
    assert run(tiny, tmp_path / "data", tmp_path / "out") == cli.EXIT_BAD_INPUT
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "STSB: " in said and str(folder.parent) in said and len(said.splitlines()) == 1
    assert not marker.exists()


OWN_TOKENIZER = "from transformers import PreTrainedTokenizerFast\n\n\nclass Own(PreTrainedTokenizerFast):\n    pass\n"


@pytest.fixture
def remote(tiny, tokenizer, tmp_path, marker) -> Path:
    """A checkpoint with its own code for decoder and tokenizer, which creates the marker as soon as it is imported."""
    placeholder = tokenizer.convert_tokens_to_ids("<|im_start|>")
    folder = with_remote_code(tiny, tmp_path / "remote", placeholder=placeholder, last_layer=7)
    side_effect = f"import pathlib\npathlib.Path({str(marker)!r}).mkdir(exist_ok=True)\n"
    code = folder / "modeling_prepending.py"
    code.write_text(side_effect + code.read_text("utf-8"), "utf-8")
    (folder / "own.py").write_text(side_effect + OWN_TOKENIZER, "utf-8")
    edit_json(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": [None, "own.Own"]}, tokenizer_class="Own")
    return folder


def started(*argv: str, said: str = "") -> subprocess.CompletedProcess:
    """Run the real command with ``said`` on its stdin, as from someone who answers yes to every question."""
    command = [sys.executable, "-m", "qzhou_eval.cli", *argv]
    env = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    return subprocess.run(command, capture_output=True, text=True, input=said, env=env, check=False)


@pytest.mark.slow
def test_without_the_flag_a_checkpoints_code_never_runs_nor_is_anybody_asked(remote, official, tmp_path, marker):
    argv = run_command(remote, official, tmp_path / "out", "--tasks", "STSB")
    done = started(*argv, said="y\n" * 9)
    assert not marker.exists()
    assert "[y/N]" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    (said,) = [line for line in done.stderr.splitlines() if "has its own code, which is not run" in line]
    assert "modeling_prepending.PrependingQwen3 (config.json), own.Own (tokenizer_config.json)" in said
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_with_the_flag_one_line_names_the_code_and_its_revision(remote, official, tmp_path, marker):
    edit_json(remote / "tokenizer_config.json", auto_map={}, tokenizer_class="PreTrainedTokenizerFast")
    argv = run_command(remote, official, tmp_path / "out", "--tasks", "STSB", "--trust_remote_code")
    done = started(*argv)
    assert done.returncode == 0, done.stderr
    assert marker.exists()
    revision = find_checkpoint(str(remote)).revision
    said = [line for line in done.stderr.splitlines() if line.startswith("running")]
    assert said == [f"running the checkpoint's own code (--trust_remote_code), revision {revision}"]


@pytest.mark.slow
@pytest.mark.parametrize("own", ["tokenizer", "decoder"])
def test_code_for_an_architecture_that_nobody_knows_is_refused_and_nobody_is_asked(remote, marker, own):
    """Without a class of its own to fall back on, transformers would ask on the terminal."""
    edit_json(remote / "config.json", model_type="nobody")
    if own == "decoder":
        edit_json(remote / "tokenizer_config.json", auto_map={}, tokenizer_class="PreTrainedTokenizerFast")
    done = started("verify", "--model_name_or_path", str(remote), "--device", "cpu", said="y\n" * 9)
    assert not marker.exists()
    assert done.returncode == cli.EXIT_BAD_INPUT
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert not any(word in done.stdout + done.stderr for word in ("[y/N]", "Traceback", "[transformers]"))


def test_a_plain_load_is_refused_where_a_module_is_the_checkpoints_own(remote, marker, capsys):
    """Older sentence-transformers import such a class from a local folder even without permission to run its code."""
    edit_json(remote / "tokenizer_config.json", auto_map={}, tokenizer_class="PreTrainedTokenizerFast")
    modules = json.loads((remote / "modules.json").read_text())
    modules[0]["type"] = "modeling_prepending.Transformer"
    (remote / "modules.json").write_text(json.dumps(modules))
    argv = ["verify", "--model_name_or_path", str(remote), "--against", "sentence-transformers"]
    assert cli.main(argv) == cli.EXIT_BAD_INPUT
    assert "modeling_prepending.Transformer is code of the checkpoint" in capsys.readouterr().err
    assert not marker.exists()


def test_vectors_are_kept_as_safetensors_alone(finished):
    (store,) = finished.glob("store/*")
    assert {path.suffix for path in store.iterdir()} == {".safetensors", ".json"}
    assert all(load_file(path).keys() == {"keys", "vectors"} for path in store.glob("*.safetensors"))
