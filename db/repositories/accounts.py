"""Users and their API keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, RowMapping, text
from sqlalchemy.exc import IntegrityError

from domain.keys import NO_LIMITS, KeyLimits

_FIRST_USER_LOCK = 0x6D6D_0001  # advisory lock: one process at a time looks for a first user

_KEY = text("""
    SELECT k.id, k.key, k.user_id, u.role, k.scopes, k.revoked_at IS NOT NULL AS revoked,
        k.expires_at, coalesce(k.expires_at <= mm_now(), false) AS expired, k.senders, k.networks, k.per_minute,
        CASE WHEN u.test_of IS NULL THEN k.kind ELSE 'test' END AS kind, u.test_of
    FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.public_id = :public_id
""")

_KEYS = text("""
    SELECT k.public_id, k.name, u.email, k.scopes, k.created_at, k.expires_at, k.revoked_at,
        a.test_of IS NOT NULL AS test
    FROM api_keys k JOIN users a ON a.id = k.user_id JOIN users u ON u.id = coalesce(a.test_of, a.id)
    WHERE k.kind = 'key' AND (CAST(:email AS text) IS NULL OR u.email = :email)
    ORDER BY k.created_at, k.id
""")

_ADD_KEY = text("""
    INSERT INTO api_keys (id, user_id, key, public_id, name, scopes, expires_at, senders, networks, per_minute)
    VALUES (:id, :user_id, :hash, :public_id, :name, CAST(:scopes AS text[]),
        mm_now() + make_interval(secs => :lifetime), CAST(:senders AS text[]), CAST(:networks AS text[]), :per_minute)
    RETURNING expires_at
""")

_REVOKE = text("""
    UPDATE api_keys SET revoked_at = coalesce(revoked_at, mm_now()) WHERE public_id = :public_id
    RETURNING revoked_at
""")


# The user's, and those of the user's test account.
_OWN = """
    SELECT id, user_id, public_id, name, scopes, created_at, expires_at, revoked_at,
        coalesce(expires_at <= mm_now(), false) AS ended, senders, networks, per_minute,
        EXISTS (SELECT FROM users u WHERE u.id = k.user_id AND u.test_of IS NOT NULL) AS test
    FROM api_keys k
    WHERE kind = 'key' AND user_id IN (:user_id, (SELECT u.id FROM users u WHERE u.test_of = :user_id))
"""
_OWN_KEYS = text(f"{_OWN} AND (CAST(:before AS uuid) IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit")
_OWN_KEY = text(f"{_OWN} AND id = :id")
_LOCK_KEY = text(f"{_OWN} AND id = :id FOR UPDATE OF k")
_END_KEY = text("UPDATE api_keys SET expires_at = :at WHERE id = :id")
# Never later than it would end anyway.
_END_KEY_IN = text("""
    UPDATE api_keys SET expires_at = least(expires_at, mm_now() + :hours * interval '1 hour') WHERE id = :id
""")
_USER = text("SELECT id, email, role, created_at FROM users WHERE id = :id AND test_of IS NULL")
_USERS = text("""
    SELECT id, email, role, created_at FROM users
    WHERE test_of IS NULL AND (CAST(:before AS uuid) IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit
""")
_TEST_ACCOUNT = text("SELECT id FROM users WHERE test_of = :user_id")
_ADD_TEST_ACCOUNT = text("""
    INSERT INTO users (id, email, password_hash, role, test_of)
    VALUES (:id, 'test account of ' || CAST(:user_id AS uuid), '', 'member', :user_id)
    ON CONFLICT (test_of) DO NOTHING
    RETURNING id
""")
_ADD_TEST_PROVIDER = text("""
    INSERT INTO providers (id, user_id, name, kind, api_key, config, base_cost, test)
    VALUES (:id, :owner, 'test', 'memory', :sealed, '{"magic": true}', 0, true)
""")
_OPERATORS = text("SELECT id FROM users WHERE role = 'operator' ORDER BY id FOR UPDATE")
_SET_ROLE = text("UPDATE users SET role = :role WHERE id = :id AND test_of IS NULL")
_END_KEYS = text("""
    UPDATE api_keys SET revoked_at = mm_now()
    WHERE revoked_at IS NULL AND user_id IN (:id, (SELECT u.id FROM users u WHERE u.test_of = :id))
""")
_HOLD_USER = text("SELECT id FROM users WHERE id = :id FOR SHARE")
_STANDS = text("""
    SELECT 1 FROM api_keys WHERE id = :id AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > mm_now())
""")
_SHUT = text("""
    UPDATE users SET password_hash = :hash, password_link = NULL, password_link_ends_at = NULL
    WHERE id = :id AND test_of IS NULL
""")
_ADD_USER = text("""
    INSERT INTO users (id, email, password_hash, role) VALUES (:id, :email, :password_hash, :role)
""")
_UNIQUE_VIOLATION = "23505"


class UserKnown(Exception):
    """There is a user with this address."""


class LastOperator(Exception):
    """Somebody has to stay operator."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key, or a session, as it is known to us. `hash` is the SHA-256 of its secret."""

    id: UUID
    hash: str = field(repr=False)
    user_id: UUID
    role: str
    scopes: frozenset[str]
    revoked: bool
    expired: bool
    limits: KeyLimits = NO_LIMITS
    kind: str = "key"
    test_of: UUID | None = None
    expires_at: datetime | None = None


def limits_of(row: RowMapping) -> KeyLimits:
    return KeyLimits(tuple(row["senders"]), tuple(row["networks"]), row["per_minute"])


