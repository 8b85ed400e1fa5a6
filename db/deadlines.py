"""Deadlines of database calls that hold also where the server stands still.

`statement_timeout` is the server's, and TCP's timeouts count what its kernel acknowledges: a backend that is stopped,
or a disk that hangs, would keep a caller for ever. So a thread looks at the calls that are under way, and shuts the
socket of one that is past its deadline. libpq then fails the call as for any lost connection.

Time is counted in the thread's own ticks: a process that was stopped itself finds no call too old when it goes on.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import weakref
from typing import Any, Final

import psycopg2.extensions
from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError

TICK: Final = 0.5  # seconds
_PING = "SELECT 1"  # what SQLAlchemy's dialect asks to see whether a connection lives
_PING_SECONDS = 5.0  # a server that is well answers that at once
_FRESH = 2  # ticks after a call for which its connection is taken to live without a ping


class WatchedConnection(psycopg2.extensions.connection):  # type: ignore[misc]  # psycopg2 has no types
    """A connection that knows by which tick its present call must have ended; None: no call is under way."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.due: int | None = None
        self.used = 0  # the tick of the last call
        self.watch = threading.Lock()
        self.watchdog: Watchdog | None = None

    def begin(self, ping: bool = False) -> None:
        watchdog = self.watchdog
        if watchdog is not None:
            self.due = watchdog.now + (watchdog.ping_ticks if ping else watchdog.ticks)

    def end(self) -> None:
        with (
            self.watch
        ):  # or the socket might be closed, and its number taken by another, while it is being shut
            self.due = None
        if self.watchdog is not None:
            self.used = self.watchdog.now

    def is_shut(self) -> bool:
        """Whether the server has ended an idle connection, or said what nobody asked for: that costs no call."""
        if self.closed:
            return True
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def is_fresh(self) -> bool:
        """Whether a call ended well a moment ago."""
        return self.watchdog is not None and self.watchdog.now - self.used < _FRESH

    def commit(self) -> None:
        self.begin()
        try:
            super().commit()
        finally:
            self.end()

    def rollback(self) -> None:
        self.begin()
        try:
            super().rollback()
        finally:
            self.end()

    def shut(self, now: int) -> bool:
        """Break the present call off, where it is past its deadline."""
        with self.watch:
            if self.due is None or now < self.due:
                return False
            self.due = None
            with socket.socket(fileno=os.dup(self.fileno())) as own:
                try:
                    own.shutdown(socket.SHUT_RDWR)
                except OSError:
                    return False  # it is broken already
            return True


class WatchedCursor(psycopg2.extensions.cursor):  # type: ignore[misc]  # as above
    """A cursor whose calls are watched."""

    def execute(self, query: Any, values: Any = None) -> None:
        connection = self.connection
        connection.begin(query == _PING)
        try:
            super().execute(query, values)
        finally:
            connection.end()

    def executemany(self, query: Any, values: Any) -> None:
        self.connection.begin()
        try:
            super().executemany(query, values)
        finally:
            self.connection.end()

    def copy_expert(self, *arguments: Any, **options: Any) -> None:
        self.connection.begin()
        try:
            super().copy_expert(*arguments, **options)
        finally:
            self.connection.end()


class Watchdog:
    """Watches the connections that are made with its `connect_args()`. Its thread lives as long as there is one, so
    a fork before the first is harmless.
    """

    def __init__(self, seconds: float) -> None:
        self.ticks, self.ping_ticks = _in_ticks(seconds), _in_ticks(min(seconds, _PING_SECONDS))
        self.now = 0
        self._lock = threading.Lock()
        self._connections: weakref.WeakSet[WatchedConnection] = weakref.WeakSet()
        self._thread: threading.Thread | None = None
        self._never = threading.Event()

    def connect_args(self) -> dict[str, Any]:
        """For psycopg2.connect."""
        return {"connection_factory": self._connect, "cursor_factory": WatchedCursor}

    def _connect(self, *arguments: Any, **options: Any) -> WatchedConnection:
        connection = WatchedConnection(*arguments, **options)  # connecting has a timeout of libpq's own
        connection.watchdog = self
        connection.used = self.now
        with self._lock:
            self._connections.add(connection)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="mailmux-deadlines", daemon=True)
                self._thread.start()
        return connection

    def _watch(self) -> None:
        while not self._never.wait(TICK):
            self.now += 1
            with self._lock:
                known = list(self._connections)
                if not known:
                    self._thread = None  # the next connection starts another
                    return
            for connection in known:
                if connection.due is not None and not connection.closed:
                    connection.shut(self.now)


def check_at_checkout(engine: Engine) -> None:
    """Hand out connections that live, without asking the server where one was used a moment ago.

    It stands for SQLAlchemy's pool_pre_ping, whose round trip costs as much as a statement of ours.
    """

    @event.listens_for(engine, "checkout")
    def check(connection: WatchedConnection, record: object, fairy: object) -> None:
        del record, fairy
        if connection.is_shut():
            raise InvalidatePoolError
        if not connection.is_fresh():
            try:
                engine.dialect.do_ping(connection)
            except psycopg2.Error as error:
                raise InvalidatePoolError from error


def _in_ticks(seconds: float) -> int:
    return max(1, round(seconds / TICK))
