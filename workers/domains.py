"""Asking accounts and the DNS about the domains that users send from, a day after the last time.

What has not been reached when the time of a round is over is checked by the next. An account that kept the round
waiting in vain is not asked about other domains, so that one that hangs does not use up all the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol
from uuid import UUID

from db.repositories.domains import Domains
from domain.ports import Clock, Provider
from domain.sender_domains import Resolver, ResolverAway, State, Told, ask, inspect
from routing.snapshot import ProviderSnapshot, Snapshot
from workers.upkeep import SECONDS, timely

_AT_ONCE: Final = 20  # domains that one process checks in a row, before others may
_PATIENCE: Final = (
    2.0  # seconds after which an account without an answer is not asked again in the same round
)


class Unit(Protocol):
    @property
    def domains(self) -> Domains: ...

    def commit(self) -> None: ...


class Fleet(Protocol):
    def snapshot(self) -> Snapshot: ...


def check_domains(
    units: Callable[[], AbstractContextManager[Unit]],
    fleet: Fleet,
    adapter: Callable[[UUID], Provider],
    resolver: Resolver,
    clock: Clock,
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Check the domains that are due, with every account that their users may send through. Returns how many."""
    is_over = timely(clock, stopping)
    with units() as unit:
        due = unit.domains.take_due(_AT_ONCE)
        unit.commit()
    accounts, checked = _Accounts(adapter, clock, is_over), 0
    for row in due:
        if is_over():
            break
        allowed = [p for p in fleet.snapshot().providers if p.owner in (None, row["user_id"])]
        told = accounts.ask([p for p in allowed if p.active], row["name"])
        report = inspect(row["name"], row["token"], told, _Timely(resolver, clock))
        with units() as unit:
            unit.domains.keep(row["id"], row["name"], report)
            unit.commit()
        checked += 1
    if checked < len(due):
        with units() as unit:
            unit.domains.give_back([row["id"] for row in due[checked:]])
            unit.commit()
    return checked


class _Accounts:
    """The accounts as one round asks them."""

    def __init__(
        self, adapter: Callable[[UUID], Provider], clock: Clock, is_over: Callable[[], bool]
    ) -> None:
        self._adapter, self._clock, self._is_over = adapter, clock, is_over
        self._silent: dict[UUID, str] = {}  # with what went wrong

    def ask(self, accounts: Sequence[ProviderSnapshot], name: str) -> list[Told]:
        """What each says of a domain. By chance it is not always the same one that no time is left for."""
        in_turn = self._clock.chance.sample(accounts, len(accounts))
        told = {account.id: self._ask(account, name) for account in in_turn}
        return [told[account.id] for account in accounts]

    def _ask(self, account: ProviderSnapshot, name: str) -> Told:
        failure = account.fault or self._silent.get(account.id)
        if failure is None and self._is_over():
            failure = "not asked: other accounts used up the time"
        if failure is not None:
            return Told(account.id, account.name, failure=failure)
        began = self._clock.monotonic()
        told = ask(account.id, account.name, self._adapter(account.id), name)
        if told.state is State.UNREACHABLE and self._clock.monotonic() - began >= _PATIENCE:
            self._silent[account.id] = told.failure or ""
        return told


class _Timely:
    """A resolver that is away once it has had its time for one domain."""

    def __init__(self, resolver: Resolver, clock: Clock) -> None:
        self._resolver, self._clock, self._end = resolver, clock, clock.monotonic() + SECONDS

    def look_up(self, name: str, type: str) -> Sequence[str]:
        if self._clock.monotonic() >= self._end:
            raise ResolverAway("it took too long")
        return self._resolver.look_up(name, type)
