"""The documentation's commands: the command line accepts each as written, up to where work would begin."""

import re
import shlex
from pathlib import Path
from string import Template

import pytest

from qzhou_eval import cli
from qzhou_eval.errors import BadInput

ROOT = Path(cli.__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
ASSIGNED = re.compile(r'\b([A-Z]+)=("[^"]*"|\S+)', re.MULTILINE)
VERBS = {"qzhou-eval": " ", "run_benchmark_cmteb.sh": "run", "...": "run --model_name_or_path M"}
PLACEHOLDERS = {"...": "--model_name_or_path M"}


def commands(page: Path) -> list[str]:
    """The project's own commands that a page shows, with continued lines joined and variables filled in."""
    found, variables = [], {}
    for block in BLOCK.findall(page.read_text("utf-8")):
        variables |= {name: value.strip('"') for name, value in ASSIGNED.findall(block)}
        text = block.replace("\\\n", " ")
        for _ in range(2):  # a variable may contain another
            text = Template(text).safe_substitute(variables)
        for line in text.splitlines():
            for part in re.split(r" && | ; ", re.sub(r"(^|\s)#\s.*", "", line)):
                name, _, rest = part.strip().partition(" ")
                if "=" in name:
                    continue
                if verb := VERBS.get(name.rpartition("/")[2]):
                    found.append(f"{verb} {rest}".strip())
    return [command for command in found if command not in ("run", "")]


EVERY = [(page.name, command) for page in PAGES for command in commands(page)]


@pytest.mark.parametrize(("page", "command"), EVERY)
def test_a_documented_command_is_one(page, command):
    words = [PLACEHOLDERS.get(word, word) for word in command.split()]
    argv = shlex.split(" ".join(words))
    try:
        cli._parser().parse_args(argv)
    except BadInput as error:
        assert "no such f" in str(error), command  # a file or folder that the reader must supply
    except SystemExit as stopped:
        assert stopped.code == 0, command  # --help


def test_there_are_commands_to_try():
    assert len(EVERY) > 40
    verbs = {command.split()[0] for _, command in EVERY}
    assert verbs >= {"run", "compare", "check", "verify", "export", "fetch", "report"}
