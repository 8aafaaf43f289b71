"""Print a requirements file: the build requirements of a pyproject.toml, or the wheels of pip's installation report.

The latter, placed next to the wheels, makes pip install exactly these: no index, every file checked by SHA-256.

    python scripts/lock.py build pyproject.toml
    python scripts/lock.py wheels report.json
"""

import json
import sys
import tomllib
from pathlib import Path

_OPTIONS = ["--no-index", "--find-links .", "--require-hashes"]


def wheels(report: str) -> list[str]:
    found = []
    for item in json.loads(report)["install"]:
        name, version = item["metadata"]["name"], item["metadata"]["version"]
        found.append(f"{name}=={version} --hash=sha256:{item['download_info']['archive_info']['hashes']['sha256']}")
    return _OPTIONS + sorted(found, key=str.lower)


def build(pyproject: str) -> list[str]:
    return tomllib.loads(pyproject)["build-system"]["requires"]


if __name__ == "__main__":
    content = Path(sys.argv[2]).read_text("utf-8")
    print("\n".join(wheels(content) if sys.argv[1] == "wheels" else build(content)))
