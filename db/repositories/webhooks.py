"""Endpoints that users want to be told at, and the messages for them. What is to be told of emails is written by the
database itself, with each line of a timeline (migration 0017).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Connection, RowMapping, text

from db.statements import Prepared
from domain.webhooks import DISABLED, Endpoint, Notice, Telling, payload

_SEEN = """
    SELECT id, user_id, url, description, types, secret, old_secret_until, enabled, disabled_reason, disabled_at,
        failing_since, created_at, updated_at
    FROM webhook_endpoints WHERE user_id = :user_id
"""
_LIST = text(f"{_SEEN} AND (CAST(:before AS uuid) IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit")
_GET = text(f"{_SEEN} AND id = :id")
_LOCK = text(f"{_SEEN} AND id = :id FOR NO KEY UPDATE")
_COUNT = text("SELECT count(*) FROM webhook_endpoints WHERE user_id = :user_id")
_ADD = text("""
    INSERT INTO webhook_endpoints (id, user_id, url, description, types, secret)
    VALUES (:id, :user_id, :url, :description, :types, :sealed)
""")
_CHANGE = text("""
    UPDATE webhook_endpoints SET url = :url, description = :description, types = :types, enabled = :enabled,
        disabled_reason = CASE WHEN :enabled THEN NULL WHEN enabled THEN 'by its owner' ELSE disabled_reason END,
        disabled_at = CASE WHEN :enabled THEN NULL WHEN enabled THEN mm_now() ELSE disabled_at END,
        failing_since = CASE WHEN :enabled AND NOT enabled THEN NULL ELSE failing_since END,
        notice_owed = notice_owed AND NOT :enabled,
        updated_at = mm_now()
    WHERE id = :id
""")
_ROTATE = text("""
    UPDATE webhook_endpoints SET secret = :sealed, old_secret_until = mm_now() + :hours * interval '1 hour',
        updated_at = mm_now()
    WHERE id = :id
""")
_DELETE = text("""
    WITH gone AS (DELETE FROM webhook_endpoints WHERE id = :id)
    DELETE FROM webhook_messages WHERE endpoint_id = :id
""")
_MESSAGES = text("""
    SELECT id, type, job_id AS email_id, state, tries, CASE WHEN state = 'waiting' THEN due_at END AS next_try_at,
        created_at, told_at, answer, error
    FROM webhook_messages
    WHERE endpoint_id = :endpoint AND (CAST(:state AS text) IS NULL OR state = :state)
        AND (CAST(:before AS uuid) IS NULL OR id < :before)
    ORDER BY id DESC LIMIT :limit
""")
_SAY = text("""
    INSERT INTO webhook_messages (id, endpoint_id, type, payload)
    VALUES (:id, :endpoint, :type, CAST(:payload AS jsonb))
""")

# What happened in a range is told again, or for the first time where the endpoint came later.
_REPLAY = text("""
    WITH lines AS (
        SELECT s.email_job_id, s.id, s.timestamp, 'email.' || coalesce(s.detail->>'event', s.status) AS type
        FROM email_jobs j JOIN email_status s ON s.email_job_id = j.id
        WHERE j.user_id = :user_id AND j.created_at < :until AND s.timestamp >= :since AND s.timestamp < :until
            AND coalesce(s.detail->>'event', '') NOT IN ('queued', 'sent')
    )
    INSERT INTO webhook_messages (id, endpoint_id, type, job_id, status_id)
    SELECT mm_uuid7(), :endpoint, l.type, l.email_job_id, l.id FROM lines l
    WHERE (CAST(:types AS text[]) = '{}' OR l.type = ANY(:types))
        AND (NOT :failed_only OR EXISTS (
            SELECT FROM webhook_messages m
            WHERE m.endpoint_id = :endpoint AND m.status_id = l.id AND m.state = 'failed'))
        AND NOT EXISTS (
            SELECT FROM webhook_messages m
            WHERE m.endpoint_id = :endpoint AND m.status_id = l.id AND (m.state = 'waiting' OR m.due_at >= :asked))
    ORDER BY l.timestamp LIMIT :limit
    ON CONFLICT (endpoint_id, status_id) WHERE status_id IS NOT NULL
        DO UPDATE SET state = 'waiting', tries = 0, due_at = mm_now(), told_at = NULL
