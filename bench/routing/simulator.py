"""Plays a world against a policy, event by event.

An attempt meets, in this order: the provider's true rate (429), its quota (refused), its health (accepted, an error,
no connection, or it hangs). A response timeout follows `on_unknown`: under `hold` the email ends there, as unknown;
under `resend` it goes on, and may arrive twice. Every provider is asked once per round; rounds wait longer and longer.
"""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Protocol

import numpy as np

from bench.routing.world import (
    BOUNCED_SPREAD,
    CONNECT_TIMEOUT,
    DELIVERED_SPREAD,
    DUPLICATE,
    EVENT_LOSS,
    GROUPS,
    HUNG_ACCEPTED,
    KAPPA,
    LONGEST_WAIT,
    REFUSAL_TIME,
    TIMEOUT,
    UNACKNOWLEDGED_WAIT,
    World,
)
from domain.message import OnUnknown
from routing.allocation import Floats, Ints
from routing.signs import End

ROUND_WAITS = (1.0, 10.0, 60.0, 240.0, 900.0)
NOT_SERVED = -1.0


class Policy(Protocol):
    """Who chooses. Providers and classes are numbered as in the world; `attempt` numbers the attempts."""

    def choose(self, kind: int, now: float, tried: int) -> int | None:
        """A provider whose bit is not in `tried`, or None: nobody now."""
        ...

    def patience(self, provider: int) -> float:
        """Seconds after which `overdue` is told of an attempt without an answer; infinite: never."""
        ...

    def deadline(self, provider: int) -> float:
        """Under `resend`: seconds after which an attempt is given up. At most the client's timeout counts."""
        ...

    def started(self, attempt: int, provider: int, kind: int, now: float) -> None: ...

    def overdue(self, attempt: int, provider: int, kind: int, now: float) -> None: ...

    def ended(self, attempt: int, provider: int, kind: int, end: End, seconds: float, now: float) -> None: ...

    def event(self, attempt: int, provider: int, kind: int, delivered: bool, now: float) -> None:
        """The provider says what became of an email that it had accepted."""
        ...


class _What(IntEnum):
    TRY, END, EVENT, OVERDUE = range(4)


class Fate(StrEnum):
    ACCEPTED = "accepted"
    HELD = "held"
    GIVEN_UP = "given_up"


@dataclass(slots=True)
class Run:
    """What came of it, per email unless said otherwise. `waited`: seconds to acceptance, or NOT_SERVED."""

    waited: Floats
    attempts: Ints
    acceptances: Ints
    lost: Floats  # probability that it reached nobody
    charges: Floats
    held: Ints
    first: Ints  # the provider that was tried first
    throttled: int
    overrun: int

    def objective(self, world: World) -> Floats:
        """$ per 1,000 for every email."""
        wait = np.where(
            self.waited >= 0, self.waited, np.where(self.acceptances > 0, UNACKNOWLEDGED_WAIT, 1e9)
        )
        return np.asarray(
            self.charges
            + world.value()[world.kinds] * self.lost
            + world.wait()[world.kinds] * np.minimum(wait, LONGEST_WAIT)
            + KAPPA * self.attempts
            + DUPLICATE * (self.acceptances > 1)
        )


