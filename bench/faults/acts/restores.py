"""The database put back to an earlier moment, as docs/howto/back-up.md says, while the providers remember more."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from bench.faults.acts.webhooks import magic
from bench.faults.fault import Fault
from bench.faults.load import until
from bench.faults.scene import WORKERS, Scene
from wiring.embedded.postgres import find_binaries

_EMAILS = 20
_PATIENCE = 90.0
_LEASE = 16.0  # seconds: a lease, and a moment


def restore(scene: Scene) -> None:
    """Back up, send, restore, recover: what was sent in between is held, and its provider's webhook settles it.

    Nothing is accepted meanwhile: what a restore loses for good is nobody's to find.
    """
    with scene.client.resting():
        if not until(lambda: scene.ledger.backlog() == 0, _PATIENCE, 0.2):
            raise RuntimeError(f"{scene.ledger.backlog()} emails did not come to rest before the backup")
        with tempfile.TemporaryDirectory() as folder:
            _lose(scene, Path(folder) / "backup.dump")


def _lose(scene: Scene, backup: Path) -> None:
    number = f"r{scene.chance.getrandbits(48)}"
    with scene.stopped([process for name in WORKERS for process in scene.family(name)], probe=False):
        ids = scene.client.send_together(
            {f"{number}-{i}": magic("delivered", f"{number}-{i}") for i in range(_EMAILS)}
        )
        _run(scene, "pg_dump", "-Fc", "-f", str(backup))
        [(finished,)] = scene.ledger.query("SELECT mm_now()")
    if not until(lambda: _count(scene, ids, "delivered") == _EMAILS, _PATIENCE, 0.2):
        raise RuntimeError("the emails were not sent after the backup")
    programs = [process for name in _WRITERS for process in scene.family(name)]
    with scene.stopped([scene.stack.supervisor, *programs]):  # the former would start others in their place
        scene.ledger.query(_CUT_OFF)
        _run(scene, "pg_restore", "--clean", "--if-exists", "--single-transaction", "--no-owner", str(backup))
        if (queued := _count(scene, ids, "queued")) != _EMAILS:
            raise RuntimeError(f"after the restore {queued} emails are queued")
        time.sleep(_LEASE)  # until no worker of the backup could be alive
        _recover(scene, finished.isoformat())
        if (held := _count(scene, ids, "unknown")) != _EMAILS:
            raise RuntimeError(f"{held} emails are held, of {_EMAILS}")
        scene.kill(*_WRITERS)  # they were stopped for good: others are started
    scene.all_back()
    scene.recovered()
    for email_id in ids:
        scene.tell_again(email_id)
    if not until(lambda: _count(scene, ids, "delivered") == _EMAILS, _PATIENCE, 0.2):
        raise RuntimeError(
            f"of {_EMAILS} emails {_count(scene, ids, 'delivered')} were settled by their webhook"
        )


def _recover(scene: Scene, since: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", "recover", "--since", since, "--yes"],
        env={**os.environ, "DATABASE_URL": scene.ledger.url}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(
            f"recover ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}"
        )


def _run(scene: Scene, tool: str, *arguments: str) -> None:
    parts = urlsplit(scene.ledger.url)
    done = subprocess.run(
        [str(find_binaries(None) / tool), "-h", str(parts.hostname), "-p", str(parts.port), "-U", str(parts.username),
         "-d", parts.path[1:], *arguments],
        env={**os.environ, "PGPASSWORD": parts.password or ""}, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{tool} ended with {done.returncode}: {done.stderr.strip()[-300:]}")


def _count(scene: Scene, ids: Sequence[str], status: str) -> int:
    return scene.ledger.count(
        "SELECT count(*) FROM email_jobs WHERE id = ANY(%s::uuid[]) AND status = %s", list(ids), status
    )


_WRITERS = (*WORKERS, "beat", "learner", "webhooks", "api")
_CUT_OFF = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
"""

FAULTS = (Fault("restore", "the database restored from a backup, and recovered", restore, 60),)