""")

_DUE = Prepared(
    "webhooks_due",
    """
    SELECT e.id, e.user_id, e.url, e.secret, u.role = 'operator' AS trusted
    FROM webhook_endpoints e JOIN users u ON u.id = e.user_id
    WHERE e.enabled AND e.id <> ALL(:but) AND EXISTS (
        SELECT FROM webhook_messages m
        WHERE m.endpoint_id = e.id AND m.state = 'waiting' AND m.due_at <= mm_now())
    ORDER BY random() LIMIT :limit
    """,
    but="uuid[]",
    limit="int",
)

_TAKE = Prepared(
    "webhooks_take",
    """
    WITH due AS (
        SELECT id FROM webhook_messages
        WHERE endpoint_id = :endpoint AND state = 'waiting' AND due_at <= mm_now()
        ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE webhook_messages m SET due_at = mm_now() + :lease * interval '1 second'
        FROM due WHERE m.id = due.id RETURNING m.*
    )
    SELECT t.id, t.type, t.tries, t.payload, t.created_at, mm_now() AS now, s.id AS line, s.status, s.timestamp,
        s.reason, s.attempt_id, s.detail, j.id AS email_id, j.email_type, j.tags, j.metadata,
        (SELECT e.old_secret_until > mm_now() FROM webhook_endpoints e WHERE e.id = t.endpoint_id) AS old_too,
        coalesce((j.options->>'test')::boolean, false) AS test
    FROM taken t
    LEFT JOIN email_status s ON s.email_job_id = t.job_id AND s.id = t.status_id
    LEFT JOIN email_jobs j ON j.id = t.job_id
    ORDER BY t.id
    """,
    endpoint="uuid",
    limit="int",
    lease="float",
)

_NOTE = Prepared(
    "webhooks_note",
    """
    UPDATE webhook_messages m SET state = n.state, tries = m.tries + n.tried, answer = n.answer, error = n.error,
        due_at = mm_now() + n.delay * interval '1 second',
        told_at = CASE WHEN n.state = 'told' THEN mm_now() END
    FROM unnest(:ids, :states, :tried, :answers, :errors, :delays) AS n(id, state, tried, answer, error, delay)
    WHERE m.id = n.id
    """,
    ids="uuid[]",
    states="text[]",
    tried="int[]",
    answers="int[]",
    errors="text[]",
    delays="float[]",
)

_WELL = Prepared(
    "webhooks_well",
    "UPDATE webhook_endpoints SET failing_since = NULL WHERE id = :id AND failing_since IS NOT NULL",
    id="uuid",
)
_ILL = Prepared(
    "webhooks_ill",
    """
    UPDATE webhook_endpoints SET failing_since = coalesce(failing_since, mm_now()) WHERE id = :id
    RETURNING failing_since < mm_now() - :patience * interval '1 second' AS given_up
    """,
    id="uuid",
    patience="float",
)
_DISABLE = Prepared(
    "webhooks_disable",
    """
    WITH disabled AS (
        UPDATE webhook_endpoints SET enabled = false, disabled_reason = :reason, disabled_at = mm_now(),
            notice_owed = true
        WHERE id = :id AND enabled RETURNING user_id, id
    )
    SELECT d.id, d.user_id, mm_now() AS now, others.id AS other FROM disabled d
    LEFT JOIN webhook_endpoints others
        ON others.user_id = d.user_id AND others.id <> d.id AND others.enabled
        AND (others.types = '{}' OR :type = ANY(others.types))
    """,
    id="uuid",
    reason="text",
    type="text",
)


_OWED = text("""
    SELECT e.id, e.url, e.disabled_reason AS reason, e.disabled_at AS at, owner.id AS owner_id, owner.email,
        (SELECT o.id FROM users o WHERE o.role = 'operator' ORDER BY o.id LIMIT 1) AS operator_id
    FROM webhook_endpoints e JOIN users u ON u.id = e.user_id JOIN users owner ON owner.id = coalesce(u.test_of, u.id)
    WHERE e.notice_owed AND e.id <> ALL(CAST(:but AS uuid[])) ORDER BY e.id LIMIT 100
