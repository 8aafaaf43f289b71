# Sourced by the scripts beside README.md: makes an environment from pinned requirements on first use, and again when
# a requirements file has changed. Leaves the interpreter in $PY.
ensure_venv() { # ensure_venv FOLDER CONSTRAINTS FILE...
    local folder=$1 constraints=$2 wanted
    shift 2
    local stamp="$folder/installed-$(basename "$1" .txt)"
    wanted=$(cat "$@" "$constraints" pyproject.toml | cksum)
    PY=$folder/bin/python
    if [ -x "$PY" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    echo "setting up $folder from $* (first use, a few minutes)" >&2
    "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "error: Python 3.11 or newer is needed; set PYTHON to one" >&2
        exit 2
    }
    [ -x "$PY" ] || "${PYTHON:-python3}" -m venv "$folder"
    local files=()
    for file in "$@"; do files+=(-r "$file"); done
    "$PY" -m pip install --quiet --disable-pip-version-check -c "$constraints" "${files[@]}"
    "$PY" -m pip install --quiet --disable-pip-version-check --no-deps -e .  # gives bin/qzhou-eval
    echo "$wanted" >"$stamp"
}
current_venv() { ensure_venv .venv constraints.txt requirements.txt; }
card_venv() { ensure_venv .venv-card constraints-card.txt requirements-card.txt; }
