"""Campaigns that are to stop by themselves, and those that were cancelled while workers held some of their emails."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol
from uuid import UUID

from sqlalchemy import RowMapping

from db.repositories.campaigns import Campaigns
from db.repositories.emails import Emails
from db.repositories.selection import EmailQuery
from domain.campaigns import Limits, Progress, why_stop
from domain.ports import Log

_ROWS = 2000  # emails in a transaction
_RECENT, _LOOKS = 60.0, 3  # seconds, and looks, that something counts as recent: one may be missed


class Unit(Protocol):
    @property
    def campaigns(self) -> Campaigns: ...

    @property
    def emails(self) -> Emails: ...

    def commit(self) -> None: ...


Units = Callable[[], AbstractContextManager[Unit]]


def watch(
    units: Units,
    ids: Callable[[], UUID],
    log: Log,
    every: float = 0.0,
    is_over: Callable[[], bool] = lambda: False,
) -> None:
    """Pause what bounces, is complained about or has spent too much; take back what is left of cancelled ones.

    `every`: seconds between two looks. What happened since some looks ago is looked at. `is_over()`: begin nothing
    more; whose turn it was not may come first at the next look.
    """
    with units() as unit:
        moving = unit.campaigns.to_watch(max(_RECENT, _LOOKS * every))
    for row in moving:
        if is_over():
            return
        if row["status"] == "cancelled":
            take_back(units, row["user_id"], row["id"], ids, is_over)
            continue
        with units() as unit:
            reason = why_stop(limits_of(row), progress_of(unit.campaigns.progress(row["id"])))
            if reason is None:
                continue
            now = unit.campaigns.lock(row["user_id"], row["id"])
            if now is not None and now["status"] == "active":
                unit.campaigns.set_status(row["id"], "paused", reason, ids())
                unit.commit()
                log.warning("campaign_paused", campaign=str(row["id"]), reason=reason)


def take_back(
    units: Units, user_id: UUID, campaign: UUID, ids: Callable[[], UUID], is_over: Callable[[], bool]
) -> None:
    """Cancel what of a campaign no worker holds. Where the time is over the rest is found at the next look."""
    query = EmailQuery(campaign_id=campaign)
    while True:
        with units() as unit:
            taken = unit.emails.cancel_many(user_id, query, _ROWS, ids)
            unit.commit()
        if len(taken) < _ROWS:
            return
        if is_over():
            break
        query = replace(query, after=taken[-1])
    with units() as unit:
        unit.campaigns.look_again(campaign)
        unit.commit()


def limits_of(row: RowMapping) -> Limits:
    return Limits(row["spend_cap"], row["max_complaints"], row["max_bounces"], row["min_sent"])


def progress_of(row: RowMapping) -> Progress:
    return Progress(
        row["statuses"] or {}, row["lately"], row["span"], row["taken"], row["hard_bounces"], row["spent"]
    )
