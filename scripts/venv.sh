# Sourced by the two scripts beside README.md: makes .venv from pinned requirements on first use,
# and again when a requirements file has changed. Leaves the interpreter in $PY.
ensure_venv() { # ensure_venv FILE...
    local stamp=".venv/installed-$(basename "$1" .txt)" wanted
    wanted=$(cat "$@" constraints.txt pyproject.toml | cksum)
    PY=.venv/bin/python
    if [ -x "$PY" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    echo "setting up .venv from $* (first use, a few minutes)" >&2
    "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "error: Python 3.11 or newer is needed; set PYTHON to one" >&2
        exit 2
    }
    [ -x "$PY" ] || "${PYTHON:-python3}" -m venv .venv
    local files=()
    for file in "$@"; do files+=(-r "$file"); done
    "$PY" -m pip install --quiet --disable-pip-version-check -c constraints.txt "${files[@]}"
    "$PY" -m pip install --quiet --disable-pip-version-check --no-deps -e .  # gives .venv/bin/qzhou-eval
    echo "$wanted" >"$stamp"
}
