#!/usr/bin/env bash
# The benchmark from one line. Without arguments: the packaged miniature, end to end. With
# arguments: run_cmteb_all.py with them. Sets up .venv on first use.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ $# -gt 0 ]; then
    called_from=$PWD
    cd "$here"
    source scripts/venv.sh
    ensure_venv requirements.txt
    cd "$called_from"
    exec "$here/$PY" "$here/run_cmteb_all.py" "$@"
fi
cd "$here"
source scripts/venv.sh
ensure_venv requirements.txt
exec "$PY" -m qzhou_eval.smoke
