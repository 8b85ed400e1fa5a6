"""Sending a window: all emails at once, or in series over few connections where a provider answers quickly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from uuid import UUID

from domain.attempt import SendResult
from domain.errors import OutcomeUnknown, ProviderError, ProviderUnavailable
from domain.ports import Clock, Letter, Log, Provider, SeriesProvider

_SERIES = 0.02  # seconds that a series may take; a slower provider gets more of them side by side
_STUCK = 0.5  # seconds for one email, after which those behind it do not wait any longer
_FIRST_GUESS = 0.01  # seconds per email at a provider that we know nothing of
_LEAST = 1e-6  # seconds per email; a clock may not have moved on
_WEIGHT = 0.3  # of the newest series in the estimate


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An email with the provider that is to carry it; its attempt is in the ledger."""

    provider_id: UUID
    provider: str
    letter: Letter


@dataclass(frozen=True, slots=True)
class Reply:
    """How a call ended. Neither `sent` nor `error`: it was not made."""

    sent: SendResult | None = None
    error: ProviderError | None = None
    latency_ms: float | None = None


_NOT_MADE = Reply()


class Sender:
    """Sends windows with `pool`'s threads; learns how long each provider takes. For several threads at once."""

    def __init__(self, adapter: Callable[[UUID], Provider], pool: Executor, clock: Clock, log: Log) -> None:
        self._adapter, self._pool, self._clock, self._log = adapter, pool, clock, log
        self._pace: dict[UUID, float] = {}  # seconds per email in a series, by provider

    def send(self, window: Sequence[Outgoing], go_on: Callable[[], bool]) -> list[Reply]:
        """Send every email once; the replies come in the window's order. What `go_on()` stopped was not sent."""
        replies: list[Reply | None] = [None] * len(window)
        waiting = list(range(len(window)))
        while waiting:
            series = self._share_out(window, waiting)
            if len(series) == 1:
                done = [self._carry(window, series[0], go_on)]
            else:
                futures = [self._pool.submit(self._carry, window, places, go_on) for places in series]
                done = [future.result() for future in futures]
            for places, ended in zip(series, done, strict=True):
                for place, reply in zip(places, ended, strict=False):
                    replies[place] = reply
            waiting = [place for place in waiting if replies[place] is None]
        return [reply or _NOT_MADE for reply in replies]

    def _share_out(self, window: Sequence[Outgoing], waiting: Sequence[int]) -> list[list[int]]:
        """Group emails into series: as many at a time as a provider answers within `_SERIES`, equal in length."""
        by_provider: dict[UUID, list[int]] = {}
        for place in waiting:
            by_provider.setdefault(window[place].provider_id, []).append(place)
        series: list[list[int]] = []
        for provider_id, places in by_provider.items():
            count = len(places)
            if isinstance(self._find(provider_id), SeriesProvider):
                longest = max(1, int(_SERIES / self._pace.get(provider_id, _FIRST_GUESS)))
                count = -(-len(places) // longest)
            series += [places[start::count] for start in range(count)]
        return series

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
            with closing(adapter.send_series([e.letter for e in emails[len(replies) :]], go_on)) as series:
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

    def _find(self, provider_id: UUID) -> Provider | None:
        """The adapter; None where the provider was taken away since the decision."""
        try:
            return self._adapter(provider_id)
        except LookupError:
            return None

    def _call(self, adapter: Provider | None, email: Outgoing) -> Reply:
        began = self._clock.monotonic()
        result: SendResult | ProviderError
        if adapter is None:
            return Reply(error=ProviderUnavailable(email.provider, "it is no longer configured"))
        try:
            result = adapter.send(email.letter.submission, email.letter.attempt_id)
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
