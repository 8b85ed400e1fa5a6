"""Past emails, decided once more: under another policy, other prices, or with other providers.

The decisions are made by `routing.router.decide` in the order of time, with the planner's prices, quotas, tiers, rates
and the waits of `routing.policy`. What is believed of the providers is what the whole period has shown of them, and
does not change: no outage is found and no loss is learned. So nothing depends on how an email would have ended; what
its providers would have come to is reckoned afterwards (routing.reckoning), from how often which of them stood first.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

import numpy as np

from domain.message import OnUnknown, Submission
from routing.eligibility import Because
from routing.forecasting import horizon
from routing.kinds import Roster
from routing.learner import Learner
from routing.mailbox_groups import GROUPS, group_number
from routing.planner import Prices, Unsolved, plan
from routing.policy import Case, Patience, Postpone, before_sending, without_route
from routing.router import Decision, decide
from routing.seats import DAY, Account, Seat
from routing.snapshot import RuleSnapshot, Snapshot, Worths
from routing.steady import waits_until
from routing.stickiness import Place
from routing.supplies import cuts, supply

HOUR = 3600.0
PLANS = 168  # at most, over the whole period
SOONEST_PLAN = 120.0  # seconds from one to the next, as in production
LONGEST_PATH = 4  # providers that an email is followed over
MOST_WAITS = 60  # of one email, after which it counts as not carried


@dataclass(frozen=True, slots=True)
class Happened:
    """What became of a past email. None: nothing is known of it. `cost` in the money that prices are compared in."""

    provider: str | None = None
    cost: float | None = None
    seconds: float | None = None  # of the attempt that was accepted
    delivered: bool | None = None
    held: bool = False


@dataclass(frozen=True, slots=True)
class PastEmail:
    """`at`: when it might be sent, in seconds of Unix time."""

    at: float
    submission: Submission
    happened: Happened

    @property
    def group(self) -> int:
        return group_number(self.submission.envelope.recipients[0].address.domain)


@dataclass(slots=True)
class Tally:
    """Emails to one group that would go the same way. `charges` per place of the way, in money."""

    charges: list[float]
    emails: int = 0
    waited: float = 0.0
    happened: list[Happened] = field(default_factory=list)


Way = tuple[int, tuple[int, ...]]
"""A mailbox group, and the providers' numbers in the order in which they would be tried."""


