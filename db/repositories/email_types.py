"""Declared email types, as their owners see and change them. What a user sees: their own, and the shared ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text
from sqlalchemy.exc import IntegrityError

_UNIQUE_VIOLATION = "23505"

_SEEN = """
    SELECT id, user_id, name, category, lane, on_unknown, policy, urgent, unsubscribe_scope,
        deliver_at_least, taken_within, at_budget, created_at,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'name', p.name) ORDER BY p.name, p.id), '[]')
            FROM email_type_providers n JOIN providers p ON p.id = n.provider_id
            WHERE n.type_id = email_types.id) AS providers
    FROM email_types
    WHERE (user_id = :user_id OR user_id IS NULL)
"""
_LIST = text(f"{_SEEN} AND (CAST(:before AS uuid) IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit")
_GET = text(f"{_SEEN} AND id = :id")
_LOCK = text(f"{_SEEN} AND id = :id FOR UPDATE")
_WRITE = text("""
    INSERT INTO email_types (id, user_id, name, category, lane, on_unknown, policy, urgent, unsubscribe_scope,
        deliver_at_least, taken_within, at_budget)
    VALUES (:id, :owner, :name, :category, :lane, :on_unknown, :policy, :urgent, :unsubscribe_scope,
        :deliver_at_least, :taken_within, :at_budget)
    ON CONFLICT (id) DO UPDATE SET category = excluded.category, lane = excluded.lane,
        on_unknown = excluded.on_unknown, policy = excluded.policy, urgent = excluded.urgent,
        unsubscribe_scope = excluded.unsubscribe_scope, deliver_at_least = excluded.deliver_at_least,
        taken_within = excluded.taken_within, at_budget = excluded.at_budget
""")
# A rule goes with the type that its owner sees by that name.
_IN_RULES = text("""
    SELECT EXISTS (
        SELECT FROM routing_rules r JOIN email_types t ON t.id = :id AND t.name = r.email_type
        WHERE t.user_id IS NULL OR r.user_id = t.user_id)
""")
_DROP_PROVIDERS = text("DELETE FROM email_type_providers WHERE type_id = :id")
_ADD_PROVIDERS = text("""
    INSERT INTO email_type_providers (type_id, provider_id)
    SELECT :id, provider_id FROM unnest(CAST(:providers AS uuid[])) AS p(provider_id)
""")
_DELETE = text("DELETE FROM email_types WHERE id = :id")


class TypeDeclared(Exception):
    """The owner has a type of this name."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What an owner says of a type. `owner` None: for all users. `providers`: those that may carry it; none: any."""

    owner: UUID | None
    name: str
    category: str
    lane: str
    on_unknown: str
    policy: str
    urgent: bool
    unsubscribe_scope: str = "marketing"
    deliver_at_least: float | None = None
    taken_within: float | None = None
    at_budget: str = "defer"
    providers: tuple[UUID, ...] = ()


class EmailTypes:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, user_id: UUID, before: UUID | None, limit: int) -> Sequence[RowMapping]:
        """Up to `limit` of those that the user sees, newest first, below the id `before`."""
        values = {"user_id": user_id, "before": before, "limit": limit}
        return self._connection.execute(_LIST, values).mappings().all()

    def get(self, user_id: UUID, id: UUID) -> RowMapping | None:
        return self._connection.execute(_GET, {"user_id": user_id, "id": id}).mappings().one_or_none()

    def lock(self, user_id: UUID, id: UUID) -> RowMapping | None:
        """As `get`; others wait to change it until this transaction ends."""
        return self._connection.execute(_LOCK, {"user_id": user_id, "id": id}).mappings().one_or_none()

    def write(self, id: UUID, declaration: Declaration) -> None:
        """Declare the type, or change all of it but its owner and its name.

        Raises TypeDeclared; then nothing more can be done in this transaction.
        """
        try:
            values = asdict(declaration)
            providers = [str(p) for p in values.pop("providers")]
            self._connection.execute(_WRITE, {"id": id, **values})
        except IntegrityError as error:
            if getattr(error.orig, "pgcode", None) == _UNIQUE_VIOLATION:
                raise TypeDeclared from error
            raise
        self._connection.execute(_DROP_PROVIDERS, {"id": id})
        if providers:
            self._connection.execute(_ADD_PROVIDERS, {"id": id, "providers": providers})

    def in_rules(self, id: UUID) -> bool:
        return bool(self._connection.execute(_IN_RULES, {"id": id}).scalar())

    def delete(self, id: UUID) -> None:
        self._connection.execute(_DELETE, {"id": id})
