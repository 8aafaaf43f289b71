# Sourced by the scripts next to README.md: makes an environment from pinned requirements on first use, and updates it
# when a requirements file has changed. With wheels/ (scripts/bundle.sh) it needs no network. Sets $PY to its Python.
ensure_venv() { # ensure_venv FOLDER CONSTRAINTS FILE...
    local folder=$1 constraints=$2 wanted
    shift 2
    local stamp="$folder/installed-$(basename "$1" .txt)"
    wanted=$(cat "$@" "$constraints" pyproject.toml | cksum)
    PY=$folder/bin/python
    if [ -x "$PY" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    echo "setting up $folder from $*$([ ! -d wheels ] || echo " and wheels/") (first use, a few minutes)" >&2
    "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "error: Python 3.11 or newer is needed; set PYTHON to one" >&2
        exit 2
    }
    [ ! -d wheels ] || check_wheels
    [ -x "$PY" ] || "${PYTHON:-python3}" -m venv "$folder"
    local files=() install=("$PY" -m pip install --quiet --disable-pip-version-check)
    if [ -d wheels ]; then
        for file in "$@" build.txt; do files+=(-r "wheels/$file"); done
        "${install[@]}" "${files[@]}"
        "${install[@]}" --no-index --no-build-isolation --no-deps -e .
    else
        for file in "$@"; do files+=(-r "$file"); done
        "${install[@]}" -c "$constraints" "${files[@]}"
        "${install[@]}" --no-deps -e .  # installs bin/qzhou-eval
    fi
    echo "$wanted" >"$stamp"
}
test_venv() {
    ensure_venv .venv constraints.txt requirements-test.txt requirements-ray.txt requirements-modelscope.txt \
        requirements-formats.txt requirements.txt
}
current_venv() { ensure_venv .venv constraints.txt requirements.txt; }
card_venv() { ensure_venv .venv-card constraints-card.txt requirements-card.txt; }

# What wheels/ was made for: an interpreter, and the pins of a checkout.
describe_python() { "${PYTHON:-python3}" -c 'import sys, sysconfig as s; print(sys.implementation.cache_tag, s.get_platform())'; }
describe_pins() { (LC_ALL=C && cat requirements*.txt constraints*.txt pyproject.toml | cksum); }
check_wheels() {
    local python
    python=$(describe_python)
    if [ "$python" != "$(cat wheels/python)" ]; then
        echo "error: wheels/ is for $(cat wheels/python), but this Python is $python; set PYTHON to match" >&2
        exit 2
    fi
    if [ "$(describe_pins)" != "$(cat wheels/pins)" ]; then
        echo "error: wheels/ was made from different requirements; make it again with scripts/bundle.sh" >&2
        exit 2
    fi
}
