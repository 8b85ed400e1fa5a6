"""What the router knows at one moment: providers, their limits and state, and the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from domain.capabilities import Capabilities
from routing.breaker import CLOSED, Breaker
from routing.index import Worth
from routing.outlook import Standing

Worths = Mapping[tuple[UUID | None, str], Worth]
"""By the owner of an email type (None: everybody's) and its name."""


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
class ProviderSnapshot:
    """One provider at one moment.

    `owner` None: shared by all users. `fault`: why its adapter could not be built, or None. `base_cost`
    is per recipient. `reliability` in 0..1. `refused_senders`: sender domains that the provider refused
    as not verified, each with the time before which it is not asked again. `rate_free_at`: when the
    configured rate per second admits the next email, where it is spent now. `standing`: what was learned of it,
    per mailbox group in the order of routing.mailbox_groups.GROUPS; None: nothing yet. `room`: the part of its rate's
    burst that is free. `calm`: nothing of the moment stands in the way of any email.
    """

    id: UUID
    name: str
    capabilities: Capabilities
    base_cost: Decimal
    currency: str = "USD"
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
    standing: Standing | None = None
    room: float = 1.0
    calm: bool = field(init=False)

    def __post_init__(self) -> None:
        calm = (
            self.quota.today is None
            and self.quota.this_month is None
            and self.quota.rolling is None
            and self.rate_free_at is None
            and self.breaker == CLOSED
            and not self.refused_senders
        )
        object.__setattr__(self, "calm", calm)


@dataclass(frozen=True, slots=True)
class RuleSnapshot:
    """For one email type: the providers that may carry it, the default first, then the fallbacks in order.

    Where several rules fit, a user's own go before shared ones, then the lowest `priority` number wins,
    then the oldest (ids are in time order).
    """

    id: UUID
    email_type: str
    providers: tuple[UUID, ...]
    priority: int = 1
    owner: UUID | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`worths`: what an email of a type is worth. Types without one are ranked by their list price.

    `version` of what was learned. `settled` is a memory of the router's own, for what no moment changes; a snapshot
    made from another one may go on with it as long as only limits and states of the moment are different.
    """

    providers: tuple[ProviderSnapshot, ...]
    rules: tuple[RuleSnapshot, ...] = ()
    worths: Worths = field(default_factory=dict)
    version: int = 0
    settled: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def worth(self, user: UUID, email_type: str) -> Worth | None:
        return self.worths.get((user, email_type)) or self.worths.get((None, email_type))
