"""What a run was asked to do, and what came of it."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import psutil

from bench.faults.acts import FAULTS
from bench.faults.books import Verdict
from bench.faults.fault import Fault


@dataclass(frozen=True, slots=True)
class Plan:
    """`kills`: how often each fault that kills is repeated; `rounds`: all others; `minutes`: no fault begins later.

    `still`: seconds that PostgreSQL and Redis stand still when they are stopped. `shapes`: what the load consists of;
    none: a mixture of all.
    """

    emails: int = 2000
    minutes: float = 30.0
    kills: int = 1
    rounds: int = 1
    seed: int = 1
    still: float = 8.0
    only: Sequence[str] = ()
    shapes: Sequence[str] = ()

    def faults(self) -> list[Fault]:
        """What is injected, in the order that the seed decides."""
        chosen = [f for f in FAULTS if not self.only or f.name in self.only]
        order = [f for f in chosen for _ in range(self.kills if f.kill else self.rounds)]
        Random(self.seed).shuffle(order)
        return order


@dataclass(slots=True)
class Injury:
    """One fault, once.

    `began`, `ended`: monotonic seconds; `wall`: epoch seconds of the begin; `recovery` in seconds. `unknown`
    attempts were opened in its time, and it explains `allowed`. `errors`: what did not happen that should have.
    """

    name: str
    began: float
    wall: float
    ended: float = 0.0
    recovery: float | None = None
    allowed: int = 0
    unknown: int = 0
    accept_p99_ms: float | None = None
    errors: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Outcome:
    plan: Plan
    seconds: float
    verdict: Verdict
    unknown_bound: int
    backlog: int
    injuries: list[Injury]
    orphans: Sequence[float]
    refused: Sequence[str] = ()
    unanswered: Sequence[str] = ()
    skipped: int = 0
    quiet_p99_ms: float | None = None
    contents: Mapping[str, Verdict] = field(
        default_factory=dict
    )  # by the shape of emails, of those that there were

    @property
    def complaints(self) -> list[str]:
        """Everything that must not be; empty where the run holds."""
        v = self.verdict
        found = [
            f"{len(ids)} {what}: {', '.join(ids[:10])}"
            for what, ids in {
                "lost": v.lost,
                "unexplained duplicates": v.unexplained,
                "phantoms": v.phantoms,
                "received with other content": v.mangled,
                "not at rest": v.moving,
                "emails that nobody was told of": v.unasked,
                "never answered": self.unanswered,
                "refused by the API": self.refused,
            }.items()
            if ids
        ]
        if len(v.unknown) > self.unknown_bound:
            found.append(f"{len(v.unknown)} unknown, where at most {self.unknown_bound} can be")
        if self.backlog:
            found.append(f"{self.backlog} emails still move")
        found += [
            f"{i.name}: {i.unknown} unknown attempts, where it explains {i.allowed}"
            for i in self.injuries
            if i.unknown > i.allowed
        ]
        return found + [f"{i.name}: {error}" for i in self.injuries for error in i.errors]

    def as_json(self) -> dict[str, Any]:
        by_name: dict[str, list[Injury]] = defaultdict(list)
        for injury in self.injuries:
            by_name[injury.name].append(injury)
        return {
            "holds": not self.complaints,
            "complaints": self.complaints,
            "seed": self.plan.seed,
            "emails": self.plan.emails,
            "seconds": round(self.seconds, 1),
            "machine": f"{psutil.cpu_count()} × {platform.machine()}, Python {platform.python_version()}",
            "total": {**self.verdict.counts(), "unknown_bound": self.unknown_bound},
            "contents": {shape: verdict.counts() for shape, verdict in self.contents.items()},
            "accept_p99_ms": _rounded(self.quiet_p99_ms),
            "orphans_seconds_max": _rounded(_most(self.orphans)),
            "skipped": self.skipped,
            "faults": [_told(name, by_name[name]) for name in (f.name for f in FAULTS) if name in by_name],
        }


def _told(name: str, injuries: Sequence[Injury]) -> dict[str, Any]:
    recoveries = sorted(i.recovery for i in injuries if i.recovery is not None)
    return {
        "name": name,
        "injections": len(injuries),
        "unknown": sum(i.unknown for i in injuries),
        "unknown_bound": sum(i.allowed for i in injuries),
        "recovery_seconds_p50": _rounded(recoveries[len(recoveries) // 2] if recoveries else None),
        "recovery_seconds_max": _rounded(_most(recoveries)),
        "accept_p99_ms": _rounded(_most(i.accept_p99_ms for i in injuries)),
        "errors": [error for i in injuries for error in i.errors],
    }


def _most(values: Iterable[float | None]) -> float | None:
    return max((v for v in values if v is not None), default=None)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
