"""Whether a provider's events still arrive. A silence of everything at once is a broken feed, not lost email.

What is lost by a mailbox host goes missing among the emails sent since then; the events of earlier ones keep coming.
When those stop as well, the feed is down: alert, judge nothing by events, and do not reroute.
"""

from __future__ import annotations

ENOUGH = 16.0  # events that should have come in a silence: by chance once in e^16 events
SHORTEST_SILENCE = 2.0  # seconds
RESTORED = 3  # events that show that they arrive again
RESTORED_WITHIN = 60.0  # seconds


class EventFeed:
    """Of one provider. `expected` is told as it accumulates: how many events should have come since the last look."""

    __slots__ = ("_owed", "_recent", "down_since", "last_event_at")

    def __init__(self) -> None:
        self._owed = 0.0
        self._recent: list[float] = []
        self.last_event_at: float | None = None
        self.down_since: float | None = None

    @property
    def down(self) -> bool:
        return self.down_since is not None

    def event(self, now: float) -> None:
        self._owed = 0.0
        self.last_event_at = now
        if self.down:
            self._recent = [t for t in self._recent if t > now - RESTORED_WITHIN]
            self._recent.append(now)
            if len(self._recent) >= RESTORED:
                self.down_since, self._recent = None, []

    def owe(self, expected: float, now: float) -> bool:
        """Add what should have come meanwhile. True: the feed has just gone down."""
        if self.down or self.last_event_at is None:
            return False
        self._owed += expected
        if self._owed < ENOUGH or now - self.last_event_at < SHORTEST_SILENCE:
            return False
        self.down_since = self.last_event_at
        return True
