"""What the measurements say of the goal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Final

FLOOR: Final = 0.4
GOAL: Final = 0.6
GROWTH: Final = 0.05  # of what is sent, by which a backlog may seem to grow and be none
WARM_UP: Final = 0.25  # of a run, in which the first emails are only on their way


@dataclass(frozen=True, slots=True)
class Sample:
    """At a moment of a run, in seconds: emails that were accepted, and of which no webhook told yet."""

    at: float
    backlog: int


@dataclass(frozen=True, slots=True)
class Paced:
    """A run at a steady rate, in emails a second. `left` of `emails` were never told of."""

    rate: float
    emails: int
    samples: Sequence[Sample]
    left: int

    @property
    def growth(self) -> float:
        """By how many emails a second the backlog grew, once the first ones had gone all the way."""
        if not self.samples:
            return 0.0
        begin = self.samples[0].at + WARM_UP * (self.samples[-1].at - self.samples[0].at)
        return slope([s for s in self.samples if s.at >= begin])

    @property
    def growing(self) -> bool:
        return self.growth > GROWTH * self.rate

    @property
    def most(self) -> int:
        return max((s.backlog for s in self.samples), default=0)


@dataclass(frozen=True, slots=True)
class Report:
    """`alone`: emails a second that are only sent, one figure a round; `everything`: with an event in and a webhook out
    for each, counted when the last webhook was told. CPU in microseconds per email, by process.
    """

    emails: int
    per_call: int
    alone: Sequence[float]
    everything: Sequence[float]
    cpu_alone: dict[str, float]
    cpu_everything: dict[str, float]
    paced: Paced
    problems: list[str] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The median of the rounds' own ratios: what slows a round down slows both."""
        return median(b / a for a, b in zip(self.alone, self.everything, strict=True))

    def complaints(self) -> list[str]:
        """What must not be."""
        found = list(self.problems)
        if self.paced.left:
            found.append(f"{self.paced.left} of {self.paced.emails} emails were never told of")
        if self.paced.growing:
            found.append(
                f"at {self.paced.rate:.0f} emails/s the backlog grew by {self.paced.growth:.1f} a second"
            )
        return found

    def as_json(self) -> dict[str, Any]:
        return {
            "emails": self.emails,
            "events_per_call": self.per_call,
            "alone_per_second": [round(rate) for rate in self.alone],
            "everything_per_second": [round(rate) for rate in self.everything],
            "ratio": round(self.ratio, 3),
            "floor": FLOOR,
            "goal": GOAL,
            "floor_met": self.ratio >= FLOOR,
            "met": self.ratio >= GOAL,
            "cpu_us_per_email": {
                "alone": {name: round(us) for name, us in self.cpu_alone.items()},
                "everything": {name: round(us) for name, us in self.cpu_everything.items()},
            },
            "paced": {
                "emails": self.paced.emails,
                "per_second": round(self.paced.rate),
                "backlog_most": self.paced.most,
                "backlog_growth_per_second": round(self.paced.growth, 2),
                "growing": self.paced.growing,
                "left": self.paced.left,
                "samples": [asdict(sample) for sample in self.paced.samples],
            },
            "complaints": self.complaints(),
        }


def slope(samples: Sequence[Sample]) -> float:
    """Emails a second by which the backlog grows: the line of least squares. 0 where there are too few to tell."""
    if len(samples) < 3:
        return 0.0
    at = sum(s.at for s in samples) / len(samples)
    height = sum(s.backlog for s in samples) / len(samples)
    spread = sum((s.at - at) ** 2 for s in samples)
    return sum((s.at - at) * (s.backlog - height) for s in samples) / spread if spread else 0.0
