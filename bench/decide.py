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
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from domain.capabilities import Capabilities
from domain.message import Address, Envelope, Lane, Message, OnUnknown, Recipient, Submission
from routing.acceptance import Ends
from routing.index import Worth, coefficients
from routing.mailbox_groups import GROUPS
from routing.outlook import Outlook, Standing
from routing.router import decide as decide_email
from routing.snapshot import ProviderSnapshot, QuotaLeft, Snapshot, Worths

WORTHS = (Worth(60.0, 0.5), Worth(20.0, 0.05), Worth(5.0))
TYPES = ("otp", "receipt", "newsletter")
DOMAINS = ("gmail.com", "outlook.com", "yahoo.com", "firm.example", "icloud.com")
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
        delivered = tuple(chance.uniform(0.95, 0.995) for _ in GROUPS)
        found = coefficients(ends, chance.uniform(0.1, 1.3), 0.05, delivered, OnUnknown.HOLD)
        standings.append(
            Standing(
                coefficients=found,
                accepted=ends.accepted,
                delivered=delivered,
                sample=(1000.0,) * len(GROUPS),
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


def fleet_of(providers: int, chance: random.Random) -> Snapshot:
    """As a worker sees them: every other one with a rate, and one whose quota is counted."""
    outlook = outlook_of(providers, chance)
    shared = [
        ProviderSnapshot(
            id=UUID(int=k + 1),
            name=f"provider-{k}",
            capabilities=Capabilities(),
            base_cost=Decimal("0.0004"),
            rate_per_second=50.0 if k % 2 else None,
            room=0.7 if k % 2 else 1.0,
            quota=QuotaLeft(today=10_000) if k == 1 else QuotaLeft(),
            standing=standing,
        )
        for k, standing in enumerate(outlook.standings)
    ]
    worths: Worths = {(None, name): worth for name, worth in zip(TYPES, WORTHS, strict=True)}
    return Snapshot(tuple(shared), (), worths, outlook.version)


def emails_of(count: int, chance: random.Random) -> list[Submission]:
    def email(i: int) -> Submission:
        recipient = Recipient(Address(f"somebody@{chance.choice(DOMAINS)}"))
        return Submission(
            id=UUID(int=1000 + i),
            user_id=UUID(int=7),
            message=Message("Hello", "Hello"),
            envelope=Envelope(Address("shop@example.com"), (recipient,)),
            email_type=chance.choice(TYPES),
            lane=Lane.TRANSACTIONAL,
        )

    return [email(i) for i in range(count)]


def measure(providers: int, rounds: int) -> list[Timing]:
    chance = random.Random(providers)
    fleet, emails = fleet_of(providers, chance), emails_of(997, chance)
    now = datetime(2026, 11, 1, tzinfo=UTC)

    def choose_one(i: int) -> None:
        decide_email(emails[i % 997], fleet, (), now, chance)

    def choose_and_keep(i: int) -> None:
        decide_email(emails[i % 997], fleet, (), now, chance).kept()

    return [
        _timed("decide", providers, choose_one, rounds),
        _timed("decide, and the explanation as it is stored", providers, choose_and_keep, rounds),
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

    It is the decision of the workers: rules, limits and rates looked at, every candidate's score and the reason
    of every exclusion kept as the JSON text that the ledger stores. Goal: 25 µs at p99 for 20 providers.
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
