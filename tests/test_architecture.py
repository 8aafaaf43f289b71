"""One direction of data flow: a module imports only what stands before it, and light things stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "qzhou_eval"

# What each part may import at module level, besides the standard library and itself.
LAYERS = [
    {"errors", "paths", "files", "markdown", "units", "memory", "options"},
    {"generation", "environment", "network", "progress", "faults"},
    {"vectors"},
    {"scoring", "items"},
    {"statistics"},
    {"digests", "key_index"},
    {"fetched"},
    {"fetch"},
    {"profile", "tasks"},
    {"prompts", "averages", "published"},
    {"model"},
    {"store", "results"},
    {"shards", "again", "readings"},
    {"cluster"},
    {"variants"},
    {"checks", "openers", "noted"},
    {"config"},
    {"mteb_results"},
    {"together"},
    {"adapter"},
    {"workers"},
    {"plan", "encode", "kept", "backlog", "baselines"},
    {"evaluate", "outcome", "mteb_encoder"},
    {"score_jobs"},
    {"pipeline", "dry_run", "show", "verify"},
    {"compare", "export"},
    {"report", "gate"},
    {"cli"},
    {"smoke"},
]

HEAVY = ["mteb", "torch", "pandas", "scipy"]  # each a quarter of a second or more

# All that a rerun of the miniature does before it knows whether there is work.
KEPT = """import tempfile, pathlib
from qzhou_eval.kept import wanted
from qzhou_eval.smoke.__main__ import runs
assert len([wanted(run) for run in runs(pathlib.Path(tempfile.gettempdir(), "no-results")).values()]) == 2"""


def part_of(module: str) -> str:
    return module.removeprefix("qzhou_eval.").split(".")[0]


def imports(path: Path) -> set[str]:
    """Parts of the package imported anywhere in a file, functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "qzhou_eval":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("qzhou_eval."):
            found.add(part_of(node.module))
    return found


def test_imports_point_backwards():
    level = {part: number for number, parts in enumerate(LAYERS) for part in parts}
    exceptions = {("adapter", "smoke")}  # the miniature's task classes, when a miniature task is asked for
    for path in PACKAGE.rglob("*.py"):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if part in ("__init__", "__main__"):
            continue
        for other in imports(path) - {part}:
            assert level[other] < level[part] or (part, other) in exceptions, f"{path.name} imports {other}"


@pytest.mark.parametrize(
    ("command", "absent"),
    [
        ("import qzhou_eval.model.embedder", ["mteb", "datasets", "sklearn"]),
        (
            "import qzhou_eval.verify.check, qzhou_eval.verify.peer",
            ["mteb", "datasets", "sklearn", "sentence_transformers"],
        ),
        ("import qzhou_eval.scoring.search, qzhou_eval.scoring.ranks", ["mteb", "datasets", "sklearn"]),
        ("import qzhou_eval.statistics.bootstrap", HEAVY),
        ("from qzhou_eval import load_results", ["mteb", "torch", "transformers", "datasets"]),
        ("import qzhou_eval", ["torch", "pandas", "numpy"]),
        ("import qzhou_eval.report.placement", ["mteb", "torch", "transformers", "datasets"]),
        ("import qzhou_eval.report.write", [*HEAVY, "transformers", "datasets", "jinja2", "pydantic"]),
        ("import qzhou_eval.compare.write, qzhou_eval.export", [*HEAVY, "transformers", "datasets", "pydantic"]),
        ("import qzhou_eval.gate.check", [*HEAVY, "transformers", "datasets"]),
        ("import qzhou_eval.config, qzhou_eval.plan", ["mteb", "torch", "transformers", "datasets"]),
        (KEPT, [*HEAVY, "transformers", "datasets"]),
        ("import qzhou_eval.pipeline, qzhou_eval.encode", ["mteb", "transformers", "datasets", "rich"]),
        ("import qzhou_eval.progress", ["rich", "torch", "numpy"]),
        ("import qzhou_eval.fetched, qzhou_eval.tasks", ["huggingface_hub", "httpx2", "tenacity"]),
        (
            "import qzhou_eval.fetch.bring, pathlib, tempfile\n"
            "qzhou_eval.fetch.bring.ModelScope(pathlib.Path(tempfile.mkdtemp()))",
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
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text("utf-8").splitlines()) <= 300, path
