# shellcheck shell=bash
# Shared by the other scripts, sourced: finds Python, makes .venv and installs what the locks name.
#
#   set_up LOCK...     afterwards $VENV holds exactly the versions of these locks (paths below $ROOT)
#
# .venv/.installed names the Python and the locks that were installed completely. It is taken away
# before anything is changed, so that an interrupted installation is seen and made anew.
set -euo pipefail

ROOT="$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
VENV="$ROOT/.venv"
STAMP="$VENV/.installed"

# Another environment must not leak into ours; asserts state invariants, so they stay on; and an activated
# .venv that is made anew must not be asked to make itself.
unset PYTHONPATH PYTHONHOME PYTHONOPTIMIZE PYTHONSAFEPATH VIRTUAL_ENV
PATH="${PATH//"$VENV/bin:"/}"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore PIP_USER=0

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    say "$@"
    exit 1
}

# The line that installs Debian packages, for this user.
apt_line() {
    local sudo="sudo "
    if [[ "$(id --user)" -eq 0 ]]; then
        sudo=""
    fi
    printf '%s' "    ${sudo}apt-get update && ${sudo}apt-get install --yes $*"
}

# need PROGRAM PACKAGE...     installs Debian packages where the program is missing; fails where it cannot.
need() {
    local program="$1"
    shift
    if command -v "$program" >/dev/null; then
        return
    fi
    if [[ "$(id --user)" -ne 0 ]] || ! command -v apt-get >/dev/null; then
        fail "This needs $program. On Debian this installs it:
$(apt_line "$@")"
    fi
    say "Installing $program ..."
    { apt-get update --quiet --quiet &&
        DEBIAN_FRONTEND=noninteractive apt-get install --quiet --quiet --yes --no-install-recommends "$@"; } >&2 ||
        fail "$program could not be installed. Is the network there? Then run the same command again."
}

# Full version of a Python, such as 3.11.2; fails where it cannot run.
version_of() {
    "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null
}

# Sets PYTHON to the first Python that is new enough.
find_python() {
    local candidate version found=""
    for candidate in python3 python3.13 python3.12 python3.11; do
        version="$(version_of "$candidate")" || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            PYTHON="$candidate"
            return
        fi
        found+="${found:+, }$candidate is $version"
    done
    fail "This needs Python 3.11 or newer; found: ${found:-none}. On Debian 12, Ubuntu 24.04 or newer, this installs it:
$(apt_line python3 python3-venv)"
}

make_venv() {
    local output version
    find_python
    version="$(version_of "$PYTHON")"
    say "Making the virtual environment .venv with Python $version ..."
    if output="$("$PYTHON" -m venv --clear "$VENV" 2>&1)"; then
        return
    fi
    rm --recursive --force -- "$VENV"
    if "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null && [[ "$output" != *ensurepip* ]]; then
        fail "$output
The virtual environment could not be made in $ROOT."
    fi
    fail "Python $version lacks its venv module. This line installs it; then run the same command again:
$(apt_line "python${version%.*}-venv")"
}

# One line per lock: its checksum and name.
checksums() {
    (cd -- "$ROOT" && sha256sum -- "$@")
}

# What the stamp says once these locks are installed.
wanted_lines() {
    version_of "$VENV/bin/python" && checksums "$@"
}

is_installed() {
    local line stamp wanted
    # Read once: another set-up may take the stamp away at any moment.
    stamp="$(cat -- "$STAMP" 2>/dev/null)" && wanted="$(wanted_lines "$@")" || return
    while read -r line; do
        [[ $'\n'"$stamp"$'\n' == *$'\n'"$line"$'\n'* ]] || return
    done <<<"$wanted"
}

install_locks() {
    local lock stamp_before=""
    if [[ -f "$STAMP" ]] && [[ "$(head --lines=1 "$STAMP")" == "$(version_of "$VENV/bin/python")" ]]; then
        stamp_before="$(cat "$STAMP")"
        rm -- "$STAMP"
    else
        make_venv
    fi
    for lock in "$@"; do
        if grep --quiet --fixed-strings --line-regexp -- "$(checksums "$lock")" <<<"$stamp_before"; then
            continue
        fi
        say "Installing the packages of $lock (once, up to a minute or two) ..."
        # The locks are complete and resolved together, so pip looks for no dependencies of its own.
        "$VENV/bin/python" -m pip install --quiet --quiet --no-deps --require-hashes --requirement "$ROOT/$lock" >&2 ||
            fail "The packages of $lock could not be installed. Is the network there? Then run the same command again."
    done
    # Locks that were installed earlier and not asked for now keep their lines.
    { wanted_lines "$@"; tail --lines=+2 <<<"$stamp_before"; } | awk '!seen[$2]++' >"$STAMP.new"
    mv -- "$STAMP.new" "$STAMP"
    say "Ready."
}

set_up() {
    local guard
    if is_installed "$@"; then
        return
    fi
    # One installation at a time. The lock lies on the directory itself and ends with the descriptor.
    exec {guard}<"$ROOT"
    if ! flock --nonblock "$guard"; then
        say "Another set-up is at work here; waiting for it ..."
        flock --timeout 1800 "$guard" || fail "The other set-up has not ended within 30 minutes."
    fi
    if ! is_installed "$@"; then
        install_locks "$@"
    fi
    exec {guard}<&-
}
