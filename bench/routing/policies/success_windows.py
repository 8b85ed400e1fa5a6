"""Success-rate windows, as payment routers have them: of the last 200 per provider and group, what went well.

What has not been heard of within two minutes has not gone well. Among those within a point of the best the cheapest
goes; 5% at random keep the windows filled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from bench.routing.briefing import Briefing
from bench.routing.policies.baseline import Baseline
from routing.signs import End

NAME = "success-rate windows"
WINDOW, TOLERANCE, EXPLORED, HEARD_OF_WITHIN = 200, 0.01, 0.05, 120.0


class SuccessWindows(Baseline):
    def __init__(self, told: Briefing) -> None:
        super().__init__(told)
        self.windows = [[deque([1] * 20, maxlen=WINDOW) for _ in range(told.groups)] for _ in told.names]
        self.sums = [[20] * told.groups for _ in told.names]
        self.waiting: dict[int, tuple[float, int, int]] = {}

    def pick(self, free: Sequence[int], kind: int, now: float) -> int:
        self._expire(now)
        if self.chance.random() < EXPLORED:
            return self.chance.choice(free)
        group = self.group_of[kind]
        rates = {k: self.sums[k][group] / len(self.windows[k][group]) for k in free}
        best = max(rates.values())
        return min((k for k in free if rates[k] >= best - TOLERANCE), key=self.price)

    def ended(self, attempt: int, provider: int, kind: int, end: End, seconds: float, now: float) -> None:
        super().ended(attempt, provider, kind, end, seconds, now)
        if end is End.ACCEPTED:
            self.waiting[attempt] = now, provider, self.group_of[kind]
        elif end not in (End.THROTTLED, End.QUOTA_SPENT):
            self._note(provider, self.group_of[kind], 0)

    def event(self, attempt: int, provider: int, kind: int, delivered: bool, now: float) -> None:
        if self.waiting.pop(attempt, None) is not None:
            self._note(provider, self.group_of[kind], int(delivered))

    def _expire(self, now: float) -> None:
        while self.waiting:
            attempt, (at, provider, group) = next(iter(self.waiting.items()))
            if at + HEARD_OF_WITHIN > now:
                return
            del self.waiting[attempt]
            self._note(provider, group, 0)

    def _note(self, provider: int, group: int, good: int) -> None:
        window = self.windows[provider][group]
        if len(window) == WINDOW:
            self.sums[provider][group] -= window[0]
        window.append(good)
        self.sums[provider][group] += good


def make(told: Briefing) -> SuccessWindows:
    return SuccessWindows(told)
