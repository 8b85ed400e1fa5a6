"""What routing needs of the configuration, read in one go for each claim."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from routing.snapshot import QuotaLeft, RuleSnapshot

_PROVIDERS = text("""
    SELECT p.id, p.user_id, p.user_id IS NULL OR u.role = 'operator' AS trusted,
           p.name, p.kind, p.api_key, p.config, p.base_cost, p.currency, p.reliability_score,
           p.status, p.version, q.rate_per_second, q.reset_at,
           q.rolling_quota - q.used_rolling AS rolling,
           COALESCE((SELECT min(s.slot) FROM quota_slots s WHERE s.provider_id = p.id), mm_now())
               + interval '1 day 15 minutes' AS rolling_ends,
           q.daily_quota - q.used_today AS today, q.monthly_quota - q.used_this_month AS this_month,
           (date_trunc('month', mm_now() AT TIME ZONE q.time_zone) + interval '1 month') AT TIME ZONE q.time_zone
               AS month_ends
    FROM providers p LEFT JOIN users u ON u.id = p.user_id LEFT JOIN provider_quota q ON q.provider_id = p.id
    WHERE p.deleted_at IS NULL
    ORDER BY p.id
""")

_REFUSED = text(
    "SELECT provider_id, domain, retry_at FROM sender_domains WHERE NOT verified AND retry_at > mm_now()"
)

_RULES = text("""
    SELECT r.id, r.user_id, r.email_type, r.priority,
           array_prepend(r.default_provider, array_agg(f.provider_id ORDER BY f.position)
               FILTER (WHERE f.provider_id IS NOT NULL)) AS providers
    FROM routing_rules r LEFT JOIN routing_rule_fallbacks f ON f.rule_id = r.id
    GROUP BY r.id
""")


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """A provider as it is configured. `sealed` holds the credentials; `version` grows with every change.

    `trusted`: an operator set it up.
    """

    id: UUID
    owner: UUID | None
    trusted: bool
    name: str
    kind: str
    sealed: str
    config: Mapping[str, Any]
    base_cost: Decimal
    currency: str
    reliability: float
    active: bool
    version: int
    rate_per_second: float | None
    quota: QuotaLeft
    refused_senders: Mapping[str, datetime]


class Routes:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def providers(self) -> Sequence[ProviderRow]:
        refused: dict[UUID, dict[str, datetime]] = defaultdict(dict)
        for row in self._connection.execute(_REFUSED):
            refused[row.provider_id][row.domain] = row.retry_at
        return [
            ProviderRow(
                id=r.id,
                owner=r.user_id,
                trusted=r.trusted,
                name=r.name,
                kind=r.kind,
                sealed=r.api_key,
                config=r.config,
                base_cost=r.base_cost,
                currency=r.currency,
                reliability=r.reliability_score,
                active=r.status,
                version=r.version,
                rate_per_second=r.rate_per_second,
                quota=QuotaLeft(r.today, r.this_month, r.reset_at, r.month_ends, r.rolling, r.rolling_ends),
                refused_senders=refused[r.id],
            )
            for r in self._connection.execute(_PROVIDERS)
        ]

    def rules(self) -> Sequence[RuleSnapshot]:
        return [
            RuleSnapshot(r.id, r.email_type, tuple(r.providers), r.priority, r.user_id)
            for r in self._connection.execute(_RULES)
        ]
