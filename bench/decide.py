"""`mailmux bench decide`: how long one decision takes, with its explanation."""

from __future__ import annotations

import gc
import json
import os
import platform
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from domain.message import OnUnknown
from routing.acceptance import Ends
from routing.explanation import explain
from routing.index import Worth, coefficients
from routing.outlook import Outlook, Standing, choose

GROUPS = 10
WORTHS = (Worth(60.0, 0.5), Worth(20.0, 0.05), Worth(5.0))
PROVIDERS = (5, 20)
GOAL_P99 = 25.0  # µs, for 20 providers


@dataclass(frozen=True, slots=True)
class Timing:
    """µs. `what` was done for one email among so many providers. `cpu_p99` leaves out what others took the CPU for."""

    what: str
    providers: int
    p50: float
    p99: float
    cpu_p99: float


def outlook_of(providers: int, chance: random.Random) -> Outlook:
    """Providers of all sorts, one of them shut, one alarmed, every other with a rate."""
    standings = []
    for k in range(providers):
        ends = Ends(chance.uniform(0.97, 0.999), 0.0005, chance.uniform(0.1, 0.5), 0.3, 1000.0)
        delivered = tuple(chance.uniform(0.95, 0.995) for _ in range(GROUPS))
        found = coefficients(ends, chance.uniform(0.1, 1.3), 0.05, delivered, OnUnknown.HOLD)
        standings.append(
            Standing(
                coefficients=found,
                accepted=ends.accepted,
                delivered=delivered,
                sample=(1000.0,) * GROUPS,
                hopeful=tuple(x * 0.9 for x in found.loss),
                rate_price=0.1 if k % 2 else 0.0,
                share=0.0 if k == 3 else 1.0,
                healthy=found if k in (3, 4) else None,
                alarmed=frozenset({0}) if k == 4 else frozenset(),
                least=5.0,
                limited=bool(k % 2),
            )
        )
    return Outlook(1, standings)


def measure(providers: int, rounds: int) -> list[Timing]:
    chance = random.Random(providers)
    outlook = outlook_of(providers, chance)
    candidates = range(providers)
    names = tuple(f"provider-{k}" for k in candidates)
    kinds = [(chance.choice(WORTHS), chance.randrange(GROUPS)) for _ in range(997)]

    def free(_: int) -> float:
        return 0.7

    def decide(i: int) -> None:
        worth, group = kinds[i % 997]
        choose(outlook, worth, group, candidates, free, chance)

    def decide_and_write(i: int) -> None:
        worth, group = kinds[i % 997]
        choice = choose(outlook, worth, group, candidates, free, chance)
        assert choice is not None
        json.dumps(explain(choice, outlook, worth, group, names))

    return [
        _timed("decide, every score kept", providers, decide, rounds),
        _timed("the same, written out as JSON", providers, decide_and_write, rounds // 10),
    ]


def _timed(what: str, providers: int, call: Callable[[int], None], rounds: int) -> Timing:
    took, cpu = np.empty(rounds), np.empty(rounds)
    for i in range(rounds // 10):
        call(i)
    gc.collect()
    gc.disable()
    try:
        for i in range(rounds):
            cpu_began, began = time.thread_time_ns(), time.perf_counter_ns()
            call(i)
            took[i], cpu[i] = time.perf_counter_ns() - began, time.thread_time_ns() - cpu_began
    finally:
        gc.enable()
    p50, p99 = np.percentile(took / 1000, [50, 99])
    cpu_p99 = np.percentile(cpu / 1000, 99)
    return Timing(what, providers, round(float(p50), 2), round(float(p99), 2), round(float(cpu_p99), 2))


@click.command(short_help="Measure how long a decision takes.")
@click.option(
    "--rounds", type=click.IntRange(1000), default=50_000, show_default=True, help="Decisions timed."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def decide(rounds: int, as_json: bool) -> None:
    """Time single decisions, in this process, one after the other, on a snapshot with troubled providers.

    A decision keeps every candidate's score and why others were left out; writing that out as JSON is timed
    by itself, for it happens once per stored attempt and off the decision. Goal: 25 µs at p99 for 20 providers.
    """
    timings = [t for n in PROVIDERS for t in measure(n, rounds)]
    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}"
    if as_json:
        click.echo(json.dumps({"timings": [asdict(t) for t in timings], "machine": machine}))
        return
    table = Table("what", "providers", "p50 µs", "p99 µs", "CPU p99 µs")
    for t in timings:
        table.add_row(t.what, str(t.providers), f"{t.p50:.1f}", f"{t.p99:.1f}", f"{t.cpu_p99:.1f}")
    Console().print(table)
    click.echo(machine)
