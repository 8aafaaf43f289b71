"""What tests of ``compare`` share: running it, reading its table of differences, and editing a manifest."""

import json
import shutil

from qzhou_eval import cli

BAD = cli.EXIT_BAD_INPUT


def compared(capsys, *argv) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.main(["compare", *map(str, argv)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def differing(out: str) -> set[str]:
    """The first column of the tables of differences."""
    found, inside = set(), False
    for line in out.splitlines():
        if line.startswith("differs"):
            inside = True
        elif not line.strip() or line.startswith(("not known of", "only in", "not compared")):
            inside = False
        elif inside and not line.startswith("---"):
            found.add(line.split("  ")[0].strip())
    return found


def edited(finished, folder, change):
    """A copy of a finished run whose manifest's entries were changed: what cannot be made to differ here."""
    copy = shutil.copytree(finished, folder)
    content = json.loads((copy / "manifest.json").read_text())
    for entry in content["variants"].values():
        change(entry)
    (copy / "manifest.json").write_text(json.dumps(content))
    return copy
