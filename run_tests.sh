#!/usr/bin/env bash
# Runs the tests; arguments go to pytest. Sets up .venv with the test extras, and .venv-card, on first use.
#   ./run_tests.sh                   everything, with the real data and models that are available
#   ./run_tests.sh -m "not slow"     the quick suite
#   ./run_tests.sh -n 0 ...          in one process, for a debugger
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source scripts/venv.sh
card_venv
test_venv
"$PY" -m ruff check .
"$PY" -m ruff format --check .
"$PY" -m mypy
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" # one test process per core: more threads would only wait for each other
exec "$PY" -m pytest -n logical --dist loadfile --no-loadscope-reorder "$@"