class Accounts:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def exists(self, user_id: UUID) -> bool:
        found = self._connection.execute(text("SELECT 1 FROM users WHERE id = :id"), {"id": user_id})
        return found.scalar() is not None

    def find_key(self, public_id: str) -> StoredKey | None:
        row = self._connection.execute(_KEY, {"public_id": public_id}).one_or_none()
        if row is None:
            return None
        return StoredKey(
            row.id, row.key, row.user_id, row.role, frozenset(row.scopes), row.revoked, row.expired,
            limits_of(row._mapping), row.kind, row.test_of, row.expires_at,
        )  # fmt: skip

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
        limits: KeyLimits = NO_LIMITS,
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
                "senders": list(limits.senders),
                "networks": list(limits.networks),
                "per_minute": limits.per_minute,
            },
        ).one()
        ends: datetime | None = row.expires_at
        return ends

    def revoke_key(self, public_id: str) -> datetime | None:
        """Revoke at once; a repeat keeps the first time. None: there is no such key."""
        revoked_at: datetime | None = self._connection.execute(_REVOKE, {"public_id": public_id}).scalar()
        return revoked_at

    def own_keys(self, user_id: UUID, before: UUID | None, limit: int) -> Sequence[RowMapping]:
        """Up to `limit` of a user's keys, those of the test account among them, newest first, below the id `before`."""
        values = {"user_id": user_id, "before": before, "limit": limit}
        return self._connection.execute(_OWN_KEYS, values).mappings().all()

    def own_key(self, user_id: UUID, id: UUID, lock: bool = False) -> RowMapping | None:
        """`lock`: others wait to change it until this transaction ends."""
        where = {"user_id": user_id, "id": id}
        found = self._connection.execute(_LOCK_KEY if lock else _OWN_KEY, where)
        return found.mappings().one_or_none()

    def is_ahead(self, at: datetime) -> bool:
        """Whether a time is still to come, by the database's clock."""
        return bool(self._connection.execute(text("SELECT :at > mm_now()"), {"at": at}).scalar())

    def end_key(self, id: UUID, at: datetime | None) -> None:
        """None: it stands until it is revoked."""
        self._connection.execute(_END_KEY, {"id": id, "at": at})

    def end_key_in(self, id: UUID, hours: float) -> None:
        """It ends in so many hours, or when it would have ended before."""
        self._connection.execute(_END_KEY_IN, {"id": id, "hours": hours})

    def user(self, id: UUID) -> RowMapping | None:
        return self._connection.execute(_USER, {"id": id}).mappings().one_or_none()

    def users(self, before: UUID | None, limit: int) -> Sequence[RowMapping]:
        """Up to `limit` users, newest first, below the id `before`."""
        return self._connection.execute(_USERS, {"before": before, "limit": limit}).mappings().all()

    def test_account(self, user_id: UUID) -> UUID | None:
        """The account that the user's test keys belong to; None: there is none yet."""
        found: UUID | None = self._connection.execute(_TEST_ACCOUNT, {"user_id": user_id}).scalar()
        return found

    def add_test_account(self, id: UUID, user_id: UUID) -> bool:
        """False: there is one already, perhaps since a moment ago."""
        values = {"id": id, "user_id": user_id}
        return self._connection.execute(_ADD_TEST_ACCOUNT, values).scalar() is not None

    def add_test_provider(self, id: UUID, owner: UUID, sealed: str) -> None:
        """The one provider that emails of a test account go to."""
        self._connection.execute(_ADD_TEST_PROVIDER, {"id": id, "owner": owner, "sealed": sealed})

    def set_role(self, id: UUID, role: str) -> None:
        """Raises LastOperator."""
        operators = self._connection.execute(_OPERATORS).scalars().all()
        if role != "operator" and operators == [id]:
            raise LastOperator
        self._connection.execute(_SET_ROLE, {"id": id, "role": role})

    def lock_out(self, id: UUID, password_hash: str) -> bool:
        """End all keys, test keys and sessions of a user at once; nobody signs in with what was their password.
        `password_hash`: of what nobody knows. False: there is no such user.
        """
        if self._connection.execute(_SHUT, {"id": id, "hash": password_hash}).rowcount == 0:
            return False
        self._connection.execute(_END_KEYS, {"id": id})
        return True

    def stands(self, user_id: UUID, key_id: UUID) -> bool:
        """Whether a key is still good; if so nobody locks its user out until this transaction ends.

        `user_id`: not of a test account, but whose it is.
        """
        self._connection.execute(_HOLD_USER, {"id": user_id})
        return self._connection.execute(_STANDS, {"id": key_id}).scalar() is not None

    def lock_first_user(self) -> None:
        """Wait until no other transaction is deciding whether a first user is needed."""
        self._connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _FIRST_USER_LOCK})

    def any_user(self) -> bool:
        return bool(self._connection.execute(text("SELECT EXISTS (SELECT FROM users)")).scalar())

    def find_user(self, email: str) -> UUID | None:
        found: UUID | None = self._connection.execute(
            text("SELECT id FROM users WHERE lower(email) = lower(:email) AND test_of IS NULL"),
            {"email": email},
        ).scalar()
        return found

    def add_user(self, id: UUID, email: str, password_hash: str, role: str) -> None:
        """Raises UserKnown; then nothing more can be done in this transaction."""
        if self.find_user(email) is not None:
            raise UserKnown
        values = {"id": id, "email": email, "password_hash": password_hash, "role": role}
        try:
            self._connection.execute(_ADD_USER, values)
        except IntegrityError as error:
            if getattr(error.orig, "pgcode", None) == _UNIQUE_VIOLATION:
                raise UserKnown from error
            raise
