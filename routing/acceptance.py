"""How likely and how quickly a provider takes an email, and what its silence has meant: learned per provider."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from routing.fading import Fading
from routing.signs import End

HALF_LIFE = 300.0
PRIOR_ACCEPTED, PRIOR_STRENGTH = 0.995, 20.0
PRIOR_HUNG, HUNG_STRENGTH, HUNG_HALF_LIFE = 0.1, 5.0, 600.0  # of the failures: those without an answer
RECENT_HALF_LIFE = 15.0
MANY, CONTRADICTS = (
    4.0,
    3.5,
)  # attempts, and standard errors, that the last seconds must be apart from the past
LATENCY_HALF_LIFE, PRIOR_SECONDS, SECONDS_STRENGTH = 120.0, 0.3, 3.0
SHORTEST_PATIENCE = 0.8  # seconds
DOUBT_SETTLES = 180.0  # seconds after which an event that has not come will not come
PRIOR_TAKEN, TAKEN_STRENGTH = 0.3, 5.0


@dataclass(frozen=True, slots=True)
class Ends:
    """What one attempt is expected to come to. `taken`: the share of the timed out that had been accepted."""

    accepted: float
    timed_out: float
    seconds: float
    taken: float
    sample: float


class Acceptance:
    """A discounted Beta over acceptance, what failures look like, mean and spread of the time that attempts take.

    429s and quotas are not its matter.
    """

    __slots__ = (
        "_any_failures",
        "_counts",
        "_doubts",
        "_failures",
        "_latency",
        "_recent",
        "_seconds",
        "_streak",
        "_taken",
    )

    def __init__(self) -> None:
        self._counts = Fading(HALF_LIFE, 0.0, 0.0)  # attempts, accepted
        self._recent = Fading(RECENT_HALF_LIFE, 0.0, 0.0)
        self._seconds = Fading(LATENCY_HALF_LIFE, 0.0, 0.0)  # attempts, seconds
        self._latency = Fading(HALF_LIFE, 0.0, 0.0, 0.0)  # accepted, log seconds, their squares
        self._taken = Fading(12 * HALF_LIFE, 0.0, 0.0)  # doubts, of them accepted
        self._doubts: deque[list[float]] = deque()  # [attempt, at, confirmed]
        self._failures = Fading(HUNG_HALF_LIFE, 0.0, 0.0)  # of all kinds, timed out
        self._any_failures = Fading(HUNG_HALF_LIFE, 0.0, 0.0)  # those while it is down as well
        self._streak = 0.0  # attempts since the last acceptance

    def kept(self) -> dict[str, list[float]]:
        """What is worth remembering beyond this process."""
        return {name: fading.kept() for name, fading in self._lasting().items()}

    def recall(self, kept: Mapping[str, Sequence[float]]) -> None:
        for name, fading in self._lasting().items():
            fading.recall(kept.get(name, ()))

    def _lasting(self) -> dict[str, Fading]:
        return {
            "counts": self._counts,
            "seconds": self._seconds,
            "latency": self._latency,
            "taken": self._taken,
            "failures": self._failures,
        }

    def ended(self, attempt: int, end: End, seconds: float, now: float, *, counts: bool = True) -> None:
        """`counts` False: the provider is known to be down, and this says nothing of how it is when it is up."""
        timed_out = end is End.TIMED_OUT
        if timed_out:
            self._doubts.append([attempt, now, 0.0])
        accepted = end is End.ACCEPTED
        if not accepted:
            self._any_failures.add(now, 1.0, float(timed_out))
        if counts or accepted:
            self._seconds.add(now, 1.0, seconds)
        if accepted:
            log = math.log(max(seconds, 1e-4))
            self._latency.add(now, 1.0, log, log * log)
        if not counts:
            return
        if not accepted:
            self._failures.add(now, 1.0, float(timed_out))
        self._counts.add(now, 1.0, float(accepted))
        self._recent.add(now, 1.0, float(accepted))
        self._compare(now)
        if accepted:
            self._streak = 0.0
        else:
            self._streak += 1

    def _compare(self, now: float) -> None:
        """Where the last seconds contradict the past, the past is forgotten."""
        n, accepted = self._recent.sums
        usual = self._accepted(now)
        error = math.sqrt(n * usual * (1 - usual))
        if abs(accepted - n * usual) > max(MANY, CONTRADICTS * error):
            self._counts.sums = [n, accepted]

    def _accepted(self, now: float) -> float:
        n, accepted = self._counts.fade(now)
        return (accepted + PRIOR_STRENGTH * PRIOR_ACCEPTED) / (n + PRIOR_STRENGTH)

    def forgive(self, now: float) -> None:
        """Take back the failures in a row that showed that it is down: after that it is as good as it was before."""
        for counts in (self._counts, self._recent):
            attempts, accepted = counts.fade(now)
            counts.sums = [max(accepted, attempts - self._streak), accepted]
        self._streak = 0.0

    def confirmed(self, attempt: int) -> bool:
        """An event proves that the provider has taken an email that was in doubt. False: it was not in doubt."""
        for doubt in self._doubts:
            if doubt[0] == attempt:
                doubt[2] = 1.0
                return True
        return False

    def ends(self, now: float) -> Ends:
        accepted = self._accepted(now)
        calls, seconds = self._seconds.fade(now)
        while self._doubts and self._doubts[0][1] + DOUBT_SETTLES <= now:
            _, at, confirmed = self._doubts.popleft()
            self._taken.add(at + DOUBT_SETTLES, 1.0, confirmed)
        doubts, taken = self._taken.fade(now)
        return Ends(
            accepted,
            (1 - accepted) * _hung(self._failures.fade(now)),
            (seconds + SECONDS_STRENGTH * PRIOR_SECONDS) / (calls + SECONDS_STRENGTH),
            (taken + TAKEN_STRENGTH * PRIOR_TAKEN) / (doubts + TAKEN_STRENGTH),
            self._counts.sums[0],
        )

    def hung_share(self, now: float) -> tuple[float, float]:
        """Of its failures, also while it is down: those that time out; and of these, those that had been accepted."""
        return _hung(self._any_failures.fade(now)), self.ends(now).taken

    def patience(self, now: float) -> float:
        """Seconds after which an attempt without an answer counts as a provisional failure: mean and 3 spreads."""
        n, total, squares = self._latency.fade(now)
        mean, variance = math.log(PRIOR_SECONDS), 0.5
        if n > 1:
            own = total / n
            mean = (total + SECONDS_STRENGTH * mean) / (n + SECONDS_STRENGTH)
            variance = (max(0.0, squares / n - own * own) * n + SECONDS_STRENGTH * variance) / (
                n + SECONDS_STRENGTH
            )
        return max(SHORTEST_PATIENCE, math.exp(mean + 3 * math.sqrt(variance)))


def _hung(failures: Sequence[float]) -> float:
    """From all failures and those that timed out."""
    return (failures[1] + HUNG_STRENGTH * PRIOR_HUNG) / (failures[0] + HUNG_STRENGTH)
