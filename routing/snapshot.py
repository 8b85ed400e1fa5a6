"""What the router knows at one moment: providers, their limits and state, and the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from domain.budgets import AtBudget
from domain.capabilities import Capabilities
from routing.breaker import CLOSED, Breaker
from routing.index import Worth
from routing.outlook import Standing
from routing.stickiness import Homes

Worths = Mapping[tuple[UUID | None, str], Worth]
"""By the owner of an email type (None: everybody's) and its name."""
AtBudgets = Mapping[tuple[UUID | None, str], AtBudget]
"""Likewise."""


@dataclass(frozen=True, slots=True)
class QuotaLeft:
    """Recipients that may still be sent to, and when more are allowed. None: no limit.

    `rolling`: of any 24 hours; `rolling_ends`: when the first of what is used of it no longer counts.
    """

    today: int | None = None
    this_month: int | None = None
    day_ends: datetime | None = None
    month_ends: datetime | None = None
    rolling: int | None = None
    rolling_ends: datetime | None = None


@dataclass(frozen=True, slots=True)
class Warming:
    """Of a sender domain that warms up at a provider: recipients that are left of this day, and when it ends."""

    left: int
    ends: datetime


@dataclass(frozen=True, slots=True)
class BudgetLeft:
    """What is left of a budget, in the money that prices are compared in, and when it is whole again.

    `owner` None: it is for everybody's emails; `provider_id` None: by whatever provider. `said`: what an exclusion says
    of it. `told`: its owner knows already that it keeps emails back.
    """

    id: UUID
    owner: UUID | None
    provider_id: UUID | None
    left: Decimal
    ends: datetime
    said: str
    told: bool = False

    def covers(self, user: UUID, provider: UUID) -> bool:
        return self.owner in (None, user) and self.provider_id in (None, provider)


@dataclass(frozen=True, slots=True)
class ProviderSnapshot:
    """One provider at one moment.

    `owner` None: shared by all users. `fault`: why its adapter could not be built, or None. `base_cost`
    is per recipient, in `currency`, of which one unit is worth `exchange` of the unit that prices are compared in.
    `reliability` in 0..1. `refused_senders`: sender domains that the provider refused as not verified, each with the
    time before which it is not asked again; `warming`: by sender domain. `rate_free_at`: when the configured rate per
    second admits the next email, where it is spent now. `standing`: what was learned of it, per mailbox group in the
    order of routing.mailbox_groups.GROUPS; None: nothing yet. `region`: where it keeps emails, as its owner says; None:
    nobody knows. `types`: by owner and name, whether it may carry an email type; what is not in it, it may. `room`: the
    part of its rate's burst that is free. `test`: the provider of its owner's test account, which takes test
    emails alone. `uneasy`: something of the moment may stand in the way of some email.
    """

    id: UUID
    name: str
    capabilities: Capabilities
    base_cost: Decimal
    currency: str = "USD"
    exchange: Decimal = Decimal(1)
    owner: UUID | None = None
    active: bool = True
    fault: str | None = None
    reliability: float = 1.0
    quota: QuotaLeft = QuotaLeft()
    rate_per_second: float | None = None
    rate_free_at: datetime | None = None
    breaker: Breaker = CLOSED
    probe_taken: bool = False
    refused_senders: Mapping[str, datetime] = field(default_factory=dict)
    warming: Mapping[str, Warming] = field(default_factory=dict)
    region: str | None = None
    types: Mapping[tuple[UUID | None, str], bool] = field(default_factory=dict)
    standing: Standing | None = None
    room: float = 1.0
    test: bool = False
    uneasy: bool = field(init=False)

    @property
    def price(self) -> Decimal:
        """Of one recipient, as it is compared with others'."""
        return self.base_cost * self.exchange

    def carries(self, user: UUID | None, email_type: str) -> bool:
        """Whether the type, a user's own before everybody's, names it, or names no providers at all. What a test goes
        by is named nowhere.
        """
        if not self.types or self.test:
            return True
        own = self.types.get((user, email_type))
        return self.types.get((None, email_type), True) if own is None else own

    def __post_init__(self) -> None:
        uneasy = (
            self.quota.today is not None
            or self.quota.this_month is not None
            or self.quota.rolling is not None
            or self.rate_free_at is not None
            or self.breaker != CLOSED
            or self.probe_taken
            or bool(self.refused_senders)
            or bool(self.warming)
        )
        object.__setattr__(self, "uneasy", uneasy)


@dataclass(frozen=True, slots=True)
class RuleSnapshot:
    """The providers that may carry the emails that it is for: the default first, then the fallbacks in order.

    All conditions that are given hold together; None: any, and with none at all it is for every email. `tag`: one of
    the email's is this. `recipient_domain`: all recipients are there. `user`: whose emails a shared rule (`owner` None)
    is for. `policy`: what is weighed most among its providers, in place of their order and of what the email's type
    says; None: their order holds.
    """

    id: UUID
    email_type: str | None
    providers: tuple[UUID, ...]
    priority: int = 1
    owner: UUID | None = None
    sender_domain: str | None = None
    recipient_domain: str | None = None
    tag: str | None = None
    user: UUID | None = None
    policy: str | None = None

    @property
    def in_order(self) -> bool:
        return self.policy is None

    @property
    def whole(self) -> bool:
        """Whether it is for all emails of a user and type, or for none of them."""
        return self.sender_domain is None and self.recipient_domain is None and self.tag is None

    @property
    def rank(self) -> tuple[bool, int, int, UUID]:
        """Of those that fit, the lowest holds: a user's own before shared ones, then the lowest `priority` number, then
        the one with the most conditions, then the oldest (ids are in time order).
        """
        conditions = self.email_type, self.sender_domain, self.recipient_domain, self.tag, self.user
        return self.owner is None, self.priority, conditions.count(None), self.id

    def is_for(self, user: UUID | None, email_type: str) -> bool:
        """Whether it may be for emails of this user and type; None: of everybody."""
        return (
            self.email_type in (None, email_type) and self.owner in (None, user) and self.user in (None, user)
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`worths`: what an email of a type is worth. Types without one are ranked by their list price.

    `version` of what was learned; `homes` of steady emails. `at_budget`: what becomes of emails of a type where a
    budget is spent. `settled` is a memory of the router's own, for what no moment changes; a snapshot made from another
    one may go on with it as long as only limits and states of the moment are different.
    """

    providers: tuple[ProviderSnapshot, ...]
    rules: tuple[RuleSnapshot, ...] = ()
    worths: Worths = field(default_factory=dict)
    version: int = 0
    homes: Homes = field(default_factory=dict)
    budgets: tuple[BudgetLeft, ...] = ()
    at_budget: AtBudgets = field(default_factory=dict)
    settled: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def at_budget_of(self, user: UUID, email_type: str) -> AtBudget:
        known = self.at_budget
        return known.get((user, email_type)) or known.get((None, email_type)) or AtBudget.DEFER

    def worth(self, user: UUID, email_type: str) -> Worth | None:
        return self.worths.get((user, email_type)) or self.worths.get((None, email_type))
