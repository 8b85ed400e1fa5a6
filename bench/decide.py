"""`mailmux bench decide`: how long one decision takes, with its explanation, and one reservation."""

from __future__ import annotations

import json
import os
import platform
import random
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import click
from rich.console import Console
from rich.table import Table

from bench import reservation
from bench.reservation import own_redis
from bench.timing import Timing, timed
from domain.capabilities import Capabilities
from domain.message import Address, Envelope, Lane, Message, OnUnknown, Recipient, Submission
from routing.acceptance import Ends
from routing.index import Worth, coefficients
from routing.mailbox_groups import GROUPS
from routing.outlook import Outlook, Standing
from routing.router import Decision
from routing.router import decide as decide_email
from routing.snapshot import ProviderSnapshot, QuotaLeft, Snapshot, Worths

WORTHS = (Worth(60.0, 0.5, urgent=True), Worth(20.0, 0.05), Worth(5.0))
TYPES = ("otp", "receipt", "newsletter")
DOMAINS = ("gmail.com", "outlook.com", "yahoo.com", "firm.example", "icloud.com")
PROVIDERS = (5, 20)
GOAL_P99 = 25.0  # µs, for 20 providers


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


class _Given(random.Random):
    """Chance that is the same in every pass."""

    given = 0.0

    def random(self) -> float:
        return self.given


def measure(providers: int, rounds: int) -> list[Timing]:
    """As in a claim, every decision finds a snapshot that the email before it has changed."""
    chance = random.Random(providers)
    fleet, emails = fleet_of(providers, chance), emails_of(997, chance)
    fleets = (fleet, replace(fleet, settled=fleet.settled))
    draws, given = [chance.random() for _ in range(rounds)], _Given()
    now = datetime(2026, 11, 1, tzinfo=UTC)

    def choose_one(i: int) -> Decision:
        given.given = draws[i]
        return decide_email(emails[i % 997], fleets[i & 1], (), now, given)

    def choose_and_keep(i: int) -> str:
        return choose_one(i).kept()

    return [
        timed("decide", providers, choose_one, rounds),
        timed("decide, and the explanation as it is stored", providers, choose_and_keep, rounds),
    ]


@click.command(short_help="Measure how long a decision and a reservation take.")
@click.option(
    "--rounds", type=click.IntRange(1000), default=50_000, show_default=True, help="Decisions timed."
)
@click.option(
    "--redis-url", metavar="URL", help="Reserve there (keys mailmux-bench:*), and not in a Valkey of its own."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def decide(rounds: int, redis_url: str | None, as_json: bool) -> None:
    """Time single decisions, in this process, one after the other, on a snapshot with troubled providers.

    It is the decision of the workers: rules, limits and rates looked at, every candidate's score and the reason
    of every exclusion kept as the JSON text that the ledger stores. Goal: 25 µs at p99 for 20 providers.
    "Calm" counts the fastest of every decision's five passes: what other processes took of the CPU is left out.

    Then reservations: what a batch takes of the providers' rates, in Redis, in one round trip; a fifth as many.
    """
    timings = [t for n in PROVIDERS for t in measure(n, rounds)]
    with nullcontext(redis_url) if redis_url else own_redis() as url:
        reserved = reservation.measure(url, PROVIDERS, max(1, rounds // 5))
    timings += reserved.timings
    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}"
    if as_json:
        found = {
            "timings": [asdict(t) for t in timings],
            "round_trips": reserved.round_trips,
            "load": os.getloadavg()[0],
            "machine": machine,
        }
        click.echo(json.dumps(found))
        return
    table = Table("what", "providers", "p50 µs", "p99 µs", "p99 calm µs")
    for t in timings:
        table.add_row(t.what, str(t.providers), f"{t.p50:.1f}", f"{t.p99:.1f}", f"{t.calm_p99:.1f}")
    console = Console()
    (console if console.is_terminal else Console(width=100)).print(table)
    click.echo(f"round trips of a reservation: {reserved.round_trips:g}")
    click.echo(f"{machine}, load {os.getloadavg()[0]:.1f}")
