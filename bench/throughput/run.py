"""Rounds of ours and theirs in turn, and what they say of the goals."""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from bench.throughput.bench import LATENCY_MS, Bench
from bench.throughput.goals import BY_NAME, middle_ratio
from bench.throughput.measure import Measured
from wiring.settings import Delivery

WINDOW: int = Delivery.model_fields["bulk_window"].default
_PROCESSES = 2  # that serve the bulk lane

# Each system with the share of --emails that is enough to measure it: the slow ones get fewer.
SYSTEMS: Mapping[str, float] = {
    "batches": 2.0,
    "celery_plain": 0.3,
    "celery_postgres": 0.3,
    "post_office": 0.5,
    "nodemailer": 1.0,
    "singles": 0.6,
    "flask_delivered": 0.3,
    "flask_row": 0.6,
    "slow_provider": 1.0,
    "celery_threads": 0.5,
}
GATED = ("batches", "celery_postgres", "singles", "flask_delivered")


@dataclass(frozen=True, slots=True)
class Report:
    rounds: Mapping[str, Sequence[Measured]]
    measured: Mapping[str, float]
    receiver: str
    window: int

    def as_json(self) -> dict[str, Any]:
        return {
            "machine": f"{psutil.cpu_count()} × {platform.machine()}, {platform.system()} {platform.release()}",
            "versions": {"python": platform.python_version(), "receiver": self.receiver}
            | {
                name: version(name)
                for name in ("celery", "flask", "granian", "psycopg2-binary", "sqlalchemy")
            },
            "rounds": max(map(len, self.rounds.values())),
            "window": self.window,
            "systems": [_system(name, runs) for name, runs in self.rounds.items()],
            "goals": [BY_NAME[name].as_json(value) for name, value in self.measured.items()],
            "not_measured": sorted(set(BY_NAME) - set(self.measured)),
        }


def run(
    emails: int,
    rounds: int,
    only: Sequence[str],
    tell: Callable[[str], None],
    folder: Path | None = None,
    window: int = WINDOW,
) -> Report:
    """Measure `only` these systems (none: all), interleaved, `rounds` times after a warm-up.

    `window`: emails that a worker process of ours sends under one entry of the ledger (MAILMUX_BULK_WINDOW).
    """
    home = folder or Path(tempfile.mkdtemp(prefix="mailmux-throughput-"))
    bench = Bench(home, window)
    found: dict[str, list[Measured]] = defaultdict(list)
    names = [name for name in SYSTEMS if not only or name in only]
    if "nodemailer" in names and shutil.which("node") is None:
        names.remove("nodemailer")
    try:
        tell("starting the service, the receivers and the peers")
        bench.start()
        for name in names:
            tell(f"warming up: {name}")
            getattr(bench, name)(max(100, emails // 20 // 100 * 100))
        for number in range(1, rounds + 1):
            for name in names:
                tell(f"round {number} of {rounds}: {name}")
                found[name].append(getattr(bench, name)(max(100, int(emails * SYSTEMS[name]) // 100 * 100)))
    finally:
        bench.end()
        if folder is None:
            shutil.rmtree(home, ignore_errors=True)
    return Report(found, figures(found, window), bench.receiver, window)


def figures(found: Mapping[str, Sequence[Measured]], window: int = WINDOW) -> dict[str, float]:
    """What the goals are about, as far as it was measured."""

    def rates(name: str) -> list[float]:
        return [m.rate for m in found[name]]

    measured: dict[str, float] = {}
    if {"batches", "celery_postgres"} <= found.keys():
        measured["batch-vs-celery-postgres"] = middle_ratio(rates("batches"), rates("celery_postgres"))
        ours, theirs = ([m.cpu_per_email for m in found[name]] for name in ("batches", "celery_postgres"))
        measured["batch-cpu-share"] = middle_ratio(ours, theirs)
    if {"batches", "post_office"} <= found.keys():
        measured["batch-vs-post-office"] = middle_ratio(rates("batches"), rates("post_office"))
    if {"batches", "nodemailer"} <= found.keys():
        measured["batch-vs-nodemailer"] = middle_ratio(rates("batches"), rates("nodemailer"))
    if "batches" in found:
        measured["batch-cpu"] = median(m.cpu_per_email for m in found["batches"])
    if {"singles", "flask_delivered"} <= found.keys():
        measured["single-vs-flask"] = middle_ratio(rates("singles"), rates("flask_delivered"))
    if {"singles", "flask_row"} <= found.keys():
        ours, theirs = ([m.p99_ms or 0.0 for m in found[name]] for name in ("singles", "flask_row"))
        measured["accept-p99"] = middle_ratio(ours, theirs)
    if "slow_provider" in found:
        bound = _PROCESSES * window / (LATENCY_MS / 1000)
        measured["http-share"] = median(rates("slow_provider")) / bound
    if {"slow_provider", "celery_threads"} <= found.keys():
        measured["http-vs-celery-threads"] = middle_ratio(rates("slow_provider"), rates("celery_threads"))
    return measured


def _system(name: str, runs: Sequence[Measured]) -> dict[str, Any]:
    def middle(values: Sequence[float | None]) -> float | None:
        known = [v for v in values if v is not None]
        return round(median(known), 1) if known else None

    return {
        "name": name,
        "emails": runs[0].emails,
        "emails_per_second": round(median(m.rate for m in runs)),
        "cpu_us_per_email": round(median(m.cpu_per_email for m in runs)),
        "cpu_us_by_process": {p: round(median(m.cpu[p] for m in runs)) for p in runs[0].cpu},
        "accept_p50_ms": middle([m.p50_ms for m in runs]),
        "accept_p99_ms": middle([m.p99_ms for m in runs]),
        "accept_to_provider_p50_ms": middle([m.way_p50_ms for m in runs]),
        "accept_to_provider_p99_ms": middle([m.way_p99_ms for m in runs]),
    }
