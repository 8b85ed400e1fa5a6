"""When a campaign is to stop by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

_GONE = ("sent", "delivered", "bounced", "complained")  # a provider had taken these
_SHORTEST = 5.0  # seconds that a rate is told of: one email a moment ago is none yet
_WAITING = ("scheduled", "queued", "deferred")


@dataclass(frozen=True, slots=True)
class Limits:
    """`spend_cap` None: none. Shares of what was sent, from `min_sent` on."""

    spend_cap: Decimal | None
    max_complaints: float
    max_bounces: float
    min_sent: int


@dataclass(frozen=True, slots=True)
class Progress:
    """`statuses`: emails by status; `lately`: sent in the last five minutes, of which the first was sent `span` seconds
    ago. `taken`: emails that a provider took, and of them `hard_bounces`: also those that are deleted since.
    """

    statuses: Mapping[str, int]
    lately: int
    span: float
    taken: int
    hard_bounces: int
    spent: Decimal

    @property
    def total(self) -> int:
        return sum(self.statuses.values())

    @property
    def sent(self) -> int:
        """What a provider took."""
        return sum(self.statuses.get(status, 0) for status in _GONE)

    @property
    def waiting(self) -> int:
        return sum(self.statuses.get(status, 0) for status in _WAITING)

    @property
    def rate(self) -> float:
        """Emails per second of the last five minutes, or since it began: the first of them came at the beginning."""
        return self.lately / max(self.span, _SHORTEST)

    def seconds_left(self, per_minute: int | None) -> float | None:
        """At the rate of the last five minutes, or as it is throttled; None: nobody can say."""
        if not self.waiting:
            return 0.0
        rate = self.rate
        if per_minute is not None:
            rate = min(rate, per_minute / 60) if rate else per_minute / 60
        return self.waiting / rate if rate else None


def why_stop(limits: Limits, progress: Progress) -> str | None:
    """Why a campaign is to pause by itself; None: it goes on."""
    if limits.spend_cap is not None and progress.spent >= limits.spend_cap:
        return f"the spend cap of {limits.spend_cap.normalize():f} is reached"
    sent, taken = progress.sent, progress.taken
    if sent and sent >= limits.min_sent:
        complaints = progress.statuses.get("complained", 0) / sent
        if complaints >= limits.max_complaints:
            return f"complaints: {complaints:.2%} of {sent} emails"
    if taken and taken >= limits.min_sent:
        bounces = progress.hard_bounces / taken
        if bounces >= limits.max_bounces:
            return f"hard bounces: {bounces:.2%} of {taken} emails"
    return None
