"""Calling the users' webhooks: take what is due → sign → post → note. Apart from the workers that send emails, so that
a receiver that is slow or dead delays no email.

One series at a time goes to an endpoint. One that does not answer at all keeps a thread for one try only, and then
rests a while: the more often, the longer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Protocol
from uuid import UUID

import orjson

from db.repositories.webhooks import Noted, Webhooks
from db.sealing import SealBroken, UnknownKey
from domain.errors import StorageUnavailable
from domain.ports import Clock, Log
from domain.webhooks import Endpoint, Notice, Telling, Told, next_wait, sign

POLL = 0.25  # seconds between looks for what is due
NOTICES = 30.0  # seconds between looks for owners who are to be written to
NOTICE_REST = 300.0  # seconds until a notice is tried again that broke
PATIENCE = 3 * 86_400.0  # seconds without a single success, after which an endpoint is disabled
_SERIES = 100  # messages
_SERIES_SECONDS = 30.0  # after which the rest of a series is put back
_LEASE = 120.0  # seconds: a series and one more timeout, with room
_LONGEST_REST = 60.0  # seconds


class Line(Protocol):
    """The way to one endpoint, for one series."""

    def post(self, headers: Mapping[str, str], body: bytes) -> Told:
        """One POST, never repeated. Raises nothing: what goes wrong is in the result."""
        ...


class Unit(Protocol):
    @property
    def webhooks(self) -> Webhooks: ...

    def commit(self) -> None: ...


class Courier:
    """`connect(endpoint)`: opens the way. `secrets_of(endpoint)`: the secret, and the former one where there is one;
    raises SealBroken or UnknownKey. `threads`: how many series go at once in `pool`. `write_to(notice)`: writes to the
    owner of an endpoint that was disabled, once however often it is asked; raises StorageUnavailable.
    """

    def __init__(
        self,
        units: Callable[[], AbstractContextManager[Unit]],
        connect: Callable[[Endpoint], AbstractContextManager[Line]],
        secrets_of: Callable[[Endpoint], Sequence[str]],
        pool: Executor,
        threads: int,
        clock: Clock,
        log: Log,
        new_id: Callable[[], UUID],
        write_to: Callable[[Notice], None] = lambda _: None,
    ) -> None:
        self._units, self._connect, self._secrets_of = units, connect, secrets_of
        self._pool, self._threads, self._clock, self._log, self._new_id = pool, threads, clock, log, new_id
        self._write_to, self._notices_at = write_to, clock.monotonic()
        self._broken_notices: dict[UUID, float] = {}  # until when each rests
        self._under_way: dict[UUID, Future[bool]] = {}
        self._rests: dict[UUID, tuple[float, float]] = {}  # until when, and for how long

    def run(self, stopping: Callable[[float], bool]) -> None:
        """Tell until `stopping(seconds)` says so; it waits as long. What is away is waited for."""
        while not stopping(0.0 if self.step() else POLL):
            pass
        wait(self._under_way.values())
        self._gather()

    def step(self) -> bool:
        """Start what can be started, and wait for something to end, a moment only. Returns whether anything went on."""
        self._gather()
        self._write_to_owners()
        free = self._threads - len(self._under_way)
        started: Sequence[Endpoint] = ()
        if free:
            try:
                with self._units() as unit:
                    started = unit.webhooks.due([*self._under_way, *self._resting()], free)
            except StorageUnavailable:
                self._log.warning("webhooks_without_database")
        for endpoint in started:
            self._under_way[endpoint.id] = self._pool.submit(self._serve, endpoint)
        if self._under_way:
            wait(self._under_way.values(), POLL, FIRST_COMPLETED)
        return bool(self._under_way)

    def _write_to_owners(self) -> None:
        """Now and then: what a process that died has left is found too."""
        if self._clock.monotonic() < self._notices_at:
            return
        now = self._clock.monotonic()
        self._notices_at = now + NOTICES
        self._broken_notices = {id_: until for id_, until in self._broken_notices.items() if until > now}
        try:
            with self._units() as unit:
                owed = unit.webhooks.owed([*self._broken_notices])
            for notice in owed:
                self._pay(notice)
        except StorageUnavailable:
            self._log.warning("webhook_notices_without_database")

    def _pay(self, notice: Notice) -> None:
        try:
            self._write_to(notice)
            with self._units() as unit:
                unit.webhooks.paid(notice)
                unit.commit()
        except StorageUnavailable:
            raise
        except Exception:  # noqa: BLE001  # one notice must stop neither the others nor the webhooks
            self._log.exception("webhook_notice_broken", webhook=str(notice.webhook_id))
            self._broken_notices[notice.webhook_id] = self._clock.monotonic() + NOTICE_REST

    def _gather(self) -> None:
        for endpoint_id in [e for e, series in self._under_way.items() if series.done()]:
            answered = self._under_way.pop(endpoint_id)
            try:
                self._mind(endpoint_id, answered.result())
            except StorageUnavailable:  # the lease of what was taken ends by itself
                self._log.warning("webhooks_without_database", webhook=str(endpoint_id))
                self._mind(endpoint_id, False)
            except Exception:  # noqa: BLE001  # one endpoint must never stop the others
                self._log.exception("webhook_broke", webhook=str(endpoint_id))
                self._mind(endpoint_id, False)

    def _mind(self, endpoint_id: UUID, answers: bool) -> None:
        """Let an endpoint rest that gives no answer."""
        _, last = self._rests.pop(endpoint_id, (0.0, 0.5))
        if not answers:
            rest = min(last * 2, _LONGEST_REST)
            self._rests[endpoint_id] = self._clock.monotonic() + rest, rest

    def _resting(self) -> list[UUID]:
        now = self._clock.monotonic()
        return [e for e, (until, _) in self._rests.items() if until > now]

    def _serve(self, endpoint: Endpoint) -> bool:
        """Tell an endpoint what is due. Returns whether it answers."""
        with self._units() as unit:
            messages = unit.webhooks.take(endpoint.id, _SERIES, _LEASE)
            unit.commit()
        if not messages:
            return True
        results = self._tell(endpoint, messages)
        noted = [self._noted(message, results.get(message.id)) for message in messages]
        told = [r for r in results.values() if r.taken]
        unwanted = any(r.unwanted for r in results.values())
        with self._units() as unit:
            unit.webhooks.note(noted)
            if told:
                unit.webhooks.well(endpoint.id)
            given_up = bool(results) and not told and unit.webhooks.ill(endpoint.id, PATIENCE)
            if unwanted or given_up:
                reason = "it answered 410 Gone" if unwanted else "it took nothing for three days"
                if unit.webhooks.disable(endpoint.id, reason, self._new_id):
                    self._log.warning("webhook_disabled", webhook=str(endpoint.id), reason=reason)
            unit.commit()
        return all(r.status is not None for r in results.values())

    def _tell(self, endpoint: Endpoint, messages: Sequence[Telling]) -> dict[UUID, Told]:
        """Post until one gets no answer, the receiver wants no more, or the time of a series is over."""
        results: dict[UUID, Told] = {}
        try:
            secrets = self._secrets_of(endpoint)
        except (SealBroken, UnknownKey) as error:  # its owner sees why, and it is given up in the end
            self._log.warning(
                "webhook_secret_unreadable", webhook=str(endpoint.id), error=type(error).__name__
            )
            return {messages[0].id: Told(None, "its secret cannot be read: rotate it")}
        began = self._clock.monotonic()
        with self._connect(endpoint) as line:
            for message in messages:
                passed = self._clock.monotonic() - began
                if message.payload is None:
                    continue
                if passed > _SERIES_SECONDS:
                    break
                body = orjson.dumps(message.payload)
                at = int((message.at + timedelta(seconds=passed)).timestamp())
                signing = secrets if message.old_too else secrets[:1]
                told = line.post(sign(signing, f"msg_{message.id.hex}", at, body), body)
                results[message.id] = told
                if told.status is None or told.unwanted:
                    break
        return results

    def _noted(self, message: Telling, told: Told | None) -> Noted:
        if message.payload is None:
            return Noted(message.id, "failed", False, error="what it was to tell is no longer kept")
        if told is None:
            return Noted(message.id, "waiting", False, delay=1.0)
        if told.taken:
            return Noted(message.id, "told", True, told.status)
        delay = next_wait(message.tries + 1, self._clock.chance.random(), told.retry_after)
        state = "failed" if delay is None else "waiting"
        return Noted(message.id, state, True, told.status, told.error, delay or 0.0)
