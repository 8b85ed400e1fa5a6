"""Which emails a question means, and how they are found without walking through all of a user's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text

from domain.lifecycle import Status

# `sending` is not stored: it is a waiting email that a worker holds.
SHOWN_STATUS: Final = """
    CASE WHEN q.run IS NOT NULL AND j.status IN ('scheduled', 'queued', 'deferred') THEN 'sending'
    ELSE j.status END
"""
QUEUED: Final = (Status.SCHEDULED, Status.QUEUED, Status.DEFERRED, Status.SENDING)
"""These have a row in the queue."""
FOLLOWED: Final = (
    Status.BOUNCED, Status.COMPLAINED, Status.UNKNOWN, Status.FAILED, Status.SUPPRESSED, Status.CANCELLED,
    Status.EXPIRED,
)  # fmt: skip
"""These have a row in `emails_by_status`."""


@dataclass(frozen=True, slots=True)
class EmailQuery:
    """Which emails are meant. None: not asked. `metadata`: a JSON object that theirs contains; `before` and `after`:
    ids below and above, where the page before ended.
    """

    status: Status | None = None
    email_type: str | None = None
    lane: str | None = None
    recipient: str | None = None
    tag: str | None = None
    campaign_id: UUID | None = None
    provider: str | None = None
    metadata: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    before: UUID | None = None
    after: UUID | None = None


_SKEW = timedelta(days=1)
_CONDITIONS = {
    "status": f"({SHOWN_STATUS}) = :status",
    "email_type": "j.email_type = :email_type",
    "lane": "j.lane = :lane",
    "recipient": "(j.envelope -> 'recipients') @> CAST(:recipient AS jsonb)",
    "tag": "j.tags @> ARRAY[CAST(:tag AS text)] AND j.tags <> '{}'",
    "campaign_id": "j.campaign_id = :campaign_id",
    "provider": "p.name = :provider",
    "metadata": "j.metadata @> CAST(:metadata AS jsonb) AND j.metadata <> '{}'",
    # Ids are in the order of time, by the clock of whoever took the email: a day off at most.
    "created_after": "j.created_at > :created_after AND j.id >= :id_after",
    "created_before": "j.created_at < :created_before AND j.id < :id_before",
    "before": "j.id < :before",
    "after": "j.id > :after",
}
_FOLLOWED = (
    "j.id IN (SELECT f.job_id FROM emails_by_status f WHERE f.user_id = :user_id AND f.status = :status)"
)

_FEW = 1000  # emails, which are found one by one faster than by walking back in time
_FEW_WAITING = text("""
    SELECT job_id FROM email_queue WHERE lane IN ('transactional', 'bulk') AND user_id = :user_id AND run IS NULL
    UNION ALL SELECT job_id FROM email_queue WHERE run IS NOT NULL AND user_id = :user_id
    LIMIT :most
""")
# In one walk through the index alone, which holds both.
_IN_INDEX: Final = ("email_type", "lane")
_PAGES: Final = ("before", "after")
_HAS = "SELECT j.id FROM email_jobs j WHERE j.user_id = :user_id AND"
_FEW_OF = {name: text(f"{_HAS} {_CONDITIONS[name]} LIMIT :most") for name in ("tag", "metadata")}


def conditions_of(query: EmailQuery) -> tuple[str, dict[str, Any]]:
    """What narrows a query over `j`, `q` and `p`, of the user `:user_id`, down to these emails, and its parameters."""
    asked = {name: getattr(query, name) for name in _CONDITIONS}
    values = {name: value for name, value in asked.items() if value is not None}
    shown = "".join(f" AND {_CONDITIONS[name]}" for name in values)
    if query.status in FOLLOWED:
        shown += f" AND {_FOLLOWED}"
    if query.recipient is not None:
        values["recipient"] = json.dumps([{"email": query.recipient}])
    if query.created_after is not None:
        values["id_after"] = _first_id(query.created_after - _SKEW)
    if query.created_before is not None:
        values["id_before"] = _first_id(query.created_before + _SKEW)
    return shown, values


def find_few(connection: Connection, user_id: UUID, query: EmailQuery) -> Sequence[str] | None:
    """The emails that one condition of the query alone leaves, where these are few; None: many, or it has no such
    condition.

    The planner takes a rare tag for a frequent one, and walks back in time to find 25 of it: through all emails.
    """
    values: dict[str, Any] = {"user_id": user_id, "most": _FEW + 1}
    asked = _FEW_WAITING if query.status in QUEUED else None
    for name, statement in _FEW_OF.items():
        if asked is None and getattr(query, name) is not None:
            asked, values[name] = statement, getattr(query, name)
    if asked is None:
        return None
    ids = [str(email_id) for email_id in connection.execute(asked, values).scalars()]
    return ids if len(ids) <= _FEW else None


def find_newest(connection: Connection, user_id: UUID, query: EmailQuery, limit: int) -> Sequence[str] | None:
    """The newest emails of a query that asks for a type or a lane and nothing else; None: it asks for more.

    Of a type that few emails have the user's part of an index is read to its end, but nothing of the wide table.
    """
    asked = {name for name in _CONDITIONS if getattr(query, name) is not None}
    if not asked & {*_IN_INDEX} or asked - {*_IN_INDEX, *_PAGES}:
        return None
    conditions, values = conditions_of(query)
    statement = text(f"{_HAS} true {conditions} ORDER BY j.id DESC LIMIT :limit")
    found = connection.execute(statement, {**values, "user_id": user_id, "limit": limit})
    return [str(email_id) for email_id in found.scalars()]


def _first_id(at: datetime) -> UUID:
    """The smallest UUIDv7 of a time (RFC 9562, 5.7)."""
    return UUID(int=max(0, int(at.timestamp() * 1000)) << 80)
