"""One direction of data flow: a module imports only from what is below it, and light modules stay light."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "qzhou_eval"

# The folders from the bottom up: a module imports from folders below its own, and from its own without a cycle.
LAYERS = (
    *("errors", "system", "fetch", "protocol", "statistics", "benchmark", "results", "model"),
    *("encode", "evaluate", "checks", "report", "run", "cli", "miniature"),
)

HEAVY = ["mteb", "torch", "pandas", "scipy"]  # each takes a quarter of a second or more

# All that a rerun of the miniature does before it knows whether there is work to do.
KEPT = """import tempfile, pathlib
from qzhou_eval.run.reuse import missing_results
from qzhou_eval.miniature.__main__ import runs
assert len([missing_results(run) for run in runs(pathlib.Path(tempfile.gettempdir(), "no-results")).values()]) == 2"""


def modules() -> dict[str, Path]:
    """Every module by its name below the package; a package's own module has the folder's name."""
    paths = {path.relative_to(PACKAGE).with_suffix(""): path for path in PACKAGE.rglob("*.py")}
    return {".".join(place.parts).removesuffix(".__init__"): path for place, path in paths.items()}


def imports(path: Path, known: Iterable[str]) -> set[str]:
    """Modules of the package that a file imports anywhere, including inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if _below_package(names) & set(known) else {node.module}
    return _below_package(found) & set(known)


def _below_package(names: Iterable[str]) -> set[str]:
    return {name.removeprefix("qzhou_eval.") for name in names if name.startswith("qzhou_eval.")}


def test_modules_import_from_folders_below_their_own():
    known = modules()
    for name, path in known.items():
        layer = name.split(".")[0]
        if name != "__init__":
            allowed = LAYERS[: LAYERS.index(layer) + 1]
            assert {other.split(".")[0] for other in imports(path, known)} <= set(allowed), name


def test_no_imports_in_a_circle():
    known = modules()
    TopologicalSorter({name: imports(path, known) - {name} for name, path in known.items()}).prepare()


def test_every_folder_is_in_the_package():
    listed = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py")}
    assert {".".join(folder.parts) for folder in folders} == {
        name for name in listed if not name.startswith("qzhou_eval._data")
    }


def test_every_folder_says_what_is_inside():
    for folder in (path for path in PACKAGE.rglob("*") if any(path.glob("*.py"))):
        said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8")))
        assert said and said.splitlines()[0].endswith((".", ":")), folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "absent"),
    [
        ("import qzhou_eval.model.embedder", ["mteb", "datasets", "sklearn"]),
        (
            "import qzhou_eval.checks.verify.verify, qzhou_eval.checks.verify.other_process",
            ["mteb", "datasets", "sklearn", "sentence_transformers"],
        ),
        (
            "import qzhou_eval.evaluate.retrieval.search, qzhou_eval.evaluate.retrieval.rank_metrics",
            ["mteb", "datasets", "sklearn"],
        ),
        ("import qzhou_eval.statistics.bootstrap", HEAVY),
        ("from qzhou_eval import load_results", ["mteb", "torch", "transformers", "datasets"]),
        ("import qzhou_eval", ["torch", "pandas", "numpy"]),
        ("import qzhou_eval.report.content.ranking", ["mteb", "torch", "transformers", "datasets"]),
        ("import qzhou_eval.report.write", [*HEAVY, "transformers", "datasets", "jinja2", "pydantic"]),
        (
            "import qzhou_eval.checks.compare.compare, qzhou_eval.results.export",
            [*HEAVY, "transformers", "datasets", "pydantic"],
        ),
        ("import qzhou_eval.checks.regression.check", [*HEAVY, "transformers", "datasets"]),
        ("import qzhou_eval.run.config, qzhou_eval.run.plan", ["mteb", "torch", "transformers", "datasets"]),
        (KEPT, [*HEAVY, "transformers", "datasets"]),
        ("import qzhou_eval.run.pipeline, qzhou_eval.encode.stage", ["mteb", "transformers", "datasets", "rich"]),
        ("import qzhou_eval.encode.progress", ["rich", "torch", "numpy"]),
        (
            "import qzhou_eval.fetch.receipt, qzhou_eval.benchmark.data_sources",
            ["huggingface_hub", "httpx2", "tenacity"],
        ),
        (
            "import qzhou_eval.fetch.download, pathlib, tempfile\n"
            "qzhou_eval.fetch.download.ModelScope(pathlib.Path(tempfile.mkdtemp()))",
            ["torch", "transformers", "datasets", "modelscope", "numpy"],
        ),
        ("import qzhou_eval.cli; qzhou_eval.cli._parser()", ["mteb", "torch", "pandas", "pydantic"]),
    ],
)
def test_what_a_part_does_without(command, absent):
    code = f"{command}\nimport sys\nprint([m for m in {absent!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    assert done.stdout.strip() == "[]"


def test_files_are_short():
    for folder in ("qzhou_eval", "tests", "perf"):
        for path in (PACKAGE.parent / folder).rglob("*.py"):
            assert len(path.read_text("utf-8").splitlines()) <= 300, path
