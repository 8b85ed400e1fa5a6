"""The goals, and whether a run meets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Goal:
    """`floor` must hold, `goal` is aimed at. `lower`: less is better."""

    name: str
    says: str
    floor: float
    goal: float
    lower: bool = False

    def reached(self, measured: float, mark: float) -> bool:
        return measured <= mark if self.lower else measured >= mark

    def as_json(self, measured: float) -> dict[str, Any]:
        return {
            "name": self.name,
            "says": self.says,
            "goal": self.goal,
            "floor": self.floor,
            "measured": round(measured, 3),
            "met": self.reached(measured, self.goal),
            "floor_met": self.reached(measured, self.floor),
        }


GOALS = (
    Goal("batch-vs-post-office", "batch → SMTP, emails/s against django-post-office tuned", 5, 10),
    Goal("batch-vs-celery-postgres", "batch → SMTP, emails/s against Celery + PostgreSQL per email", 12, 30),
    Goal("batch-vs-nodemailer", "batch → SMTP, emails/s against nodemailer's pool", 1.5, 4),
    Goal(
        "batch-cpu", "µs of CPU per email of a batch, all processes, receiver included", 400, 190, lower=True
    ),
    # The same beside what teams write, which holds on a machine of any speed. 400 and 190 µs were set where that
    # takes 4,744 µs.
    Goal("batch-cpu-share", "CPU per email of a batch, against Celery + PostgreSQL", 0.084, 0.04, lower=True),
    Goal(
        "single-vs-flask", "single requests accepted and delivered, against Flask + INSERT + send_task", 1, 2
    ),
    Goal("accept-p99", "accept p99 at 32 connections, against Flask + INSERT", 2, 1.2, lower=True),
    Goal("http-share", "50 ms provider: share of in-flight ÷ latency", 0.7, 0.9),
    Goal("http-vs-celery-threads", "50 ms provider: emails/s against Celery threads -c50", 5, 10),
)
BY_NAME: Mapping[str, Goal] = {goal.name: goal for goal in GOALS}
GATE = 0.6  # of what was measured before


def middle_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of each round: what slows a round down slows both."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def slipped(measured: Mapping[str, float], before: Mapping[str, float]) -> list[str]:
    """What is below 60% of what it was, in words. Only ratios and CPU per email are compared, never rates."""
    found = []
    for name, was in before.items():
        now, lower = measured[name], BY_NAME[name].lower
        if (was / now if lower else now / was) < GATE:
            found.append(f"{name}: {now:.3g}, where it was {was:.3g}")
    return found
