#!/usr/bin/env bash
# The tests from one line; arguments go to pytest. Sets up .venv with the test extras, and .venv-card, on first use.
#   ./run_tests.sh                   everything, with what real data and models are at hand
#   ./run_tests.sh -m "not slow"     the quick suite
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source scripts/venv.sh
card_venv
ensure_venv .venv constraints.txt requirements-test.txt requirements-ray.txt requirements-modelscope.txt requirements.txt
"$PY" -m ruff check .
"$PY" -m ruff format --check .
exec "$PY" -m pytest "$@"
