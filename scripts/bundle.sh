#!/usr/bin/env bash
# Makes a folder for a machine without internet: this checkout and wheels/, all that both environments need, each wheel
# with its hash. Further arguments go to `qzhou-eval fetch`, which downloads to FOLDER/data. See docs/offline.md.
#   scripts/bundle.sh FOLDER
#   scripts/bundle.sh FOLDER --model ORG/NAME --code --benchmark cmteb
set -euo pipefail
if [ $# -eq 0 ] || [[ $1 == -* ]]; then
    echo "usage: scripts/bundle.sh FOLDER [arguments of qzhou-eval fetch, e.g. --model ORG/NAME --code --tasks STSB]" >&2
    exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ "$1" -ef "$here" ] || ! [ "$(git -C "$here" rev-parse --show-toplevel 2>&1)" -ef "$here" ]; then
    echo "error: scripts/bundle.sh copies a git checkout ($here) into another folder ($1); check both" >&2
    exit 2
fi
if [ -d "$1" ] && [ ! -f "$1/wheels/pins" ] && ls -A "$1" | grep -qvxE 'data|wheels\.new'; then
    echo "error: $1 is not empty and was not made by scripts/bundle.sh; give a new or empty folder" >&2
    exit 2
fi
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
cd "$here"
source scripts/venv.sh
if [ $# -gt 0 ]; then  # first, so that a wrong name fails at once
    current_venv
    "$PY" -m qzhou_eval.cli fetch "$@" --to "$folder/data"
fi

scratch=$(mktemp -d)
new=$folder/wheels.new  # wheels/ is either complete or missing
trap 'rm -rf "$scratch" "$new"' EXIT
rm -rf "$new"
mkdir "$new"
"${PYTHON:-python3}" -m venv "$scratch"
pip=("$scratch/bin/python" -m pip --quiet --disable-pip-version-check)
"$scratch/bin/python" scripts/lock.py build pyproject.toml >"$scratch/build.txt"

bring() { # bring CONSTRAINTS FILE...: builds the wheels of all files together, then a list with hashes for each file
    local constraints=$1 file files=()
    shift
    for file in "$@"; do files+=(-r "$file"); done
    "${pip[@]}" wheel --wheel-dir "$new" -c "$constraints" "${files[@]}"
    for file in "$@"; do
        "${pip[@]}" install --dry-run --ignore-installed --no-index --find-links "$new" --report "$scratch/report.json" \
            -c "$constraints" -r "$file"
        "$scratch/bin/python" scripts/lock.py wheels "$scratch/report.json" >"$new/$(basename "$file")"
    done
}
echo "wheels for $(describe_python)" >&2
bring constraints.txt requirements.txt requirements-ray.txt requirements-modelscope.txt requirements-formats.txt \
    requirements-test.txt "$scratch/build.txt"
bring constraints-card.txt requirements-card.txt
describe_python >"$new/python"
describe_pins >"$new/pins"

rm -rf "$folder/wheels"
mv "$new" "$folder/wheels"
git init --quiet "$folder"  # a git checkout, so that results name its commit
git -C "$folder" fetch --quiet "$PWD" HEAD
git -C "$folder" reset --quiet --hard FETCH_HEAD
git diff --quiet HEAD || git diff --binary HEAD | git -C "$folder" apply  # uncommitted edits
echo "written: $folder, $(du -sh "$folder" | cut -f1); copy it, then run ./run_benchmark_cmteb.sh there" >&2
