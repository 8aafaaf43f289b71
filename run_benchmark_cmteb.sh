#!/usr/bin/env bash
# Runs the benchmark. Without arguments it runs the packaged miniature end to end; with arguments, run_cmteb_all.py with
# them. Sets up .venv on first use, or with --mteb card .venv-card, which has the model card's libraries.
set -euo pipefail
called_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
here=$PWD
source scripts/venv.sh
if [ $# -eq 0 ]; then
    current_venv
    exec "$PY" -m qzhou_eval.miniature
fi
case " $* " in
*" --mteb card "* | *" --mteb=card "*) card_venv ;;
*) current_venv ;;
esac
cd "$called_from"
exec "$here/$PY" "$here/run_cmteb_all.py" "$@"
