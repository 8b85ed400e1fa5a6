"""What links of emails are proved by, and which attempt they tell of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from db.statements import Prepared

_SECRET = Prepared("link_secret", "SELECT link_secret FROM users WHERE id = :user", user="uuid")
# The last attempt that may have arrived. Who reads an email that several received is not known.
_OPENED = Prepared(
    "link_followed",
    """
    SELECT a.id, a.provider_id, mm_now() AS now,
        CASE WHEN jsonb_array_length(j.envelope->'recipients') = 1
            THEN j.envelope->'recipients'->0->>'email' END AS recipient
    FROM email_jobs j JOIN delivery_attempts a ON a.job_id = j.id
    WHERE j.id = :email AND j.user_id = :user AND a.outcome IS DISTINCT FROM 'not_sent'
    ORDER BY a.opened_at DESC, a.id DESC LIMIT 1
    """,
    email="uuid",
    user="uuid",
)


@dataclass(frozen=True, slots=True)
class Opened:
    """The attempt that an email was sent with. `recipient`: where it has one alone. `now`: the database's time."""

    attempt_id: UUID
    provider_id: UUID
    recipient: str | None
    now: datetime


class TrackedEmails:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def secret(self, user_id: UUID) -> bytes | None:
        """What proves the links of an account's emails; None: there is no such account."""
        found = _SECRET(self._connection, user=str(user_id)).scalar()
        return None if found is None else bytes(found)

    def opened(self, user_id: UUID, email_id: UUID) -> Opened | None:
        """None: the email was not sent, or is not kept any more."""
        row = _OPENED(self._connection, email=str(email_id), user=str(user_id)).first()
        return None if row is None else Opened(row.id, row.provider_id, row.recipient, row.now)
