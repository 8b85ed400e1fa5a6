"""Sending a window: all emails at once, in calls of several, or in series where a provider answers quickly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import closing
from itertools import chain
from typing import Any, TypeVar
from uuid import UUID

from domain.attempt import SendResult
from domain.delivery import CallLine
from domain.errors import OutcomeUnknown, ProviderError, ProviderUnavailable, Rejected, Unsupported
from domain.labels import fitting
from domain.message import Lane
from domain.ports import Call, CallProvider, Clock, GroupProvider, Letter, Log, Provider, SeriesProvider
from domain.value import value

# Seconds that a series may take; a slower provider gets more of them side by side. Much less, and a busy machine would
# be taken for a slow provider, and slowed further by the threads.
_SERIES = 0.05
_STUCK = 0.5  # seconds for one email, after which those behind it do not wait any longer
_FIRST_GUESS = 0.02  # seconds per email at a provider that we know nothing of
_LEAST = 1e-6  # seconds per email; a clock may not have moved on
_WEIGHT = 0.3  # of the newest series in the estimate
# Emails in one call, by lane: an answer that is lost leaves no more than these in doubt.
_MOST = {Lane.TRANSACTIONAL: 1, Lane.BULK: 50}


@value
class Outgoing:
    """An email with the provider that is to carry it; its attempt is in the ledger."""

    provider_id: UUID
    provider: str
    letter: Letter


@value
class Packed:
    """A call with the provider that it goes to. It is made only where `line` is written down."""

    provider: str
    call: Call
    line: CallLine


@value
class Reply:
    """How a call ended. Neither `sent` nor `error`: it was not made."""

    sent: SendResult | None = None
    error: ProviderError | None = None
    latency_ms: float | None = None


def letter_for(provider: Provider, letter: Letter) -> Letter:
    """The letter as the provider gets it: without tags and metadata that it has no place for."""
    if not letter.submission.tags and not letter.submission.metadata:
        return letter
    return Letter(fitting(provider.capabilities, letter.submission), letter.attempt_id)


_NOT_MADE = Reply()
T = TypeVar("T")
# Sends some emails of a window, by their places, and writes down the replies; returns what is still to be waited for.
_Way = Callable[
    [Sequence[Outgoing], Sequence[int], list[Reply | None], Callable[[], bool]], Sequence[Future[None]]
]


class Sender:
    """Sends windows with `pool`'s threads; learns how long each provider takes. For several threads at once."""

    def __init__(self, adapter: Callable[[UUID], Provider], pool: Executor, clock: Clock, log: Log) -> None:
        self.adapter, self._pool, self._clock, self._log = adapter, pool, clock, log
        self._pace: dict[UUID, float] = {}  # seconds per email in a series, by provider

    def pack(self, window: Sequence[Outgoing]) -> list[Packed]:
        """Compose the calls that are to be written down before they are made: several emails in one, or a call
        that may be made again. Emails that are in none go by themselves.
        """
        groups: dict[tuple[UUID, Lane], list[Outgoing]] = {}
        for email in window:
            groups.setdefault((email.provider_id, email.letter.submission.lane), []).append(email)
        packed: list[Packed] = []
        for (provider_id, lane), emails in groups.items():
            adapter = self._find(provider_id)
            if not isinstance(adapter, CallProvider):
                continue
            alive = adapter.capabilities.repeatable_seconds
            try:
                calls = adapter.pack([letter_for(adapter, email.letter) for email in emails], _MOST[lane])
            except Exception:  # noqa: BLE001  # an adapter's fault must never hold up an email
                self._log.exception("adapter_broke", provider=emails[0].provider)
                continue
            packed += [
                Packed(
                    emails[0].provider,
                    call,
                    CallLine(provider_id, call.key, call.payload_hash, call.attempts, alive),
                )
                for call in calls
            ]
        return packed

    def send(
        self, window: Sequence[Outgoing], go_on: Callable[[], bool], calls: Sequence[Packed] = ()
    ) -> list[Reply]:
        """Send every email once; the replies come in the window's order. What `go_on()` stopped was not sent."""
        replies: list[Reply | None] = [None] * len(window)
        if not calls:
            self._send_alone(window, range(len(window)), replies, go_on)
            return [reply or _NOT_MADE for reply in replies]
        places = {email.letter.attempt_id: place for place, email in enumerate(window)}
        begun = [(packed, self._aside(self._make, packed, go_on)) for packed in calls]
        called = {places[attempt] for packed in calls for attempt in packed.call.attempts}
        self._send_alone(window, [p for p in range(len(window)) if p not in called], replies, go_on)
        for packed, future in begun:
            for attempt, reply in zip(packed.call.attempts, future.result(), strict=False):
                replies[places[attempt]] = reply
        self._send_alone(window, [p for p in called if replies[p] is None], replies, go_on)
        return [reply or _NOT_MADE for reply in replies]

    def _make(self, packed: Packed, go_on: Callable[[], bool]) -> list[Reply]:
        """Make a call; no replies where it was refused as a whole for what may be one email's fault: each then goes
        by itself. A call that may be made again stays one, so that it can never be both.
        """
        count, provider = len(packed.call.letters), packed.provider
        adapter = self._find(packed.line.provider_id)
        if not go_on():
            return [_NOT_MADE] * count
        if not isinstance(adapter, CallProvider):
            return [Reply(error=ProviderUnavailable(provider, "it is no longer configured"))] * count
        began = self._clock.monotonic()
        try:
            results = adapter.send_many(packed.call)
            if len(results) != count:
                raise RuntimeError("the call ended without a result for each email")
        except (Rejected, Unsupported) as refusal:
            if count > 1 and packed.line.repeatable_seconds is None:
                return []
            error: ProviderError = refusal
            if count > 1:
                error = ProviderUnavailable(provider, f"refused a call with {count} emails: {refusal.detail}")
            results = [error] * count
        except ProviderError as known:
            results = [known] * count
        except Exception as surprise:  # noqa: BLE001  # as above
            self._log.exception("adapter_broke", provider=provider, attempt=str(packed.call.attempts[0]))
            broken = OutcomeUnknown(provider, f"the adapter broke: {type(surprise).__name__}")
            return [Reply(error=broken)] * count
        latency = (self._clock.monotonic() - began) * 1000
        return [_reply(result, latency) for result in results]

    def _send_alone(
        self,
        window: Sequence[Outgoing],
        places: Sequence[int],
        replies: list[Reply | None],
        go_on: Callable[[], bool],
    ) -> None:
        waiting = list(places)
        while waiting:
            ways = self._share_out(window, waiting)
            begun = [self._aside(way, window, those, replies, go_on) for way, those in ways[:-1]]
            way, those = ways[-1]
            apart = [*way(window, those, replies, go_on), *chain.from_iterable(job.result() for job in begun)]
            for email in apart:
                email.result()
            waiting = [place for place in waiting if replies[place] is None]

    def _share_out(self, window: Sequence[Outgoing], waiting: Sequence[int]) -> list[tuple[_Way, list[int]]]:
        """Part emails by how they go: together where a provider takes them so, else in series, as many at a time as a
        provider answers within `_SERIES`, equal in length.
        """
        by_provider: dict[UUID, list[int]] = {}
        for place in waiting:
            by_provider.setdefault(window[place].provider_id, []).append(place)
        ways: list[tuple[_Way, list[int]]] = []
        for provider_id, places in by_provider.items():
            count, adapter = len(places), self._find(provider_id)
            if count > 1 and isinstance(adapter, GroupProvider):
                ways.append((self._together, places))
                continue
            if isinstance(adapter, SeriesProvider):
                longest = max(1, int(_SERIES / self._pace.get(provider_id, _FIRST_GUESS)))
                count = -(-len(places) // longest)
            ways += [(self._in_series, places[start::count]) for start in range(count)]
        return ways

    def _together(
        self,
        window: Sequence[Outgoing],
        places: Sequence[int],
        replies: list[Reply | None],
        go_on: Callable[[], bool],
    ) -> list[Future[None]]:
        """Send emails at the same time. Returns those that go by themselves, aside, which are to be waited for.

        An email that the adapter says nothing of was not sent only where it comes after a no to `go_on()`; that no
        may be said now does not mean that it was said before that email.
        """
        emails = [window[place] for place in places]
        adapter = self._find(emails[0].provider_id)
        apart: list[Future[None]] = []
        late: list[int] = []  # as the threads take nothing any more; not in the midst of the others' answers
        answers: list[bool] = []

        def may_go() -> bool:
            answers.append(go_on())
            return answers[-1]

        def by_itself(place: int) -> None:
            replies[place] = self._call(adapter, window[place]) if go_on() else _NOT_MADE

        if not isinstance(adapter, GroupProvider):  # it was replaced, or taken away, a moment ago
            for place in places:
                by_itself(place)
            return apart
        begun = set[int]()
        surprise: Exception = RuntimeError("the group ended without a result for each email")
        letters = [letter_for(adapter, email.letter) for email in emails]
        try:
            for number, result, seconds in adapter.send_group(letters, may_go):
                place = places[number]
                begun.add(place)
                if result is not None:
                    replies[place] = _reply(result, seconds * 1000)
                    continue
                try:
                    apart.append(self._pool.submit(by_itself, place))
                except RuntimeError:
                    late.append(place)
        except Exception as broken:  # noqa: BLE001  # an adapter's fault must never lose an email
            surprise = broken
        for place in late:
            by_itself(place)
        allowed = answers.index(False) if False in answers else len(places)
        for number, place in enumerate(places):
            if place not in begun:
                replies[place] = _NOT_MADE if number >= allowed else self._broken(window[place], surprise)
        return apart

    def _in_series(
        self,
        window: Sequence[Outgoing],
        places: Sequence[int],
        replies: list[Reply | None],
        go_on: Callable[[], bool],
    ) -> list[Future[None]]:
        for place, reply in zip(places, self._carry(window, places, go_on), strict=False):
            replies[place] = reply
        return []

    def _carry(
        self, window: Sequence[Outgoing], places: Sequence[int], go_on: Callable[[], bool]
    ) -> list[Reply]:
        """Send one series; fewer replies than places where it got stuck on the way."""
        emails = [window[place] for place in places]
        provider_id = emails[0].provider_id
        adapter = self._find(provider_id)
        if not isinstance(adapter, SeriesProvider):
            return [self._call(adapter, email) if go_on() else _NOT_MADE for email in emails]
        replies: list[Reply] = []
        began = self._clock.monotonic()
        while len(replies) < len(emails):
            if not go_on():
                return replies + [_NOT_MADE] * (len(emails) - len(replies))
            self._follow(adapter, emails, replies, go_on)
            if (replies[-1].latency_ms or 0.0) > _STUCK * 1000:
                break
        taken = max(_LEAST, (self._clock.monotonic() - began) / len(replies))
        before = self._pace.get(provider_id, taken)
        self._pace[provider_id] = before + _WEIGHT * (taken - before)
        return replies

    def _follow(
        self,
        adapter: SeriesProvider,
        emails: Sequence[Outgoing],
        replies: list[Reply],
        go_on: Callable[[], bool],
    ) -> None:
        """Add a reply per email until the series ends, gets stuck, breaks or is stopped; at least one."""
        began = self._clock.monotonic()
        enough = False
        try:
            letters = [letter_for(adapter, email.letter) for email in emails[len(replies) :]]
            with closing(adapter.send_series(letters, go_on)) as series:
                for result in series:
                    now = self._clock.monotonic()
                    replies.append(_reply(result, (now - began) * 1000))
                    enough = len(replies) == len(emails) or now - began > _STUCK
                    if enough:
                        break
                    began = now
            if not enough and go_on():
                raise RuntimeError("the series ended without a result for each email")
        except Exception as surprise:  # noqa: BLE001  # an adapter's fault must never lose an email
            if enough:
                self._log.exception("adapter_broke", provider=emails[0].provider)
            else:
                replies.append(self._broken(emails[len(replies)], surprise))
        else:
            if not enough:
                replies.append(_NOT_MADE)

    def _aside(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        """By another thread; by this one, at once, where the threads take nothing any more."""
        try:
            return self._pool.submit(work, *arguments)
        except RuntimeError:
            done: Future[T] = Future()
            done.set_result(work(*arguments))
            return done

    def _find(self, provider_id: UUID) -> Provider | None:
        """The adapter; None where the provider was taken away since the decision."""
        try:
            return self.adapter(provider_id)
        except LookupError:
            return None

    def _call(self, adapter: Provider | None, email: Outgoing) -> Reply:
        began = self._clock.monotonic()
        result: SendResult | ProviderError
        if adapter is None:
            return Reply(error=ProviderUnavailable(email.provider, "it is no longer configured"))
        try:
            letter = letter_for(adapter, email.letter)
            result = adapter.send(letter.submission, letter.attempt_id)
        except ProviderError as known:
            result = known
        except Exception as surprise:  # noqa: BLE001  # as above
            return self._broken(email, surprise)
        return _reply(result, (self._clock.monotonic() - began) * 1000)

    def _broken(self, email: Outgoing, surprise: Exception) -> Reply:
        self._log.exception("adapter_broke", attempt=str(email.letter.attempt_id), provider=email.provider)
        return Reply(error=OutcomeUnknown(email.provider, f"the adapter broke: {type(surprise).__name__}"))


def _reply(result: SendResult | ProviderError, latency_ms: float) -> Reply:
    if isinstance(result, ProviderError):
        return Reply(error=result, latency_ms=latency_ms)
    return Reply(sent=result, latency_ms=latency_ms)
