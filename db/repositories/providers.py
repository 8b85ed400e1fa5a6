"""Provider accounts, as their owners see and change them. What a user sees: their own, and the shared ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text
from sqlalchemy.exc import IntegrityError

from db.repositories.quotas import Quotas

# What is used of a quota whose window has ended, and which nobody has opened anew, is nothing.
_SEEN = """
    SELECT p.id, p.user_id, p.name, p.kind, p.config, p.api_key AS sealed, p.base_cost, p.currency, p.region, p.status,
        p.reliability_score, p.version, p.created_at, p.updated_at,
        q.daily_quota, q.monthly_quota, q.rolling_quota, q.rate_per_second, q.reset_at,
        COALESCE(q.used_rolling - COALESCE((SELECT sum(s.recipients) FROM quota_slots s WHERE s.provider_id = p.id
            AND s.slot <= mm_now() - interval '1 day 15 minutes'), 0), 0) AS used_rolling,
        coalesce(q.time_zone, 'UTC') AS time_zone,
        CASE WHEN q.reset_at > mm_now() THEN q.used_today ELSE 0 END AS used_today,
        CASE WHEN date_trunc('month', (q.reset_at - interval '1 second') AT TIME ZONE q.time_zone)
                >= date_trunc('month', mm_now() AT TIME ZONE q.time_zone) THEN q.used_this_month
            ELSE 0 END AS used_this_month
    FROM providers p LEFT JOIN provider_quota q ON q.provider_id = p.id
    WHERE p.deleted_at IS NULL AND (p.user_id = :user_id OR p.user_id IS NULL) AND p.test = EXISTS (
        SELECT FROM users u WHERE u.id = :user_id AND u.test_of IS NOT NULL)
"""

_LIST = text(f"{_SEEN} AND (CAST(:before AS uuid) IS NULL OR p.id < :before) ORDER BY p.id DESC LIMIT :limit")
_GET = text(f"{_SEEN} AND p.id = :id")
_LOCK = text(f"{_SEEN} AND p.id = :id FOR NO KEY UPDATE OF p")

_ADD = text("""
    INSERT INTO providers (id, user_id, name, kind, api_key, config, base_cost, currency, region)
    VALUES (:id, :owner, :name, :kind, :sealed, CAST(:config AS jsonb), :base_cost, :currency, :region)
""")

_CHANGE = text("""
    UPDATE providers SET name = :name, api_key = :sealed, config = CAST(:config AS jsonb),
        base_cost = :base_cost, currency = :currency, region = :region, status = :active,
        version = version + 1, updated_at = mm_now()
    WHERE id = :id
""")

_SET_QUOTA = text("""
    INSERT INTO provider_quota
        (id, provider_id, daily_quota, monthly_quota, rolling_quota, rate_per_second, time_zone, reset_at)
    VALUES (:quota_id, :id, :daily, :monthly, :rolling, :rate_per_second, :time_zone,
        (date_trunc('day', mm_now() AT TIME ZONE :time_zone) + interval '1 day') AT TIME ZONE :time_zone)
    ON CONFLICT (provider_id) DO UPDATE SET
        daily_quota = excluded.daily_quota, monthly_quota = excluded.monthly_quota,
        rolling_quota = excluded.rolling_quota,
        rate_per_second = excluded.rate_per_second, time_zone = excluded.time_zone,
        reset_at = CASE WHEN provider_quota.time_zone = excluded.time_zone THEN provider_quota.reset_at
            ELSE excluded.reset_at END
""")

_KNOWN_ZONE = text("SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = :name)")

_DELETE = text("""
    UPDATE providers SET deleted_at = mm_now(), status = false, version = version + 1, updated_at = mm_now()
    WHERE id = :id
""")

_RULES_NAMING = text("""
    SELECT r.id, r.user_id FROM routing_rules r
    WHERE r.default_provider = :id
        OR EXISTS (SELECT FROM routing_rule_fallbacks f WHERE f.rule_id = r.id AND f.provider_id = :id)
    ORDER BY r.id
""")

_TYPES_NAMING = text("""
    SELECT t.id, t.user_id FROM email_types t JOIN email_type_providers n ON n.type_id = t.id
    WHERE n.provider_id = :id ORDER BY t.id
""")

_LOCK_SHARED = text("""
    SELECT id, kind, config, api_key AS sealed, base_cost, currency, region, status FROM providers
    WHERE user_id IS NULL AND deleted_at IS NULL AND name = :name FOR UPDATE
