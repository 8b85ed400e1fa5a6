"""Asking accounts and the DNS about the domains that users send from, a day after the last time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID

from db.repositories.domains import Domains
from domain.ports import Provider
from domain.sender_domains import Resolver, Told, ask, inspect
from routing.snapshot import ProviderSnapshot, Snapshot

_AT_ONCE = 20  # domains that one process checks in a row, before others may


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
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Check the domains that are due, with every account that their users may send through. Returns how many."""
    with units() as unit:
        due = unit.domains.take_due(_AT_ONCE)
        unit.commit()
    checked = 0
    for row in due:
        if stopping():
            break
        accounts = [p for p in fleet.snapshot().providers if p.owner in (None, row["user_id"])]
        told = [_ask(p, adapter, row["name"]) for p in accounts if p.active]
        report = inspect(row["name"], row["token"], told, resolver)
        with units() as unit:
            unit.domains.keep(row["id"], row["name"], report)
            unit.commit()
        checked += 1
    return checked


def _ask(provider: ProviderSnapshot, adapter: Callable[[UUID], Provider], name: str) -> Told:
    if provider.fault is not None:
        return Told(provider.id, provider.name, failure=provider.fault)
    return ask(provider.id, provider.name, adapter(provider.id), name)
