"""Answering a question for statistics."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from api.errors import FieldError, invalid
from api.reckoning import Sums, figures, gathered, hindsights
from api.schemas.stats import MOST_DAYS, FiguresOut, GroupOut, StatsFilter, StatsOut
from db.models.stats import COUNTS
from db.repositories.stats import StatsQuery
from db.uow import SqlUnitOfWork
from domain.stats import Dimension

_DAYS = 30  # where nobody says which
_MOST_GROUPS = 5000
_ACCEPTED = COUNTS.index("accepted")


def statistics(
    unit: SqlUnitOfWork, user_id: UUID, query: StatsFilter, exchange: Mapping[str, Decimal]
) -> StatsOut:
    """Of one user's emails. Raises Problem where a part of the question is wrong."""
    asked = _asked(query, unit)
    keys = [name for name, wanted in _columns(asked).items() if wanted]
    total, groups = gathered(unit.stats.sums(user_id, asked))
    if len(groups) > _MOST_GROUPS:
        wrong = f"these are over {_MOST_GROUPS:,} groups: ask for less"
        raise invalid([FieldError("parameter", "group_by", "too_many", wrong)])
    known = hindsights(unit, user_id, asked.since, asked.until, exchange)
    names = _Names(unit, user_id, asked, groups, keys)
    return StatsOut(
        since=asked.since,
        until=asked.until,
        timezone=asked.zone,
        group_by=query.group_by,
        added_up_at=unit.stats.added_up_at(),
        total=FiguresOut(**figures(total, known)),
        groups=[
            GroupOut(**names.of(group), **figures(sums, known))
            for group, sums in sorted(groups.items(), key=_order(keys))
        ],
    )


def _asked(query: StatsFilter, unit: SqlUnitOfWork) -> StatsQuery:
    until = query.until or unit.now().astimezone(ZoneInfo(query.timezone)).date()
    errors = []
    if query.until is None and query.since is not None and query.since > until:
        until = query.since
    try:
        since = query.since or until - timedelta(days=_DAYS - 1)
        since - timedelta(days=366), until + timedelta(days=366)
    except OverflowError:
        raise invalid([FieldError("parameter", "until", "out_of_range", "there is no such time")]) from None
    if since > until:
        errors.append(FieldError("parameter", "since", "order", "lies after until"))
    elif (until - since).days >= MOST_DAYS:
        errors.append(
            FieldError("parameter", "since", "too_long", f"is at most {MOST_DAYS} days before until")
        )
    elif unit.stats.splits_slots(since, until, query.timezone):
        wrong = "statistics are kept by the quarter hour, and days begin within one there"
        errors.append(FieldError("parameter", "timezone", "grain", wrong))
    if errors:
        raise invalid(errors)
    return StatsQuery(
        since,
        until,
        query.timezone,
        query.dimension,
        query.value,
        query.provider,
        by_day="day" in query.group_by,
        by_provider="provider" in query.group_by,
        by_value=bool({d.value for d in Dimension} & set(query.group_by)),
    )


def _columns(asked: StatsQuery) -> Mapping[str, bool]:
    return {"day": asked.by_day, "provider_id": asked.by_provider, "value": asked.by_value}


def _order(keys: list[str]) -> Any:
    """By day, then the largest first."""
    day = keys.index("day") if "day" in keys else None

    def place(item: tuple[tuple[Hashable, ...], Sums]) -> tuple[Any, ...]:
        group, sums = item
        return (group[day] if day is not None else date.min, -sums.counts[_ACCEPTED], str(group))

    return place


class _Names:
    """What groups are called."""

    def __init__(
        self, unit: SqlUnitOfWork, user_id: UUID, asked: StatsQuery, groups: Any, keys: list[str]
    ) -> None:
        self._asked, self._keys = asked, keys
        columns = dict(zip(keys, zip(*groups, strict=True), strict=True)) if groups else {}
        self._providers = unit.stats.provider_names(user_id, sorted(set(columns.get("provider_id", ()))))
        campaigns = set(columns.get("value", ())) if asked.dimension is Dimension.CAMPAIGN else set()
        self._campaigns = unit.stats.campaign_names(user_id, sorted(campaigns))

    def of(self, group: tuple[Any, ...]) -> dict[str, Any]:
        found = dict(zip(self._keys, group, strict=True))
        if "provider_id" in found:
            found["provider"] = self._providers.get(found["provider_id"])
        if "value" in found:
            value = found.pop("value")
            if self._asked.dimension is Dimension.CAMPAIGN:
                found |= {"campaign_id": value, "campaign": self._campaigns.get(value)}
            else:
                found[self._asked.dimension.value] = value
        return found
