"""The providers as they are configured now: a snapshot for the router, and an adapter for each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from uuid import UUID

import structlog

from db.repositories.routes import ProviderRow
from domain.budgets import Budget, Spending
from domain.capabilities import Capabilities
from domain.ports import Clock, Provider
from routing.snapshot import BudgetLeft, ProviderSnapshot, RuleSnapshot, Snapshot
from routing.stickiness import Homes

log = structlog.get_logger(__name__)

_FAULTY = "its configuration cannot be used"

NO_RATES: Mapping[str, Decimal] = MappingProxyType({})
Build = Callable[[ProviderRow], Provider]
Configured = tuple[Sequence[ProviderRow], Sequence[RuleSnapshot], Homes, Spending]
Read = Callable[[], Configured]


class ConfiguredFleet:
    """workers.delivery.Fleet over the `providers` table. Adapters are kept until their row's version changes.

    A snapshot serves for `fresh` seconds, so that many small claims do not each read it. `read()` returns the
    rows, the rules, the homes and the budgets. A provider whose adapter cannot be built is shown to the router with
    its fault, and hinders nobody else. `exchange`: what one unit of a currency is worth in the one that prices are
    compared in; others count as that one.
    """

    def __init__(
        self,
        read: Read,
        build: Build,
        clock: Clock,
        fresh: float = 0.0,
        exchange: Mapping[str, Decimal] = NO_RATES,
    ) -> None:
        self._read, self._exchange = read, exchange
        self._build = build
        self._clock, self._fresh = clock, fresh
        self._last: tuple[float, Snapshot] | None = None
        self._lock = threading.Lock()
        self._kept: dict[UUID, tuple[int, Provider | None, str | None]] = {}

    def snapshot(self) -> Snapshot:
        now = self._clock.monotonic()
        if self._last is not None and now - self._last[0] < self._fresh:
            return self._last[1]
        rows, rules, homes, spending = self._read()
        with self._lock:
            for row in rows:
                self._keep(row)
            for gone in self._kept.keys() - {row.id for row in rows}:
                self._drop(gone)
            kept: Mapping[UUID, tuple[int, Provider | None, str | None]] = dict(self._kept)
        snapshot = Snapshot(
            tuple(self._known(row, *kept[row.id][1:]) for row in rows),
            tuple(rules),
            homes=homes,
            budgets=tuple(left_of(budget, self._exchange) for budget in spending.budgets),
            at_budget=spending.at_budget,
        )
        self._last = now, snapshot
        return snapshot

    def outdate(self) -> None:
        self._last = None

    def adapter(self, provider: UUID) -> Provider:
        adapter = self._kept[provider][1]
        if adapter is None:
            raise LookupError(f"provider {provider} has no adapter")
        return adapter

    def close(self) -> None:
        with self._lock:
            for provider in list(self._kept):
                self._drop(provider)

    def _known(self, row: ProviderRow, adapter: Provider | None, fault: str | None) -> ProviderSnapshot:
        can = adapter.capabilities if adapter is not None else Capabilities()
        return replace(known(row, self._exchange), capabilities=can, fault=fault)

    def _keep(self, row: ProviderRow) -> None:
        if row.id in self._kept:
            if self._kept[row.id][0] == row.version:
                return
            self._drop(row.id)
        try:
            self._kept[row.id] = (row.version, self._build(row), None)
        # Whatever is wrong with one provider must not stop the others.
        except Exception as error:  # noqa: BLE001
            reason = str(error)[:300]
            log.warning("provider_faulty", provider=str(row.id), error=type(error).__name__, reason=reason)
            # Decisions are shown to whoever sent the email: what is wrong with a shared account is not theirs to read.
            fault = _FAULTY if row.owner is None else f"{_FAULTY}: {reason}"
            self._kept[row.id] = (row.version, None, fault)

    def _drop(self, provider: UUID) -> None:
        adapter = self._kept.pop(provider)[1]
        if adapter is not None:
            adapter.close()


def known(row: ProviderRow, exchange: Mapping[str, Decimal]) -> ProviderSnapshot:
    """A provider as it is configured, without what its adapter can do."""
    return ProviderSnapshot(
        id=row.id,
        name=row.name,
        capabilities=Capabilities(),
        base_cost=row.base_cost,
        currency=row.currency,
        exchange=exchange.get(row.currency, Decimal(1)),
        owner=row.owner,
        active=row.active,
        reliability=row.reliability,
        quota=row.quota,
        rate_per_second=row.rate_per_second,
        refused_senders=row.refused_senders,
        warming=row.warming,
        test=row.test,
        region=row.region,
        types=row.types,
    )


def left_of(budget: Budget, exchange: Mapping[str, Decimal]) -> BudgetLeft:
    """A budget as the router sees it. Of one that its user has not set no amounts are told: decisions are shown."""
    left = (budget.amount - budget.spent) * exchange.get(budget.currency, Decimal(1))
    amount = "" if budget.user_id is None else f" of {budget.amount.normalize():f} {budget.currency}"
    said = f"it would exceed the budget{amount} for this {budget.period.value}"
    return BudgetLeft(
        budget.id, budget.user_id, budget.provider_id, left, budget.ends, said, told=budget.stopped
    )
