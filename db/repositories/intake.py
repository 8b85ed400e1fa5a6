"""Writing accepted emails: every statement works on all emails of a request at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Table, bindparam, func, insert, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import OperationalError

from db.mapping import content_row, job_row
from db.models import Base, EmailContent
from domain.intake import (
    Accepted,
    Entry,
    KeyInFlight,
    KeyTaken,
    Once,
    Sender,
    Surroundings,
    TypeTerms,
)
from domain.lifecycle import Status
from domain.message import Lane, OnUnknown

LOCK_TIMEOUT = "200ms"  # how long a request waits for another one that holds the same idempotency key
_LOCK_NOT_AVAILABLE = "55P03"
_DEADLOCK_DETECTED = "40P01"

_SURVEY = text("""
    SELECT mm_now() AS now,
        (SELECT coalesce(jsonb_object_agg(name, terms), '{}') FROM (
            SELECT DISTINCT ON (name) name, jsonb_build_array(lane, on_unknown) AS terms FROM email_types
            WHERE name = ANY(CAST(:types AS text[])) AND (user_id = :user_id OR user_id IS NULL)
            ORDER BY name, user_id NULLS LAST
        ) t) AS types,
        (SELECT coalesce(array_agg(DISTINCT name), '{}') FROM providers
            WHERE name = ANY(CAST(:providers AS text[])) AND (user_id = :user_id OR user_id IS NULL)
            AND deleted_at IS NULL) AS providers
""")

_REMEMBER = text("""
    INSERT INTO idempotency_keys (user_id, route, key, request_hash, status_code, response, expires_at)
    VALUES (:user_id, :route, :key, :request_hash, 202, CAST(:response AS jsonb), mm_now() + :keep)
    ON CONFLICT DO NOTHING
""")

_RECALL = text("""
    SELECT request_hash, response, expires_at <= mm_now() AS expired FROM idempotency_keys
    WHERE user_id = :user_id AND route = :route AND key = :key
""")

_FORGET = text("""
    DELETE FROM idempotency_keys
    WHERE user_id = :user_id AND route = :route AND key = :key AND expires_at <= mm_now()
""")


def _table(name: str) -> Table:
    return Base.metadata.tables[name]


_ADD_CONTENTS = upsert(EmailContent).on_conflict_do_nothing()
_ADD_JOBS = insert(_table("email_jobs"))
_ADD_TO_QUEUE = insert(_table("email_queue")).values(
    job_id=bindparam("job_id"),
    user_id=bindparam("user_id"),
    lane=bindparam("lane"),
    due_at=func.coalesce(bindparam("send_at", type_=_table("email_jobs").c.send_at.type), func.mm_now()),
)
_ADD_TO_TIMELINES = insert(_table("email_status"))


class Intake:
    """domain.ports.IntakeStore on PostgreSQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def survey(self, user_id: UUID, types: Sequence[str], providers: Sequence[str]) -> Surroundings:
        row = self._connection.execute(
            _SURVEY, {"user_id": user_id, "types": list(types), "providers": list(providers)}
        ).one()
        return Surroundings(
            now=row.now,
            types={
                name: TypeTerms(Lane(lane), OnUnknown(unknown)) for name, (lane, unknown) in row.types.items()
            },
            providers=frozenset(row.providers),
        )

    def remember(self, user_id: UUID, once: Once, answer: Sequence[Accepted]) -> Sequence[Accepted] | None:
        where = {"user_id": user_id, "route": once.route, "key": once.key}
        row = {
            **where,
            "request_hash": once.request_hash,
            "response": _answer_json(answer),
            "keep": once.keep,
        }
        self._connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        try:
            before = None
            while self._connection.execute(_REMEMBER, row).rowcount == 0:
                before = self._connection.execute(_RECALL, where).one_or_none()
                if before is not None and not before.expired:
                    break
                self._connection.execute(_FORGET, where)
                before = None
        except OperationalError as error:
            if getattr(error.orig, "pgcode", None) in (_LOCK_NOT_AVAILABLE, _DEADLOCK_DETECTED):
                raise KeyInFlight(once.key) from error
            raise
        self._connection.execute(text("SET LOCAL lock_timeout TO DEFAULT"))
        if before is None:
            return None
        if bytes(before.request_hash) != once.request_hash:
            raise KeyTaken(once.key)
        return [Accepted(UUID(email["id"]), Status(email["status"])) for email in before.response["emails"]]

    def add(self, sender: Sender, entries: Sequence[Entry]) -> None:
        # In the order of their keys, so that two requests that share contents do not wait for each other.
        contents = {row["hash"]: row for row in (content_row(e.submission) for e in entries)}
        self._connection.execute(_ADD_CONTENTS, [contents[key] for key in sorted(contents)])
        self._connection.execute(
            _ADD_JOBS, [job_row(e.submission, sender.api_key_id, e.status.value) for e in entries]
        )
        self._connection.execute(_ADD_TO_QUEUE, [_queue_row(e) for e in entries])
        self._connection.execute(
            _ADD_TO_TIMELINES,
            [{"id": e.note_id, "email_job_id": e.submission.id, "status": e.status.value} for e in entries],
        )


def _queue_row(entry: Entry) -> dict[str, Any]:
    submission = entry.submission
    return {
        "job_id": submission.id,
        "user_id": submission.user_id,
        "lane": submission.lane.value,
        "send_at": submission.send_at,
    }


def _answer_json(answer: Sequence[Accepted]) -> str:
    return json.dumps({"emails": [{"id": str(e.id), "status": e.status.value} for e in answer]})
