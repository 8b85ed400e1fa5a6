# The set-up that ./run and ./test share: Python → .venv → what the lock says → Mailmux itself, editable.
# Sourced by POSIX shells (dash, bash 3). Needs ROOT; `set_up run` or `set_up dev` leaves a working $ROOT/.venv.
# Where packages come from is the environment's business (PIP_*, UV_* and their configuration files).

export UV_PYTHON_DOWNLOADS=never PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# A shim of pyenv exists whether or not it works, so each candidate is really run.
works() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
makes_environments() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

# A Python compiled by its profile, as distributions', Homebrew's and python.org's are, takes a third less time for
# the same work than one compiled without, as pyenv's are unless asked. A distribution does not say so of its own.
is_optimised() {
    "$1" -c 'import sys, sysconfig
asked = sysconfig.get_config_var("CONFIG_ARGS") or ""
sys.exit(not ("--enable-optimizations" in asked or sys.base_prefix == "/usr"))' >/dev/null 2>&1
}

# PYTHON_FOUND makes environments; PYTHON_BARE works, but lacks the modules for that. An optimised one comes first in each.
find_python() {
    PYTHON_FOUND='' PYTHON_BARE=''
    found_optimised='' bare_optimised=''
    names='python3.13 python3.12 python3.11 python3.14 python3'
    for candidate in ${PYTHON:-$names python $(printf '/usr/bin/%s ' $names)}; do
        works "$candidate" || continue
        if makes_environments "$candidate"; then
            : "${PYTHON_FOUND:=$candidate}"
            [ -n "$found_optimised" ] || ! is_optimised "$candidate" || found_optimised=$candidate
        else
            : "${PYTHON_BARE:=$candidate}"
            [ -n "$bare_optimised" ] || ! is_optimised "$candidate" || bare_optimised=$candidate
        fi
    done
    PYTHON_FOUND=${found_optimised:-$PYTHON_FOUND} PYTHON_BARE=${bare_optimised:-$PYTHON_BARE}
    [ -n "$PYTHON_FOUND" ]
}

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }

install_python() {
    if [ -n "$PYTHON_BARE" ]; then
        version=$("$PYTHON_BARE" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        packages="python$version-venv"
    else
        packages='python3 python3-venv'
    fi
    may_install || return 1
    say "Installing $packages"
    # shellcheck disable=SC2086 # a list of packages
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $packages; } \
        >&2 || return 1
}

need_python() {
    if find_python; then
        # Worth a package, where the faster one lacks only that.
        [ -n "$found_optimised" ] || [ -z "$bare_optimised" ] || ! install_python || find_python
        return 0
    fi
    install_python && find_python && return 0
    if [ -n "$PYTHON_BARE" ] && command -v apt-get >/dev/null 2>&1; then
        die "Python's venv module is missing. Install it, and start again:
    sudo apt-get install $packages"
    elif [ -n "$PYTHON_BARE" ]; then
        die "$PYTHON_BARE has no ensurepip and venv modules. Install them, or set PYTHON to a Python 3.11 or later that has."
    fi
    case $(uname -s) in
        Darwin) hint='brew install python@3.13 (or the installer from python.org)' ;;
        *) hint='your system'\''s package, on Debian and Ubuntu: sudo apt-get install python3 python3-venv' ;;
    esac
    die "Mailmux needs Python 3.11 or later, and found none. Install it: $hint.
Where it is not on PATH, set PYTHON to it."
}

# Another set-up of the same folder may be at work: wait for it.
take_turn() {
    TURN=$ROOT/.venv-setup
    while ! mkdir "$TURN" 2>/dev/null; do
        [ -d "$TURN" ] || die "$ROOT cannot be written to."
        holder=$(cat "$TURN/pid" 2>/dev/null || :)
        if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null && ! ps -p "$holder" >/dev/null 2>&1; then
            rm -rf "$TURN"
        else
            sleep 1
        fi
    done
    echo $$ >"$TURN/pid"
    trap 'rm -rf "$TURN"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

end_turn() {
    rm -rf "$TURN"
    trap - EXIT INT TERM
}

# A cache that cannot be written to is kept in the environment instead.
choose_cache() {
    cache=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}
    if ! { mkdir -p "$cache" && [ -w "$cache" ]; } 2>/dev/null; then
        export XDG_CACHE_HOME="$VENV/.cache"
        mkdir -p "$XDG_CACHE_HOME"
    fi
}

# What this environment was made from, in one line.
stamp() {
    "$VENV/bin/python" - "$ROOT" "$1" <<'PYTHON'
import hashlib, sys
from pathlib import Path
root, lock = Path(sys.argv[1]), sys.argv[2]
digest = hashlib.sha256(f"{root} {sys.version}".encode())
for name in (lock, "requirements-uv.lock", "pyproject.toml", "scripts/setup.sh"):
    digest.update((root / name).read_bytes())
print(digest.hexdigest())
PYTHON
}

is_current() { # run|dev
    [ -x "$VENV/bin/python" ] && [ -x "$VENV/bin/mailmux" ] && [ -f "$VENV/.stamp-$1" ] || return 1
    [ "$(stamp "$(lock_of "$1")" 2>/dev/null)" = "$(cat "$VENV/.stamp-$1")" ]
}

lock_of() { if [ "$1" = dev ]; then echo requirements-dev.lock; else echo requirements.lock; fi; }

install_lock() { # lock
    log=$VENV/.setup.log
    : >"$log"
    if "$VENV/bin/python" -m pip install -q --require-hashes -r "$ROOT/requirements-uv.lock" >>"$log" 2>&1 &&
        "$VENV/bin/uv" --system-certs pip install -q --compile-bytecode --python "$VENV/bin/python" --require-hashes -r "$ROOT/$1" \
            >>"$log" 2>&1; then
        return 0
    fi
    say 'uv could not do it; trying pip, which is slower'
    "$VENV/bin/python" -m pip install -q --require-hashes -r "$ROOT/$1" >>"$log" 2>&1 || {
        tail -n 25 "$log" >&2
        die "Installing the packages failed; all of it is in $log"
    }
}

set_up() { # run|dev
    VENV=$ROOT/.venv
    is_current dev && return 0
    [ "$1" = run ] && is_current run && return 0
    take_turn
    if is_current "$1"; then # the other one has done it
        end_turn
        return 0
    fi
    if ! works "$VENV/bin/python" || ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        need_python
        say "Setting up Python's environment in $VENV (once)"
        rm -rf "$VENV"
        "$PYTHON_FOUND" -m venv "$VENV" || die "python -m venv failed."
    else
        say "Bringing $VENV up to date"
    fi
    rm -f "$VENV/.stamp-run" "$VENV/.stamp-dev"
    choose_cache
    install_lock "$(lock_of "$1")"
    # "compat": one path that holds every package, so that a new one needs no new installation.
    "$VENV/bin/python" -m pip install -q --no-deps --no-build-isolation --no-index \
        --config-settings editable_mode=compat -e "$ROOT" -e "$ROOT/clients/python" >>"$VENV/.setup.log" 2>&1 || {
        tail -n 25 "$VENV/.setup.log" >&2
        die "Installing Mailmux itself failed; all of it is in $VENV/.setup.log"
    }
    stamp "$(lock_of "$1")" >"$VENV/.stamp-$1.new"
    mv "$VENV/.stamp-$1.new" "$VENV/.stamp-$1"
    end_turn
}