""")
_FAILED = text("""
    SELECT e.id, u.email FROM webhook_endpoints e JOIN users u ON u.id = e.user_id
    WHERE e.disabled_reason <> 'by its owner' AND NOT e.enabled ORDER BY e.disabled_at DESC, e.id LIMIT :limit
""")
_PAID = text("UPDATE webhook_endpoints SET notice_owed = false WHERE id = :id AND disabled_at = :at")


@dataclass(frozen=True, slots=True)
class Noted:
    """What becomes of a message. `tried`: whether it was; `delay`: seconds until it is due, where it waits."""

    id: UUID
    state: str
    tried: bool
    answer: int | None = None
    error: str | None = None
    delay: float = 0.0


class Webhooks:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, user_id: UUID, before: UUID | None, limit: int) -> Sequence[RowMapping]:
        """Up to `limit` of the user's, newest first, below the id `before`."""
        values = {"user_id": user_id, "before": before, "limit": limit}
        return self._connection.execute(_LIST, values).mappings().all()

    def get(self, user_id: UUID, id: UUID) -> RowMapping | None:
        return self._connection.execute(_GET, {"user_id": user_id, "id": id}).mappings().one_or_none()

    def lock(self, user_id: UUID, id: UUID) -> RowMapping | None:
        """As `get`; others wait to change it until this transaction ends."""
        return self._connection.execute(_LOCK, {"user_id": user_id, "id": id}).mappings().one_or_none()

    def count(self, user_id: UUID) -> int:
        return int(self._connection.execute(_COUNT, {"user_id": user_id}).scalar_one())

    def add(
        self, id: UUID, user_id: UUID, url: str, description: str, types: Sequence[str], sealed: str
    ) -> None:
        values = {
            "id": id,
            "user_id": user_id,
            "url": url,
            "description": description,
            "types": list(types),
            "sealed": sealed,
        }
        self._connection.execute(_ADD, values)

    def change(self, id: UUID, url: str, description: str, types: Sequence[str], enabled: bool) -> None:
        values = {"id": id, "url": url, "description": description, "types": list(types), "enabled": enabled}
        self._connection.execute(_CHANGE, values)

    def rotate(self, id: UUID, sealed: str, hours: float) -> None:
        """Replace the secrets; the old one among them signs for `hours` more."""
        self._connection.execute(_ROTATE, {"id": id, "sealed": sealed, "hours": hours})

    def delete(self, id: UUID) -> None:
        self._connection.execute(_DELETE, {"id": id})

    def messages(
        self, endpoint_id: UUID, state: str | None, before: UUID | None, limit: int
    ) -> Sequence[RowMapping]:
        """Up to `limit` of an endpoint's messages, newest first, below the id `before`."""
        values = {"endpoint": endpoint_id, "state": state, "before": before, "limit": limit}
        return self._connection.execute(_MESSAGES, values).mappings().all()

    def say(self, id: UUID, endpoint_id: UUID, type: str, said: Mapping[str, Any]) -> None:
        """Have a message told that is about no email."""
        values = {"id": id, "endpoint": endpoint_id, "type": type, "payload": orjson.dumps(said).decode()}
        self._connection.execute(_SAY, values)

    def replay(
        self,
        user_id: UUID,
        endpoint_id: UUID,
        range_: tuple[datetime, datetime],
        types: Sequence[str],
        failed_only: bool,
        asked: datetime,
        limit: int,
    ) -> int:
        """Have what happened in the range told again, oldest first; `asked`: what was told since is left out.

        Returns how many messages, at most `limit`.
        """
        values = {
            "user_id": user_id,
            "endpoint": endpoint_id,
            "since": range_[0],
            "until": range_[1],
            "types": list(types),
            "failed_only": failed_only,
            "asked": asked,
            "limit": limit,
        }
        return self._connection.execute(_REPLAY, values).rowcount

    def due(self, but: Sequence[UUID], limit: int) -> Sequence[Endpoint]:
        """Endpoints with something to tell now, in no order, without those of `but`."""
        return [
            Endpoint(r.id, r.user_id, r.url, r.secret, r.trusted)
            for r in _DUE(self._connection, but=but, limit=limit)
        ]

    def take(self, endpoint_id: UUID, limit: int, lease: float) -> Sequence[Telling]:
        """Messages that are due, the oldest first. Nobody else takes them for `lease` seconds."""
        return [
            Telling(row.id, row.tries, _said(row), row.now, bool(row.old_too))
            for row in _TAKE(self._connection, endpoint=str(endpoint_id), limit=limit, lease=lease)
        ]

    def note(self, noted: Sequence[Noted]) -> None:
        _NOTE(
            self._connection,
            ids=[n.id for n in noted],
            states=[n.state for n in noted],
            tried=[int(n.tried) for n in noted],
            answers=[n.answer for n in noted],
            errors=[n.error for n in noted],
            delays=[n.delay for n in noted],
        )

    def well(self, endpoint_id: UUID) -> None:
        """It took something."""
        _WELL(self._connection, id=str(endpoint_id))

    def ill(self, endpoint_id: UUID, patience: float) -> bool:
        """It took nothing. Returns whether that has been so for more than `patience` seconds."""
        row = _ILL(self._connection, id=str(endpoint_id), patience=patience).first()
        return bool(row and row.given_up)

    def disable(self, endpoint_id: UUID, reason: str, new_id: Any) -> bool:
        """Tell it nothing more, and its owner's other endpoints that this is so. False: it was disabled before."""
        rows = _DISABLE(self._connection, id=str(endpoint_id), reason=reason, type=DISABLED).all()
        for row in rows:
            if row.other is not None:
                said = payload(DISABLED, row.now, {"webhook_id": str(row.id), "reason": reason})
                self.say(new_id(), row.other, DISABLED, said)
        return bool(rows)

    def owed(self, but: Sequence[UUID] = ()) -> Sequence[Notice]:
        """Endpoints that were disabled for failing, whose owners are not written to of it yet; at most 100.

        Without those of `but`.
        """
        return [
            Notice(r.owner_id, r.id, r.url, r.reason, r.at, r.email, r.operator_id)
            for r in self._connection.execute(_OWED, {"but": [str(id_) for id_ in but]})
        ]

    def failed(self, limit: int) -> Sequence[tuple[UUID, str]]:
        """Endpoints that are disabled because they failed, the latest first, with their owners' addresses."""
        return [(r.id, r.email) for r in self._connection.execute(_FAILED, {"limit": limit})]

    def paid(self, notice: Notice) -> None:
        """Its owner is written to, or is not to be."""
        self._connection.execute(_PAID, {"id": notice.webhook_id, "at": notice.at})


def _said(row: Any) -> Mapping[str, Any] | None:
    """What a message says; None: the line that it tells was purged."""
    if row.payload is not None:
        return dict(row.payload)
    if row.line is None or row.email_id is None:
        return None
    data = {
        "email_id": str(row.email_id),
        "status": row.status,
        "reason": row.reason,
        "attempt_id": row.attempt_id and str(row.attempt_id),
        "email_type": row.email_type,
        "tags": row.tags,
        "metadata": row.metadata,
        "test": row.test,
        **(row.detail or {}),
    }
    return payload(row.type, row.timestamp, data)