""")


_EVERY = text("""
    SELECT p.id, p.user_id, p.base_cost, p.currency, p.name, p.kind, p.config, p.api_key AS sealed, p.webhook, p.status,
        u.email AS owner_email, u.id IS NULL OR u.role = 'operator' AS trusted
    FROM providers p LEFT JOIN users u ON u.id = p.user_id
    WHERE p.deleted_at IS NULL AND NOT p.test ORDER BY p.name, p.id
""")


class NameTaken(Exception):
    """Another provider of the same owner has this name."""


@dataclass(frozen=True, slots=True)
class QuotaLimits:
    """In recipients, and in emails per second. None: no limit. `rolling`: of any 24 hours."""

    daily: int | None = None
    monthly: int | None = None
    rate_per_second: float | None = None
    time_zone: str = "UTC"
    rolling: int | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """What an owner sets of a provider account. `owner` None: shared by all. `sealed` holds the credentials."""

    owner: UUID | None
    name: str
    kind: str
    sealed: str = field(repr=False)
    config: Mapping[str, Any]
    base_cost: Decimal
    currency: str = "USD"
    active: bool = True
    region: str | None = None


class Providers:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, user_id: UUID, before: UUID | None, limit: int) -> Sequence[RowMapping]:
        """Up to `limit` of those that the user sees, newest first, below the id `before`."""
        values = {"user_id": user_id, "before": before, "limit": limit}
        return self._connection.execute(_LIST, values).mappings().all()

    def every(self) -> Sequence[RowMapping]:
        """All accounts, for the operator of the machine."""
        return self._connection.execute(_EVERY).mappings().all()

    def get(self, user_id: UUID, id: UUID) -> RowMapping | None:
        return self._connection.execute(_GET, {"user_id": user_id, "id": id}).mappings().one_or_none()

    def lock(self, user_id: UUID, id: UUID) -> RowMapping | None:
        """As `get`; others wait to change it, or to name it in a rule, until this transaction ends."""
        return self._connection.execute(_LOCK, {"user_id": user_id, "id": id}).mappings().one_or_none()

    def add(self, id: UUID, account: Account) -> None:
        """Raises NameTaken; the transaction is over then."""
        try:
            self._connection.execute(_ADD, {"id": id, **_values(account)})
        except IntegrityError as error:
            raise NameTaken(account.name) from error

    def change(self, id: UUID, account: Account) -> None:
        """Write all that may change; workers notice by the version. Raises NameTaken."""
        try:
            self._connection.execute(_CHANGE, {"id": id, **_values(account)})
        except IntegrityError as error:
            raise NameTaken(account.name) from error

    def set_quota(self, quota_id: UUID, id: UUID, limits: QuotaLimits) -> None:
        """Set the limits; what was used of them stays. `quota_id` names the row where there is none yet."""
        self._connection.execute(
            _SET_QUOTA,
            {
                "quota_id": quota_id,
                "id": id,
                "daily": limits.daily,
                "monthly": limits.monthly,
                "rolling": limits.rolling,
                "rate_per_second": limits.rate_per_second,
                "time_zone": limits.time_zone,
            },
        )
        Quotas(self._connection).begin_rolling(id)

    def knows_time_zone(self, name: str) -> bool:
        """Whether the database can reckon in this time zone."""
        return name == "UTC" or bool(self._connection.execute(_KNOWN_ZONE, {"name": name}).scalar())

    def rules_naming(self, id: UUID) -> Sequence[RowMapping]:
        """`id` and `user_id` of every rule that names the provider, whoever owns it."""
        return self._connection.execute(_RULES_NAMING, {"id": id}).mappings().all()

    def types_naming(self, id: UUID) -> Sequence[RowMapping]:
        """`id` and `user_id` of every email type that names the provider, whoever owns it."""
        return self._connection.execute(_TYPES_NAMING, {"id": id}).mappings().all()

    def delete(self, id: UUID) -> None:
        """Take it out of use for good. The row stays, since the ledger names it."""
        self._connection.execute(_DELETE, {"id": id})

    def lock_shared(self, name: str) -> RowMapping | None:
        return self._connection.execute(_LOCK_SHARED, {"name": name}).mappings().one_or_none()


def _values(account: Account) -> dict[str, Any]:
    return {
        "owner": account.owner,
        "name": account.name,
        "kind": account.kind,
        "sealed": account.sealed,
        "config": json.dumps(dict(account.config)),
        "base_cost": account.base_cost,
        "currency": account.currency,
        "active": account.active,
        "region": account.region,
    }
