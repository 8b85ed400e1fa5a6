"""Asking providers for emails of which nobody knows whether they were sent.

What a provider tells is stored and applied as what its webhook tells is. That it does not know of an email proves
nothing: no provider says how soon it must, so the doubt stays, and it is asked again after a longer pause.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Protocol
from uuid import UUID

from domain.capabilities import Search
from domain.errors import Misconfigured, ProviderError
from domain.lookups import LookupStore, SearchingProvider, Sought
from domain.ports import Clock, DeliveryQueue, InboundStore, Log, Provider
from routing.snapshot import Snapshot

_SECONDS: Final = 20.0  # after which nothing more is asked for; the last answer may take longer


class Unit(Protocol):
    @property
    def lookups(self) -> LookupStore: ...

    @property
    def inbound(self) -> InboundStore: ...

    def commit(self) -> None: ...


class Fleet(Protocol):
    def snapshot(self) -> Snapshot: ...


Units = Callable[[], AbstractContextManager[Unit]]


def look_up(
    units: Units,
    fleet: Fleet,
    adapter: Callable[[UUID], Provider],
    queue: DeliveryQueue,
    clock: Clock,
    log: Log,
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Look for what is due. Returns how many emails it brought news of.

    An account that does not answer is not asked again this time, and what was not asked for stays due; but where it
    says that it may not be asked, that is its answer for all of them.
    """
    end = clock.monotonic() + _SECONDS
    accounts = {p.id: p.capabilities.search for p in fleet.snapshot().providers if p.fault is None}
    by_attempt = [account for account, search in accounts.items() if search is not None]
    if not by_attempt:
        return 0
    with units() as unit:
        due = unit.lookups.take(
            by_attempt, [account for account in by_attempt if accounts[account] is Search.EMAIL]
        )
        unit.commit()
    silent: set[UUID] = set()
    refusing: set[UUID] = set()
    unasked: list[Sought] = []
    learnt = 0
    for sought in due:
        if sought.provider_id in refusing:
            continue
        if sought.provider_id in silent or stopping() or clock.monotonic() >= end:
            unasked.append(sought)
            continue
        try:
            news = _ask(units, sought, adapter, queue, log)
        except Misconfigured:
            refusing.add(sought.provider_id)
            continue
        if news is None:
            silent.add(sought.provider_id)
        else:
            learnt += bool(news)
    if unasked:
        with units() as unit:
            unit.lookups.give_back(unasked)
            unit.commit()
    return learnt


def _ask(
    units: Units, sought: Sought, adapter: Callable[[UUID], Provider], queue: DeliveryQueue, log: Log
) -> int | None:
    """How many new events there are of the email; None: the account does not answer. Raises Misconfigured where it may
    not be asked.
    """
    about = {"provider": str(sought.provider_id), "email": str(sought.email_id)}
    try:
        provider = adapter(sought.provider_id)
        if not isinstance(provider, SearchingProvider):
            return None
        events = provider.find(sought)
    except LookupError:
        return None  # the account was taken away meanwhile
    except ProviderError as error:
        log.warning("look_up_failed", error=error.code, detail=error.detail, **about)
        if isinstance(error, Misconfigured):
            raise
        return None
    # An adapter's fault must not stop the looks at other accounts.
    except Exception:
        log.exception("adapter_broke", **about)
        return None
    if not events:
        log.info("look_up_in_vain", **about)
        return 0
    with units() as unit:
        new = unit.inbound.keep([(sought.provider_id, event) for event in events])
        unit.commit()
    queue.ring_events()
    log.info("looked_up", events=new, **about)
    return new
