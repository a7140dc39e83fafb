# Sourced by the other scripts: makes .venv beside them, or says what is missing.
# Needs: Python 3.11 or newer with venv, git 2.31 or newer, a network for packages.
set -eu
cd "$(dirname "$0")/.."

find_python() {
    for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3.14 python3 python; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            if "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
                echo "$candidate"
                return 0
            fi
            without_venv=$candidate
        fi
    done
    if [ -n "${without_venv:-}" ]; then
        version=$("$without_venv" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        echo "error: $without_venv has no venv module" >&2
        echo "hint:  install the package python$version-venv (Debian, Ubuntu), then try again" >&2
    else
        echo "error: no Python 3.11 or newer on PATH" >&2
        echo "hint:  install one, or name it: PYTHON=/path/to/python3.12 sh $0" >&2
    fi
    return 1
}

command -v git >/dev/null 2>&1 || {
    echo "error: git is not on PATH" >&2
    echo "hint:  install git 2.31 or newer, then try again" >&2
    exit 1
}

# $1: what to install, for example "." or ".[test]"
set_up() {
    if [ ! -x .venv/bin/python ]; then
        python=$(find_python) || exit 1
        echo "Making .venv with $($python --version) ..." >&2
        "$python" -m venv .venv
    fi
    wanted="$1 $(cksum <pyproject.toml)"
    if [ "$(cat .venv/installed 2>/dev/null || true)" != "$wanted" ]; then
        echo "Installing agentprov and what it needs into .venv ..." >&2
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -e "$1"
        printf '%s\n' "$wanted" >.venv/installed
    fi
}
