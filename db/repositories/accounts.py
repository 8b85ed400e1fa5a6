"""Users and their API keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

_FIRST_USER_LOCK = 0x6D6D_0001  # advisory lock: one process at a time looks for a first user

_KEY = text("""
    SELECT k.id, k.key, k.user_id, u.role, k.scopes, k.revoked_at IS NOT NULL AS revoked,
        coalesce(k.expires_at <= mm_now(), false) AS expired
    FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.public_id = :public_id
""")

_KEYS = text("""
    SELECT k.public_id, k.name, u.email, k.scopes, k.created_at, k.expires_at, k.revoked_at
    FROM api_keys k JOIN users u ON u.id = k.user_id
    WHERE CAST(:email AS text) IS NULL OR u.email = :email
    ORDER BY k.created_at, k.id
""")

_ADD_KEY = text("""
    INSERT INTO api_keys (id, user_id, key, public_id, name, scopes, expires_at)
    VALUES (:id, :user_id, :hash, :public_id, :name, CAST(:scopes AS text[]),
        mm_now() + make_interval(secs => :lifetime))
    RETURNING expires_at
""")

_REVOKE = text("""
    UPDATE api_keys SET revoked_at = coalesce(revoked_at, mm_now()) WHERE public_id = :public_id
    RETURNING revoked_at
""")


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as it is known to us. `hash` is the SHA-256 of its secret."""

    id: UUID
    hash: str = field(repr=False)
    user_id: UUID
    role: str
    scopes: frozenset[str]
    revoked: bool
    expired: bool


class Accounts:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find_key(self, public_id: str) -> StoredKey | None:
        row = self._connection.execute(_KEY, {"public_id": public_id}).one_or_none()
        if row is None:
            return None
        return StoredKey(
            row.id, row.key, row.user_id, row.role, frozenset(row.scopes), row.revoked, row.expired
        )

    def list_keys(self, email: str | None = None) -> Sequence[Row[Any]]:
        """All keys, or those of one user, oldest first; nothing of their secrets."""
        return self._connection.execute(_KEYS, {"email": email}).all()

    def add_key(
        self,
        id: UUID,
        user_id: UUID,
        public_id: str,
        hash: str,
        scopes: Sequence[str],
        *,
        name: str = "",
        lifetime: float | None = None,
    ) -> datetime | None:
        """Store a key that lives `lifetime` seconds (None: until it is revoked). Returns when it ends."""
        row = self._connection.execute(
            _ADD_KEY,
            {
                "id": id,
                "user_id": user_id,
                "public_id": public_id,
                "hash": hash,
                "scopes": list(scopes),
                "name": name,
                "lifetime": lifetime,
            },
        ).one()
        ends: datetime | None = row.expires_at
        return ends

    def revoke_key(self, public_id: str) -> datetime | None:
        """Revoke at once; a repeat keeps the first time. None: there is no such key."""
        revoked_at: datetime | None = self._connection.execute(_REVOKE, {"public_id": public_id}).scalar()
        return revoked_at

    def lock_first_user(self) -> None:
        """Wait until no other transaction is deciding whether a first user is needed."""
        self._connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _FIRST_USER_LOCK})

    def any_user(self) -> bool:
        return bool(self._connection.execute(text("SELECT EXISTS (SELECT FROM users)")).scalar())

    def find_user(self, email: str) -> UUID | None:
        found: UUID | None = self._connection.execute(
            text("SELECT id FROM users WHERE lower(email) = lower(:email)"), {"email": email}
        ).scalar()
        return found

    def add_user(self, id: UUID, email: str, password_hash: str, role: str) -> None:
        self._connection.execute(
            text(
                "INSERT INTO users (id, email, password_hash, role) VALUES (:id, :email, :password_hash, :role)"
            ),
            {"id": id, "email": email, "password_hash": password_hash, "role": role},
        )
