"""Routing rules, as their owners see and change them. What a user sees: their own, and the shared ones
that are for all or for them. Operators see all shared ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

_SEEN = """
    SELECT r.id, r.user_id, r.email_type, r.sender_domain, r.recipient_domain, r.tag, r.for_user_id, r.policy,
        r.priority, r.created_at,
        jsonb_build_object('id', p.id, 'name', p.name) AS default_provider,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('id', fp.id, 'name', fp.name) ORDER BY f.position), '[]')
            FROM routing_rule_fallbacks f JOIN providers fp ON fp.id = f.provider_id
            WHERE f.rule_id = r.id) AS fallback_providers
    FROM routing_rules r JOIN providers p ON p.id = r.default_provider
    WHERE (r.user_id = :user_id
        OR r.user_id IS NULL AND (:operator OR r.for_user_id IS NULL OR r.for_user_id = :user_id))
"""

_LIST = text(f"{_SEEN} AND (CAST(:before AS uuid) IS NULL OR r.id < :before) ORDER BY r.id DESC LIMIT :limit")
_GET = text(f"{_SEEN} AND r.id = :id")
_LOCK = text(f"{_SEEN} AND r.id = :id FOR UPDATE OF r")

# Share locks: nobody deletes a provider while a rule that names it is being written.
_FIND_PROVIDERS = text("""
    SELECT id, name, user_id FROM providers
    WHERE deleted_at IS NULL AND (user_id = :owner OR user_id IS NULL)
        AND (id = ANY(CAST(:ids AS uuid[])) OR name = ANY(CAST(:names AS text[])))
    ORDER BY id FOR SHARE
""")

_DECLARED = text("""
    SELECT EXISTS (SELECT FROM email_types WHERE name = :name AND (user_id = :owner OR user_id IS NULL))
""")

_WRITE = text("""
    INSERT INTO routing_rules (id, user_id, email_type, sender_domain, recipient_domain, tag, for_user_id, policy,
        default_provider, priority)
    VALUES (:id, :owner, :email_type, :sender_domain, :recipient_domain, :tag, :for_user, :policy, :default, :priority)
    ON CONFLICT (id) DO UPDATE SET email_type = excluded.email_type, sender_domain = excluded.sender_domain,
        recipient_domain = excluded.recipient_domain, tag = excluded.tag, for_user_id = excluded.for_user_id,
        policy = excluded.policy, default_provider = excluded.default_provider, priority = excluded.priority
""")

_DROP_FALLBACKS = text("DELETE FROM routing_rule_fallbacks WHERE rule_id = :id")

_ADD_FALLBACKS = text("""
    INSERT INTO routing_rule_fallbacks (rule_id, position, provider_id)
    SELECT :id, position, provider_id
    FROM unnest(CAST(:fallbacks AS uuid[])) WITH ORDINALITY AS f(provider_id, position)
""")


@dataclass(frozen=True, slots=True)
class Rule:
    """What an owner sets of a rule. `owner` None: for all users, or for `for_user`; conditions None: any."""

    owner: UUID | None
    email_type: str | None
    sender_domain: str | None
    recipient_domain: str | None
    tag: str | None
    for_user: UUID | None
    policy: str | None
    default_provider: UUID
    fallback_providers: tuple[UUID, ...]
    priority: int


class Rules:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, user_id: UUID, operator: bool, before: UUID | None, limit: int) -> Sequence[RowMapping]:
        """Up to `limit` of those that the user sees, newest first, below the id `before`."""
        values = {"user_id": user_id, "operator": operator, "before": before, "limit": limit}
        return self._connection.execute(_LIST, values).mappings().all()

    def get(self, user_id: UUID, operator: bool, id: UUID) -> RowMapping | None:
        values = {"user_id": user_id, "operator": operator, "id": id}
        return self._connection.execute(_GET, values).mappings().one_or_none()

    def lock(self, user_id: UUID, operator: bool, id: UUID) -> RowMapping | None:
        """As `get`; others wait to change it until this transaction ends."""
        values = {"user_id": user_id, "operator": operator, "id": id}
        return self._connection.execute(_LOCK, values).mappings().one_or_none()

    def find_providers(self, owner: UUID | None, refs: Sequence[str]) -> dict[str, UUID]:
        """The providers that a rule of this owner may name, by what names them: an id or a name.

        An owner's own name goes before a shared one. They stay undeleted until the transaction ends.
        """
        ids = {ref: found for ref in refs if (found := _as_id(ref)) is not None}
        rows = self._connection.execute(
            _FIND_PROVIDERS,
            {"owner": owner, "ids": [str(found) for found in ids.values()], "names": list(refs)},
        ).all()
        named = {row.name: row.id for row in sorted(rows, key=lambda row: row.user_id is not None)}
        present = {row.id for row in rows}
        return named | {ref: found for ref, found in ids.items() if found in present}

    def is_declared(self, owner: UUID | None, email_type: str) -> bool:
        return bool(self._connection.execute(_DECLARED, {"owner": owner, "name": email_type}).scalar())

    def write(self, id: UUID, rule: Rule) -> None:
        """Add the rule, or replace all of it but its owner."""
        self._connection.execute(
            _WRITE,
            {
                "id": id,
                "owner": rule.owner,
                "email_type": rule.email_type,
                "sender_domain": rule.sender_domain,
                "recipient_domain": rule.recipient_domain,
                "tag": rule.tag,
                "for_user": rule.for_user,
                "policy": rule.policy,
                "default": rule.default_provider,
                "priority": rule.priority,
            },
        )
        self._connection.execute(_DROP_FALLBACKS, {"id": id})
        self._connection.execute(
            _ADD_FALLBACKS, {"id": id, "fallbacks": [str(p) for p in rule.fallback_providers]}
        )

    def delete(self, id: UUID) -> None:
        self._connection.execute(text("DELETE FROM routing_rules WHERE id = :id"), {"id": id})


def _as_id(ref: str) -> UUID | None:
    try:
        return UUID(ref)
    except ValueError:
        return None
