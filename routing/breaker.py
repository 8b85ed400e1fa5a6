"""A circuit breaker as a value: whether a provider may be tried now, folded from how its calls ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from domain.errors import (
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
)

TRIP_AFTER = 5  # failures in a row
FAILURE_BACKOFF = (1.0, 15.0)  # seconds before the first probe, and at most
ACCOUNT_BACKOFF = (30.0, 300.0)
DEFAULT_THROTTLE = 1.0  # seconds, where a provider limits without saying for how long


class Sign(StrEnum):
    """What the end of a call says about the provider (not about the email)."""

    ANSWERED = "answered"
    FAILED = "failed"
    ACCOUNT_FAILED = "account_failed"
    THROTTLED = "throttled"


class Admission(StrEnum):
    OPEN_DOOR = "open_door"
    PROBE = "probe"
    SHUT = "shut"


@dataclass(frozen=True, slots=True)
class Breaker:
    """Closed while `retry_at` is None. `backoff` in seconds; `throttled_until` is the provider's own rate limit."""

    failures: int = 0
    backoff: float = 0.0
    retry_at: datetime | None = None
    throttled_until: datetime | None = None
    cause: str = ""

    def admission(self, now: datetime) -> Admission:
        """Closed: everyone enters. Open: nobody, until `retry_at`; then one probe at a time."""
        if self.retry_at is None:
            return Admission.OPEN_DOOR
        return Admission.PROBE if now >= self.retry_at else Admission.SHUT

    def throttled(self, now: datetime) -> bool:
        return self.throttled_until is not None and now < self.throttled_until

    def probing(self, now: datetime) -> Breaker:
        """The state while a probe is out: the next one may go only after another backoff."""
        return Breaker(
            self.failures,
            self.backoff,
            now + timedelta(seconds=self.backoff),
            self.throttled_until,
            self.cause,
        )

    def after(
        self,
        sign: Sign,
        now: datetime,
        *,
        probe: bool = False,
        cause: str = "",
        retry_after: float | None = None,
    ) -> Breaker:
        """Fold one more sign. An answer, whatever it says of the email, closes; failures open and back off.

        While it is open only a `probe` that fails lengthens the backoff: other calls began before it opened.
        """
        match sign:
            case Sign.ANSWERED:
                return Breaker(throttled_until=self.throttled_until)
            case Sign.THROTTLED:
                until = now + timedelta(
                    seconds=DEFAULT_THROTTLE if retry_after is None else max(0.0, retry_after)
                )
                latest = until if self.throttled_until is None else max(until, self.throttled_until)
                return Breaker(throttled_until=latest)
            case Sign.FAILED:
                first, longest = FAILURE_BACKOFF
                opens = self.failures + 1 >= TRIP_AFTER
            case Sign.ACCOUNT_FAILED:
                first, longest = ACCOUNT_BACKOFF
                opens = True
        failures = self.failures + 1
        if self.retry_at is None and not opens:
            return Breaker(failures, throttled_until=self.throttled_until, cause=cause)
        if self.retry_at is not None and not probe:
            return Breaker(failures, self.backoff, self.retry_at, self.throttled_until, cause)
        backoff = min(longest, max(first, self.backoff * 2))
        return Breaker(failures, backoff, now + timedelta(seconds=backoff), self.throttled_until, cause)


CLOSED = Breaker()


def sign_of(error: ProviderError | None) -> Sign:
    """What a call's end says about the provider; None stands for an acceptance.

    A rejection of a message, a recipient or a sender is an answer: it never hurts the provider.
    """
    if isinstance(error, RateLimited):
        return Sign.THROTTLED
    if isinstance(error, Misconfigured):
        return Sign.ACCOUNT_FAILED
    if isinstance(error, ProviderUnavailable | OutcomeUnknown):
        return Sign.FAILED
    return Sign.ANSWERED
