"""What providers charge: dated price lists, and what they come to be applied to."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from routing.pricing import UNLIMITED, PriceList, Tier

_IN_FORCE = text("""
    SELECT DISTINCT ON (provider_id) * FROM provider_prices WHERE valid_from <= mm_now()
    ORDER BY provider_id, valid_from DESC
""")
_OF_ONE = text("SELECT * FROM provider_prices WHERE provider_id = :provider ORDER BY valid_from")
_OF_SEVERAL = text("""
    SELECT * FROM provider_prices WHERE provider_id = ANY(CAST(:providers AS uuid[])) ORDER BY valid_from
""")
_NOW = text("SELECT mm_now()")

# Recipients of this calendar month, from the slots' history: what tiers have come to.
_VOLUMES = text("""
    SELECT h.provider_id, sum(h.recipients_sent) AS volume
    FROM provider_performance_history h LEFT JOIN provider_quota q ON q.provider_id = h.provider_id
    WHERE h.slot >= date_trunc('month', mm_now() AT TIME ZONE COALESCE(q.time_zone, 'UTC'))
                        AT TIME ZONE COALESCE(q.time_zone, 'UTC')
        AND (CAST(:provider AS uuid) IS NULL OR h.provider_id = :provider)
    GROUP BY 1
""")

_CLEAR = text("DELETE FROM provider_prices WHERE provider_id = :provider")
_ADD = text("""
    INSERT INTO provider_prices (provider_id, valid_from, currency, monthly_fee, included, per_gigabyte, tiers)
    VALUES (:provider, :valid_from, :currency, :monthly_fee, :included, :per_gigabyte, CAST(:tiers AS jsonb))
""")


class PriceLists:
    """Prices stand there in the account's currency, those of tiers per 1,000 recipients."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def in_force(self) -> Mapping[UUID, PriceList]:
        """The lists that hold now, of the providers that have one."""
        return {r.provider_id: _price_list(r) for r in self._connection.execute(_IN_FORCE)}

    def of_one(self, provider: UUID) -> tuple[Sequence[PriceList], PriceList | None, float]:
        """All lists of a provider, the oldest first; the one that holds now; and the recipients of this month."""
        rows = list(self._connection.execute(_OF_ONE, {"provider": provider}))
        now = self._connection.execute(_NOW).scalar_one()
        lists = [_price_list(row) for row in rows]
        begun = [known for row, known in zip(rows, lists, strict=True) if row.valid_from <= now]
        return lists, begun[-1] if begun else None, self.volumes(provider).get(provider, 0.0)

    def lists(self, providers: Sequence[UUID]) -> Mapping[UUID, Sequence[PriceList]]:
        """All lists of these providers, the oldest first; those without one are left out."""
        found: dict[UUID, list[PriceList]] = defaultdict(list)
        for row in self._connection.execute(_OF_SEVERAL, {"providers": [str(p) for p in providers]}):
            found[row.provider_id].append(_price_list(row))
        return found

    def volumes(self, provider: UUID | None = None) -> Mapping[UUID, float]:
        """Recipients that each provider took in this calendar month, in its own time zone. None: of all."""
        rows = self._connection.execute(_VOLUMES, {"provider": provider})
        return {r.provider_id: float(r.volume) for r in rows}

    def replace(self, provider: UUID, lists: Sequence[PriceList]) -> None:
        """Let a provider have these lists and no others."""
        self._connection.execute(_CLEAR, {"provider": provider})
        for one in lists:
            tiers = [[None if t.up_to == UNLIMITED else int(t.up_to), t.price] for t in one.tiers]
            self._connection.execute(
                _ADD,
                {
                    "provider": provider,
                    "valid_from": one.valid_from,
                    "currency": one.currency,
                    "monthly_fee": one.monthly_fee,
                    "included": int(one.included),
                    "per_gigabyte": one.per_gigabyte,
                    "tiers": json.dumps(tiers),
                },
            )


def _price_list(row: Any) -> PriceList:
    tiers = tuple(
        Tier(UNLIMITED if up_to is None else float(up_to), float(price)) for up_to, price in row.tiers
    )
    return PriceList(
        tiers,
        float(row.monthly_fee),
        float(row.included),
        float(row.per_gigabyte),
        row.currency,
        row.valid_from,
    )
