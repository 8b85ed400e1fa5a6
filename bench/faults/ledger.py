"""What the harness reads in PostgreSQL, over a connection of its own each time: the service may be dying."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg2

from bench.faults.books import Attempt

_POLL_SECONDS = 0.2


class Ledger:
    """`orphans`: per kill of workers, the seconds until nothing was in the hands of the dead any more."""

    def __init__(self, database_url: str) -> None:
        self.url = database_url.replace("+psycopg2", "")
        self.orphans: list[float] = []
        self._watchers: list[threading.Thread] = []

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Raises psycopg2.OperationalError where there is no database just now."""
        with contextlib.closing(psycopg2.connect(self.url, connect_timeout=5)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql, values or None)
                return list(cursor.fetchall())

    def execute(self, sql: str) -> None:
        """As `query`, of what returns nothing."""
        with contextlib.closing(psycopg2.connect(self.url, connect_timeout=5)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)

    def count(self, sql: str, *values: object) -> int:
        return int(self.query(sql, *values)[0][0])

    @contextlib.contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Nobody else writes to a table: whoever is about to waits, and can be killed right there."""
        with contextlib.closing(psycopg2.connect(self.url)) as connection:
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {table} IN SHARE MODE")
            yield
            connection.rollback()

    def statuses(self) -> dict[str, str]:
        return {str(i): status for i, status in self.query("SELECT id, status FROM email_jobs")}

    def numbers(self) -> dict[str, str]:
        """By the emails' ids, the client's numbers that they bear."""
        sql = "SELECT id, metadata->>'number' FROM email_jobs WHERE metadata ? 'number'"
        return {str(i): number for i, number in self.query(sql)}

    def resends(self) -> set[str]:
        """The emails that are to be sent once more in doubt; all others are held."""
        return {str(i) for (i,) in self.query("SELECT id FROM email_jobs WHERE on_unknown = 'resend'")}

    def attempts(self) -> list[Attempt]:
        """When each was opened stands in its id (UUIDv7), by this machine's clock: the database's may be wrong."""
        found = self.query("SELECT id, job_id, outcome FROM delivery_attempts")
        return [Attempt(str(i), str(job), end, (UUID(str(i)).int >> 80) / 1000) for i, job, end in found]

    def backlog(self) -> int:
        """Emails that still move: those held for evidence are at rest."""
        return self.count("SELECT count(*) FROM email_queue WHERE run IS NOT NULL OR NOT held")

    def runs(self) -> list[str]:
        """The runs that hold emails now, or have attempts open."""
        sql = (
            "SELECT run FROM email_queue WHERE run IS NOT NULL "
            "UNION SELECT run FROM delivery_attempts WHERE outcome IS NULL"
        )
        return [str(run) for (run,) in self.query(sql)]

    def watch(self, dead: list[str], since: float) -> None:
        """Note when these runs hold nothing any more, counted from a moment of the monotonic clock."""
        if dead:
            watcher = threading.Thread(target=self._watch, args=(dead, since), daemon=True)
            self._watchers.append(watcher)
            watcher.start()

    def finish(self, seconds: float) -> None:
        """Wait until nothing is in the hands of the dead."""
        for watcher in self._watchers:
            watcher.join(seconds)

    def _watch(self, dead: list[str], since: float) -> None:
        while True:
            with contextlib.suppress(psycopg2.OperationalError):
                if not set(dead) & set(self.runs()):
                    self.orphans.append(time.monotonic() - since)
                    return
            time.sleep(_POLL_SECONDS)