class Replay:
    """`weight`: how many emails of the period each of these stands for. Money is compared in one currency."""

    def __init__(
        self,
        emails: Sequence[PastEmail],
        accounts: Sequence[Account],
        rules: Sequence[RuleSnapshot],
        worths: Worths,
        chance: random.Random,
        weight: float = 1.0,
        patience: Patience | None = None,
    ) -> None:
        self.emails, self.accounts, self.weight = emails, accounts, weight
        self.ways: dict[Way, Tally] = {}
        self.reasons: Counter[str] = Counter()
        self.not_carried: list[Happened] = []
        self._rules, self._worths, self._chance = tuple(rules), worths, chance
        self._patience = patience or Patience()
        self._homes: dict[Place, UUID] = {}
        self._seats = [Seat(account, weight) for account in accounts]
        self._number = {a.provider.id: k for k, a in enumerate(accounts)}
        self._learner: Learner
        self._snapshot: Snapshot | None = None
        self._settled: dict[object, object] = {}
        self._version = 0
        self._roster = Roster(tuple(a.provider for a in accounts), worths, self._rules)
        self._look_ahead()

    def steps(self) -> Iterator[int]:
        """Decide one email after the other; yields how many are done, and may be left at any time."""
        queue: list[tuple[float, int, int, int | None]] = [
            (email.at, n, 0, None) for n, email in enumerate(self.emails)
        ]
        heapq.heapify(queue)
        done = 0
        while queue:
            at, n, waits, turn = heapq.heappop(queue)
            again = self._decide(self.emails[n], at, waits, turn)
            if again is None:
                done += 1
                yield done
            else:
                heapq.heappush(queue, (again[0], n, waits + 1, again[1]))

    def _decide(
        self, email: PastEmail, at: float, waits: int, turn: int | None
    ) -> tuple[float, int | None] | None:
        """Settle an email; or when to come back, and at whose turn."""
        self._advance(at)
        now = datetime.fromtimestamp(at, UTC)
        submission = email.submission
        begin = datetime.fromtimestamp(email.at, UTC)
        case = Case(begin, 0, submission.on_unknown, (), submission.expires_at)
        if before_sending(case, now, self._patience) is not None:
            self.not_carried.append(email.happened)
            return None
        until = waits_until(begin, submission.expires_at)
        decision = decide(
            submission, self._shown(at, turn), (), now, self._chance, until if now < until else None
        )
        if decision.chosen is not None:
            self._give(email, decision, at, turn)
            return None
        self.reasons[decision.reason] += 1
        step = without_route(case, decision, now, self._patience, self._chance)
        full = [e for e in decision.exclusions if e.because is Because.RATE_LIMITED and e.retry_at]
        if not isinstance(step, Postpone) or decision.retry_at is None or waits >= MOST_WAITS:
            self.not_carried.append(email.happened)  # nothing that a replay changes would help
            return None
        if full and decision.reason == Because.RATE_LIMITED:
            k = self._number[min(full, key=lambda e: e.retry_at or now).provider_id]
            return max(at + 1e-6, self._seats[k].take_turn(at)), k
        return at + step.delay, None

    def _give(self, email: PastEmail, decision: Decision, at: float, turn: int | None) -> None:
        assert decision.chosen is not None
        self.reasons[decision.reason] += 1
        if decision.move is not None:
            self._homes[decision.move.place] = decision.move.home
        k, recipients = self._number[decision.chosen.provider_id], email.submission.recipient_count
        way = self._way(decision, k)
        tally = self.ways.get((email.group, way))
        if tally is None:
            tally = self.ways[email.group, way] = Tally([0.0] * len(way))
        for place, number in enumerate(way):
            tally.charges[place] += self._seats[number].price / 1000 * recipients
        tally.emails += 1
        tally.waited += max(0.0, at - email.at)
        tally.happened.append(email.happened)
        if turn != k:
            self._seats[k].take_turn(at)
        if self._seats[k].give(recipients, at):
            self._price()
        self._snapshot = None

    def _way(self, decision: Decision, first: int) -> tuple[int, ...]:
        others = [self._number[c.provider_id] for c in decision.candidates[1:LONGEST_PATH]]
        return (first, *others)

    def _shown(self, at: float, turn: int | None) -> Snapshot:
        """The providers at this moment. Nothing but quotas and rates changes from one email to the next."""
        scarce = any(a.provider.rate_per_second is not None for a in self.accounts)
        if self._snapshot is None or scarce:
            standings = self._learner.outlook(self._learned_at).standings
            shown = tuple(
                replace(seat.shown(at, has_turn=k == turn), standing=standing)
                for k, (seat, standing) in enumerate(zip(self._seats, standings, strict=True))
            )
            self._snapshot = Snapshot(
                shown, self._rules, self._worths, self._version, self._homes, settled=self._settled
            )
        return self._snapshot

    # What lies ahead.

    def _look_ahead(self) -> None:
        """What is believed of the providers, the traffic by the hour, and the first prices."""
        self._begin = min((e.at for e in self.emails), default=0.0)
        end = max((e.at for e in self.emails), default=0.0) + 1.0
        self._length = end - self._begin
        self._learned_at = self._begin
        roster = self._roster
        self._learner = Learner([s.price for s in self._seats], len(GROUPS), roster.demands, OnUnknown.HOLD)
        for k, account in enumerate(self.accounts):
            self._learner.recall(k, account.record.kept(self._learned_at))
        kinds: Counter[int] = Counter()
        hours = np.zeros(int(self._length // HOUR) + 1)
        for email in self.emails:
            kind = roster.kind(email.submission.user_id, email.submission.email_type, email.group)
            if kind is not None:
                kinds[kind] += 1
                hours[int((email.at - self._begin) // HOUR)] += self.weight
        self._per_second = hours / HOUR
        self._busy = sorted(kinds)
        total = max(1, sum(kinds.values()))
        self._shares = np.array([kinds[k] / total for k in self._busy])
        self._every = max(SOONEST_PLAN, self._length / PLANS)
        self._planned_at = self._begin
        self._plan(self._begin)

    def _advance(self, at: float) -> None:
        began = [seat.advance(at) for seat in self._seats]
        if any(began) or at >= self._planned_at + self._every:
            self._planned_at = at
            self._plan(at)

    def _plan(self, at: float) -> None:
        """Price what is scarce over the day ahead, whose traffic is known."""
        providers = len(self.accounts)
        self._prices = Prices((0.0,) * providers, (0.0,) * providers)
        if self._busy and providers:
            passed = at - self._begin
            ends = max(passed + 1.0, min(passed + DAY, self._length))
            shown = [seat.planned() for seat in self._seats]
            days = [passed + cut for cut in cuts(shown, at)]
            emails, seconds = horizon(self._per_second, HOUR, passed, ends, cuts=days)
            demands = [self._roster.demands[k] for k in self._busy]
            supplies = [
                supply(
                    provider, seat.account.prices, seat.volume,
                    *self._learner.belief(k, self._learned_at), at, seconds=seconds.tolist(),
                )
                for k, (seat, provider) in enumerate(zip(self._seats, shown, strict=True))
            ]  # fmt: skip
            try:
                self._prices = plan(
                    demands, emails[:, None] * self._shares, seconds, supplies, OnUnknown.HOLD
                )
            except Unsolved:
                self.reasons["UNPLANNED"] += 1  # list prices hold until the next plan
        self._price()

    def _price(self) -> None:
        self._learner.priced([s.price for s in self._seats], self._prices)
        self._version += 1
        self._settled = {}
        self._snapshot = None