class Simulation:
    def __init__(self, world: World, policy: Policy, on_unknown: OnUnknown) -> None:
        self.world, self.policy = world, policy
        self.hold = on_unknown is OnUnknown.HOLD
        self.now = 0.0
        self.heap: list[tuple[float, int, int, int, int, Any, int]] = []
        self.sequence = 0
        self.attempt_count = 0
        n, truth, step = world.emails, world.truth, world.scenario.step
        self.step, self.last_bucket = step, world.buckets - 1
        self.kinds = world.kinds.tolist()
        self.truth = {name: values.tolist() for name, values in vars(truth).items()}
        self.prices = [p.prices for p in world.scenario.providers]
        self.quota = [math.inf if p.quota is None else p.quota for p in world.scenario.providers]
        self.volume = [0] * world.providers
        self.tokens = [max(1.0, rate) for rate in self.truth["rate"][0]]
        self.tokens_at = [0.0] * world.providers
        self.tried, self.rounds, self.attempts, self.acceptances = ([0] * n for _ in range(4))
        self.lost, self.charges = [1.0] * n, [0.0] * n
        self.waited, self.first = [NOT_SERVED] * n, [-1] * n
        self.held: list[int] = [0] * n
        self.throttled = self.overrun = 0
        self.open = n

    def run(self) -> Run:
        arrivals, heap, j = self.world.arrivals.tolist(), self.heap, 0
        arrivals.append(math.inf)
        self.arrived = arrivals
        while self.open:
            if not heap or arrivals[j] <= heap[0][0]:
                self.now = arrivals[j]
                self._try(j)
                j += 1
                continue
            self.now, _, what, email, provider, detail, attempt = heapq.heappop(heap)
            if what == _What.END:
                self._end(email, provider, attempt, *detail)
            elif what == _What.EVENT:
                self.policy.event(attempt, provider, self.kinds[email], detail, self.now)
            elif what == _What.OVERDUE:
                self.policy.overdue(attempt, provider, self.kinds[email], self.now)
            else:
                self._try(email)
        return Run(
            np.array(self.waited), np.array(self.attempts), np.array(self.acceptances), np.array(self.lost),
            np.array(self.charges), np.array(self.held), np.array(self.first), self.throttled, self.overrun,
        )  # fmt: skip

    def _push(self, at: float, what: _What, email: int, provider: int, detail: Any, attempt: int) -> None:
        self.sequence += 1
        heapq.heappush(self.heap, (at, self.sequence, what, email, provider, detail, attempt))

    def _try(self, email: int) -> None:
        now, policy = self.now, self.policy
        provider = policy.choose(self.kinds[email], now, self.tried[email])
        if provider is None:
            self._next_round(email)
            return
        if self.tried[email] >> provider & 1:
            raise AssertionError("a policy chose a provider twice in one round")
        self.attempt_count += 1
        attempt = self.attempt_count
        self.tried[email] |= 1 << provider
        self.attempts[email] += 1
        if self.first[email] < 0:
            self.first[email] = provider
        policy.started(attempt, provider, self.kinds[email], now)
        bucket = min(int(now / self.step), self.last_bucket)
        end, seconds, accepted = self._call(email, provider, bucket)
        if accepted:
            self._accept(email, provider, bucket, now + seconds, attempt)
        self._push(now + seconds, _What.END, email, provider, (end, seconds), attempt)
        patience = policy.patience(provider)
        if patience < seconds:
            self._push(now + patience, _What.OVERDUE, email, provider, None, attempt)

    def _next_round(self, email: int) -> None:
        if self.rounds[email] == len(ROUND_WAITS):
            self.open -= 1
            return
        wait = ROUND_WAITS[self.rounds[email]]
        self.rounds[email] += 1
        self.tried[email] = 0
        self._push(self.now + wait, _What.TRY, email, 0, None, 0)

    def _call(self, email: int, k: int, bucket: int) -> tuple[End, float, bool]:
        """How the attempt ends, after how many seconds, and whether the provider has truly taken the email."""
        truth = self.truth
        if not self._take_token(k, truth["rate"][bucket][k]):
            self.throttled += 1
            return End.THROTTLED, REFUSAL_TIME, False
        if self.volume[k] >= self.quota[k]:
            self.overrun += 1
            return End.QUOTA_SPENT, REFUSAL_TIME, False
        limit = TIMEOUT if self.hold else min(TIMEOUT, self.policy.deadline(k))
        accept, failure, hang, latency = self._draws(email, k)
        median = truth["latency"][bucket][k]
        if accept < truth["accept"][bucket][k]:
            seconds = median * math.exp(truth["spread"][bucket][k] * latency)
            return (End.ACCEPTED, seconds, True) if seconds <= limit else (End.TIMED_OUT, limit, True)
        errors = truth["errors"][bucket][k]
        if failure < errors:
            return End.FAILED, min(limit, median * math.exp(0.5 * latency)), False
        if failure < errors + truth["connects"][bucket][k]:
            return End.NO_CONNECTION, min(limit, CONNECT_TIMEOUT), False
        return End.TIMED_OUT, limit, hang < HUNG_ACCEPTED

    def _draws(self, email: int, k: int) -> tuple[float, float, float, float]:
        w, again = self.world, self.rounds[email]
        if not again:
            at = (email, k)
            return (
                float(w.draw_accept[at]), float(w.draw_failure[at]), float(w.draw_hang[at]),
                float(w.draw_latency[at]),
            )  # fmt: skip
        chance = random.Random((w.seed << 40) + (email << 12) + (k << 4) + again)
        return chance.random(), chance.random(), chance.random(), chance.gauss(0, 1)

    def _take_token(self, k: int, rate: float) -> bool:
        tokens = min(max(1.0, rate), self.tokens[k] + (self.now - self.tokens_at[k]) * rate)
        self.tokens_at[k] = self.now
        taken: bool = tokens >= 1
        self.tokens[k] = tokens - taken
        return taken

    def _accept(self, email: int, k: int, bucket: int, at: float, attempt: int) -> None:
        """Charge it, and let the event follow."""
        w, truth = self.world, self.truth
        self.charges[email] += self.prices[k].price_at(self.volume[k])
        self.volume[k] += 1
        self.acceptances[email] += 1
        reached = truth["delivery"][bucket][k][self.kinds[email] % len(GROUPS)]
        self.lost[email] *= 1 - reached
        delivered = bool(w.draw_delivery[email, k] < reached)
        if w.draw_loss[email, k] < EVENT_LOSS or (truth["silent"][bucket][k] and not delivered):
            return
        if delivered:
            delay = truth["delivered_after"][bucket][k] * math.exp(DELIVERED_SPREAD * w.draw_event[email, k])
        else:
            delay = truth["bounced_after"][bucket][k] * math.exp(BOUNCED_SPREAD * w.draw_event[email, k])
        arrives = min(int((at + delay) / self.step), self.last_bucket)
        if not truth["feed_stopped"][arrives][k]:
            self._push(at + delay, _What.EVENT, email, k, delivered, attempt)

    def _end(self, email: int, k: int, attempt: int, end: End, seconds: float) -> None:
        self.policy.ended(attempt, k, self.kinds[email], end, seconds, self.now)
        if end is End.ACCEPTED:
            self.waited[email] = self.now - self.arrived[email]
            self.open -= 1
        elif end is End.TIMED_OUT and self.hold:
            self.held[email] = 1
            self.open -= 1
        else:
            self._try(email)
