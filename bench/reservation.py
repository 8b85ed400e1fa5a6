"""How long it takes to reserve a batch's share of the providers' rates, which all workers share in Redis."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import redis

from bench.timing import PASSES, Timing, timed
from db.live import RedisLiveState
from routing.live import Wish
from wiring.bootstrap import SystemClock
from wiring.embedded.valkey import EmbeddedValkey

WINDOW = 25  # emails of one claim that are reserved together, as delivery does by default
_PLENTY = 1e6  # emails per second: what is timed is the asking, and not the waiting


@dataclass(frozen=True, slots=True)
class Reservations:
    """`round_trips`: the most that any of them sent over its connection, as requests and pipelines."""

    timings: list[Timing]
    round_trips: float


class _Counted(redis.Connection):
    """A connection that counts what is written to it: a command, or a pipeline of them, is one writing."""

    written = 0

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        _Counted.written += 1
        super().send_packed_command(command, check_health=check_health)  # type: ignore[no-untyped-call]  # redis-py has no type here


def measure(url: str, providers: tuple[int, ...], rounds: int) -> Reservations:
    """One email at one provider, then a window of emails over so many providers, each with a rate of its own."""
    pool = redis.ConnectionPool.from_url(url, connection_class=_Counted)
    timings, most = [], 0.0
    calls = max(1, rounds // PASSES) * (PASSES + 1)
    with redis.Redis(connection_pool=pool) as client:
        live = RedisLiveState(client, SystemClock(), prefix="mailmux-bench")
        for count, emails in ((1, 1), *((n, WINDOW) for n in providers)):
            wishes = {UUID(int=k + 1): Wish(_PLENTY, len(range(k, emails, count))) for k in range(count)}
            granted = live.reserve(wishes)  # the first one loads the script
            if any(granted[p].granted != wish.count for p, wish in wishes.items()):
                raise RuntimeError(f"not all of {emails} emails were granted: {granted}")
            _Counted.written = 0
            what = "reserve for one email" if emails == 1 else f"reserve for a batch of {emails}"
            timings.append(timed(what, count, lambda _, w=wishes: live.reserve(w), rounds))  # type: ignore[misc]  # mypy infers no lambda with a default
            most = max(most, _Counted.written / calls)
        client.delete(*client.keys("mailmux-bench:*"))
    return Reservations(timings, round(most, 4))


@contextmanager
def own_redis() -> Iterator[str]:
    """The URL of a Valkey of our own on the loopback address, as `mailmux up` starts one."""
    with (
        tempfile.TemporaryDirectory(prefix="mailmux-bench-") as folder,
        EmbeddedValkey(Path(folder), durable=False) as valkey,
    ):
        yield valkey.url
