"""What routing needs of the configuration, read in one go for each claim."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from db.repositories.warm_ups import WarmUps
from db.statements import Prepared
from domain.delivery import HomeMove
from routing.mailbox_groups import GROUPS
from routing.snapshot import QuotaLeft, RuleSnapshot, Warming
from routing.stickiness import Homes

_PROVIDERS = text("""
    SELECT p.id, p.user_id, p.user_id IS NULL OR u.role = 'operator' AS trusted,
           p.name, p.kind, p.api_key, p.config, p.base_cost, p.currency, p.reliability_score,
           p.status, p.version, p.test, p.region, q.rate_per_second, q.reset_at,
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

# Those that name providers, and whatever goes before or after one of them by its name.
_TYPES = text("""
    SELECT t.user_id, t.name, array_agg(p.provider_id) FILTER (WHERE p.provider_id IS NOT NULL) AS providers
    FROM email_types t LEFT JOIN email_type_providers p ON p.type_id = t.id
    WHERE t.name IN (SELECT name FROM email_type_providers JOIN email_types ON email_types.id = type_id)
    GROUP BY t.id
""")

_RULES = text("""
    SELECT r.id, r.user_id, r.email_type, r.priority, r.sender_domain, r.recipient_domain, r.tag,
           r.for_user_id, r.policy,
           array_prepend(r.default_provider, array_agg(f.provider_id ORDER BY f.position)
               FILTER (WHERE f.provider_id IS NOT NULL)) AS providers
    FROM routing_rules r LEFT JOIN routing_rule_fallbacks f ON f.rule_id = r.id
    GROUP BY r.id
""")


_HOMES = text("SELECT user_id, sender_domain, mailbox_group, provider_id FROM homes")
_MOVE = Prepared(
    "move_home",
    """
    INSERT INTO homes AS h (user_id, sender_domain, mailbox_group, provider_id)
    SELECT DISTINCT ON (m.user_id, m.domain, m.mailbox_group) m.user_id, m.domain, m.mailbox_group, m.home
    FROM unnest(:users, :domains, :groups, :homes, :left) AS m(user_id, domain, mailbox_group, home, gone)
    ORDER BY m.user_id, m.domain, m.mailbox_group
    ON CONFLICT (user_id, sender_domain, mailbox_group) DO UPDATE
    SET provider_id = excluded.provider_id, since = mm_now()
    WHERE h.provider_id = ANY(:left)
    """,
    users="uuid[]",
    domains="text[]",
    groups="text[]",
    homes="uuid[]",
    left="uuid[]",
)


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """A provider as it is configured. `sealed` holds the credentials; `version` grows with every change.

    `trusted`: an operator set it up. `types`: as ProviderSnapshot's.
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
    warming: Mapping[str, Warming]
    test: bool = False
    region: str | None = None
    types: Mapping[tuple[UUID | None, str], bool] = field(default_factory=dict)


class Routes:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def providers(self) -> Sequence[ProviderRow]:
        refused: dict[UUID, dict[str, datetime]] = defaultdict(dict)
        for row in self._connection.execute(_REFUSED):
            refused[row.provider_id][row.domain] = row.retry_at
        warming = WarmUps(self._connection).warming()
        types = [(((r.user_id, r.name)), r.providers) for r in self._connection.execute(_TYPES)]
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
                test=r.test,
                rate_per_second=r.rate_per_second,
                quota=QuotaLeft(r.today, r.this_month, r.reset_at, r.month_ends, r.rolling, r.rolling_ends),
                refused_senders=refused[r.id],
                warming=warming.get(r.id, {}),
                region=r.region,
                types={place: named is None or r.id in named for place, named in types},
            )
            for r in self._connection.execute(_PROVIDERS)
        ]

    def rules(self) -> Sequence[RuleSnapshot]:
        return [
            RuleSnapshot(
                r.id,
                r.email_type,
                tuple(r.providers),
                r.priority,
                r.user_id,
                r.sender_domain,
                r.recipient_domain,
                r.tag,
                r.for_user_id,
                r.policy,
            )
            for r in self._connection.execute(_RULES)
        ]

    def homes(self) -> Homes:
        """Where the steady emails of each sender domain go. A mailbox group that is no more is left out."""
        return {
            (r.user_id, r.sender_domain, GROUPS.index(r.mailbox_group)): r.provider_id
            for r in self._connection.execute(_HOMES)
            if r.mailbox_group in GROUPS
        }

    def move(self, moves: Sequence[HomeMove]) -> None:
        """Note new homes. Where another worker has moved there before, that holds."""
        _MOVE(
            self._connection,
            users=[str(m.place[0]) for m in moves],
            domains=[m.place[1] for m in moves],
            groups=[GROUPS[m.place[2]] for m in moves],
            homes=[str(m.home) for m in moves],
            left=[m.left and str(m.left) for m in moves],
        )
