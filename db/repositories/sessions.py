"""People who sign in: their passwords, their sessions, and how often somebody tried.

A session is a row of `api_keys` of its own kind, so that it is looked up, held to its scopes, revoked and named in the
audit log as keys are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

_ATTEMPT = text("""
    INSERT INTO sign_in_tries AS t (subject, tries) VALUES (:subject, 1)
    ON CONFLICT (subject) DO UPDATE SET
        tries = CASE WHEN t.since <= mm_now() - make_interval(secs => :window) THEN 1 ELSE t.tries + 1 END,
        since = CASE WHEN t.since <= mm_now() - make_interval(secs => :window) THEN mm_now() ELSE t.since END
    RETURNING tries, ceil(EXTRACT(epoch FROM since - mm_now()) + :window)::int AS reset
""")
_FORGET = text("DELETE FROM sign_in_tries WHERE subject = :subject")
_GIVE_BACK = text("UPDATE sign_in_tries SET tries = tries - 1 WHERE subject = :subject AND tries > 0")
_PERSON = "SELECT id, email, role, password_hash FROM users WHERE test_of IS NULL AND"
_BY_EMAIL = text(f"{_PERSON} lower(email) = lower(:email)")
_BY_ID = text(f"{_PERSON} id = :id")
_SET_PASSWORD = text("""
    UPDATE users SET password_hash = :new, password_link = NULL, password_link_ends_at = NULL
    WHERE id = :id AND password_hash = :former
""")
_STANDS = text("SELECT 1 FROM users WHERE id = :id AND password_hash = :former FOR SHARE")
_REHASH = text("UPDATE users SET password_hash = :new WHERE id = :id AND password_hash = :former")
_LINK = text("""
    UPDATE users SET password_link = :hash, password_link_ends_at = mm_now() + make_interval(secs => :seconds)
    WHERE id = :id AND test_of IS NULL RETURNING password_link_ends_at
""")
_LINKED = text("""
    SELECT id, email, role, password_hash FROM users
    WHERE password_link = :hash AND password_link_ends_at > mm_now() FOR UPDATE
""")
_OPEN = text("""
    INSERT INTO api_keys (id, user_id, key, public_id, name, scopes, expires_at, kind, came_from)
    VALUES (:id, :user_id, :hash, :public_id, :name, CAST(:scopes AS text[]),
        mm_now() + make_interval(secs => :lifetime), 'session', :came_from)
""")
_STANDING = """
    SELECT id, name, came_from, created_at, expires_at FROM api_keys
    WHERE user_id = :user_id AND kind = 'session' AND revoked_at IS NULL AND expires_at > mm_now()
"""
_LIST = text(f"{_STANDING} AND (CAST(:before AS uuid) IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit")
_ONE = text(f"{_STANDING} AND id = :id")
_END = text("""
    UPDATE api_keys SET revoked_at = mm_now()
    WHERE id = :id AND user_id = :user_id AND kind = 'session' AND revoked_at IS NULL AND expires_at > mm_now()
""")
_END_OTHERS = text("""
    UPDATE api_keys SET revoked_at = mm_now()
    WHERE user_id = :user_id AND kind = 'session' AND revoked_at IS NULL
        AND (CAST(:but AS uuid) IS NULL OR id <> :but)
""")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may sign in."""

    id: UUID
    email: str
    role: str
    password_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tries:
    """How often somebody tried, this time included, and the seconds until the count begins anew."""

    count: int
    reset: int


class Sessions:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def attempt(self, subject: bytes, window: float) -> Tries:
        """Count a try of this subject in its window of so many seconds; others wait for the count."""
        row = self._connection.execute(_ATTEMPT, {"subject": subject, "window": window}).one()
        return Tries(row.tries, max(1, row.reset))

    def forget_tries(self, subject: bytes) -> None:
        self._connection.execute(_FORGET, {"subject": subject})

    def give_back_try(self, subject: bytes) -> None:
        """A try that was right after all does not count."""
        self._connection.execute(_GIVE_BACK, {"subject": subject})

    def person(self, email: str) -> Person | None:
        row = self._connection.execute(_BY_EMAIL, {"email": email}).one_or_none()
        return None if row is None else Person(row.id, row.email, row.role, row.password_hash)

    def person_of(self, user_id: UUID) -> Person | None:
        row = self._connection.execute(_BY_ID, {"id": user_id}).one_or_none()
        return None if row is None else Person(row.id, row.email, row.role, row.password_hash)

    def set_password(self, person: Person, new: str) -> bool:
        """False: it was changed by another since the person was read. A link that would set it holds no more."""
        values = {"id": person.id, "former": person.password_hash, "new": new}
        return self._connection.execute(_SET_PASSWORD, values).rowcount == 1

    def rehash(self, person: Person, new: str) -> Person:
        """Keep the same password with another hash, unless it was changed since; returns the person as is then."""
        values = {"id": person.id, "former": person.password_hash, "new": new}
        changed = self._connection.execute(_REHASH, values).rowcount == 1
        return replace(person, password_hash=new) if changed else person

    def stands(self, person: Person) -> bool:
        """Whether the password is still the one that was read; if so it stays until this transaction ends."""
        values = {"id": person.id, "former": person.password_hash}
        return self._connection.execute(_STANDS, values).scalar() is not None

    def link_password(self, user_id: UUID, hash: str, seconds: float) -> datetime | None:
        """A token with this hash may set the password once; a former one may not any more. None: no such user."""
        values = {"id": user_id, "hash": hash, "seconds": seconds}
        ends: datetime | None = self._connection.execute(_LINK, values).scalar()
        return ends

    def linked(self, hash: str) -> Person | None:
        """Whose password a token sets; others wait until this transaction ends."""
        row = self._connection.execute(_LINKED, {"hash": hash}).one_or_none()
        return None if row is None else Person(row.id, row.email, row.role, row.password_hash)

    def open(
        self,
        id: UUID,
        user_id: UUID,
        public_id: str,
        hash: str,
        scopes: Sequence[str],
        *,
        lifetime: float,
        name: str,
        came_from: str | None,
    ) -> RowMapping:
        """A session of so many seconds."""
        self._connection.execute(
            _OPEN,
            {
                "id": id,
                "user_id": user_id,
                "public_id": public_id,
                "hash": hash,
                "scopes": list(scopes),
                "lifetime": lifetime,
                "name": name,
                "came_from": came_from,
            },
        )
        return self._connection.execute(_ONE, {"user_id": user_id, "id": id}).mappings().one()

    def standing(self, user_id: UUID, before: UUID | None, limit: int) -> Sequence[RowMapping]:
        """Up to `limit` of a user's sessions that have not ended, newest first, below the id `before`."""
        values = {"user_id": user_id, "before": before, "limit": limit}
        return self._connection.execute(_LIST, values).mappings().all()

    def end(self, user_id: UUID, id: UUID) -> bool:
        """False: the user has no such session, or it has ended."""
        return self._connection.execute(_END, {"user_id": user_id, "id": id}).rowcount == 1

    def end_others(self, user_id: UUID, but: UUID | None = None) -> int:
        """All of a user's but one. Returns how many."""
        return self._connection.execute(_END_OTHERS, {"user_id": user_id, "but": but}).rowcount
