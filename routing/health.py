"""Whether a provider answers: opened by failures in a row, closed by probes that are taken."""

from __future__ import annotations

import math

from routing.signs import End

TRIP_AFTER = 5
FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 15.0
SUCCESS, FAILURE, ENOUGH = 2.3, -0.64, 4.0  # a sequential probability ratio test: 0.99 against 0.1 accepted
RAMP_FROM, RAMP_SECONDS = 0.25, 10.0


class Health:
    """Closed, or open with one probe at a time. Every attempt is told as started and ended, or as overdue between.

    `backoff_cap` is the longest wait between probes; who knows what a probe costs may stretch it.
    """

    __slots__ = (
        "_backoff", "_evidence", "_failures", "_overdue", "_probe", "backoff_cap", "next_probe_at", "opened_at",
        "reopened_at",
    )  # fmt: skip

    def __init__(self) -> None:
        self._failures = 0
        self._overdue: set[int] = set()  # attempts that counted as failed before they ended
        self._evidence = 0.0
        self._backoff = 0.0
        self._probe: tuple[int, float] | None = None
        self.backoff_cap = LONGEST_BACKOFF
        self.opened_at: float | None = None
        self.reopened_at = -math.inf
        self.next_probe_at = math.inf

    @property
    def open(self) -> bool:
        return self.opened_at is not None

    def probe_due(self, now: float) -> bool:
        return self.open and now >= self.next_probe_at and not self._probing(now)

    def share(self, now: float) -> float:
        """The part of the traffic that it may carry: none while open, then a short ramp."""
        if self.open:
            return 0.0
        return min(1.0, RAMP_FROM + (1 - RAMP_FROM) * (now - self.reopened_at) / RAMP_SECONDS)

    def probing(self, attempt: int, now: float) -> None:
        """This attempt is the probe that was due."""
        self._probe = attempt, now
        self.next_probe_at = now + max(self._backoff, FIRST_BACKOFF)

    def overdue(self, attempt: int, now: float) -> None:
        """No answer in the usual time: a provisional failure, whatever becomes of its email."""
        self._overdue.add(attempt)
        self._fail(attempt, now)

    def ended(self, attempt: int, end: End, now: float) -> None:
        """A rate limit or a spent quota says nothing of health, but a probe that met it must be repeated."""
        late = attempt in self._overdue
        self._overdue.discard(attempt)
        if end is End.ACCEPTED:
            self._succeed(attempt, now, late)
        elif end in (End.THROTTLED, End.QUOTA_SPENT):
            if self._is_probe(attempt):
                self._probe = None
        elif end is End.ACCOUNT_FAULT:
            self._failures = TRIP_AFTER
            self._fail(attempt, now)
        elif not late:
            self._fail(attempt, now)

    def _succeed(self, attempt: int, now: float, late: bool) -> None:
        self._failures = 0
        if not self.open:
            return
        if self._is_probe(attempt):
            self._probe = None
        elif not late:
            return  # began before it opened and tells of that time
        self._evidence += SUCCESS
        self._backoff = FIRST_BACKOFF
        self.next_probe_at = now
        if self._evidence >= ENOUGH or late:  # slow, not down
            self.opened_at, self.reopened_at = None, now
            self._evidence = self._backoff = 0.0

    def _fail(self, attempt: int, now: float) -> None:
        self._failures += 1
        if not self.open:
            if self._failures >= TRIP_AFTER:
                self.opened_at = now
                self._evidence, self._backoff, self._probe = 0.0, FIRST_BACKOFF, None
                self.next_probe_at = now + FIRST_BACKOFF
            return
        if self._is_probe(attempt):
            self._probe = None
            self._evidence = max(0.0, self._evidence + FAILURE)
            self._backoff = min(self.backoff_cap, 2 * max(self._backoff, FIRST_BACKOFF))
            self.next_probe_at = now + self._backoff

    def _is_probe(self, attempt: int) -> bool:
        return self._probe is not None and self._probe[0] == attempt

    def _probing(self, now: float) -> bool:
        """Whether a probe is out. One of which nothing was heard for too long is forgotten."""
        return self._probe is not None and now < self._probe[1] + 60
