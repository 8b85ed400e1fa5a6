"""Emails that are sent again: which may be, and which were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from db.mapping import stored_files, submission
from db.repositories.selection import EmailQuery, conditions_of
from db.statements import Prepared, json_text
from domain.intake import AlreadyResent
from domain.resending import Resendable

# The body, and every file.
_KEPT = """
    (c.hash IS NOT NULL AND NOT EXISTS (
        SELECT FROM jsonb_array_elements(j.envelope->'files') f WHERE NOT EXISTS (
            SELECT FROM email_attachments l WHERE l.job_id = j.id AND l.hash = decode(f->>'hash', 'hex'))))
"""

# `retried`: what became of it is unknown, and the service itself will send it again. `campaign`: to
# which it belongs still.
_FOUND = f"""
    SELECT j.*, c.text, c.html, {_KEPT} AS kept, r.job_id AS resent_as,
        coalesce(j.expires_at <= mm_now(), false) AS expired,
        j.status = 'unknown' AND j.on_unknown = 'resend' AND q.job_id IS NOT NULL AS retried,
        g.id AS campaign, coalesce(g.status = 'cancelled', false) AS called_off
    FROM email_jobs j
    LEFT JOIN campaigns g ON g.id = j.campaign_id
    LEFT JOIN email_queue q ON q.job_id = j.id
    LEFT JOIN providers p ON p.id = j.provider_used
    LEFT JOIN email_contents c ON c.user_id = j.user_id AND c.hash = j.content_hash
    LEFT JOIN resends r ON r.resend_of = j.id
    WHERE j.user_id = :user_id
"""  # noqa: S608  # of constants only

_OPEN = f"""
    AND j.status IN ('failed', 'unknown') AND r.job_id IS NULL
    AND j.id IN (SELECT f.job_id FROM emails_by_status f
        WHERE f.user_id = :user_id AND f.status IN ('failed', 'unknown'))
    AND NOT (j.status = 'unknown' AND j.on_unknown = 'resend' AND q.job_id IS NOT NULL)
    AND {_KEPT} AND (j.expires_at IS NULL OR j.expires_at > mm_now())
"""  # noqa: S608  # as above

_KEEP = Prepared(
    "keep_resends",
    """
    INSERT INTO resends (resend_of, job_id)
    SELECT * FROM unnest(:olds, :news) AS r(old, new) ORDER BY old
    ON CONFLICT DO NOTHING
    RETURNING resend_of
    """,
    olds="uuid[]",
    news="uuid[]",
)


class Resends:
    """Every query is bound to one user."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def one(self, user_id: UUID, id: UUID) -> Resendable | None:
        """An email, and what can be said against sending it again. None: there is no such email."""
        row = self._connection.execute(text(f"{_FOUND} AND j.id = :id"), {"user_id": user_id, "id": id})
        found = row.mappings().one_or_none()
        return None if found is None else _resendable(dict(found))

    def count(self, user_id: UUID, query: EmailQuery) -> int:
        """How many of these may be sent again."""
        conditions, values = conditions_of(query)
        counting = text(f"SELECT count(*) FROM ({_FOUND} {_OPEN} {conditions}) f")  # noqa: S608  # constants
        return int(self._connection.execute(counting, {**values, "user_id": user_id}).scalar_one())

    def some(self, user_id: UUID, query: EmailQuery, most: int) -> Sequence[Resendable]:
        """Those of these that may be sent again, oldest first."""
        conditions, values = conditions_of(query)
        finding = text(f"{_FOUND} {_OPEN} {conditions} ORDER BY j.id LIMIT :most")
        rows = self._connection.execute(finding, {**values, "user_id": user_id, "most": most})
        return [_resendable(dict(row)) for row in rows.mappings()]

    def keep(self, successors: Sequence[tuple[UUID, UUID]]) -> None:
        """Note of each email which one takes its place. Raises domain.intake.AlreadyResent, also where two would:
        requests that ask for the same share a transaction.
        """
        olds = [old for old, _ in successors]
        kept = {
            row.resend_of for row in _KEEP(self._connection, olds=olds, news=[new for _, new in successors])
        }
        if twice := {old for old, times in Counter(olds).items() if times > 1 or old not in kept}:
            raise AlreadyResent(frozenset(twice))


def _resendable(row: dict[str, Any]) -> Resendable:
    return Resendable(
        email=submission(
            SimpleNamespace(**row | {"options": json_text(row["options"])}), row["text"], row["html"]
        ),
        status=row["status"],
        kept=row["kept"],
        expired=row["expired"],
        retried=row["retried"],
        resent_as=row["resent_as"],
        called_off=row["called_off"],
        campaign_id=row["campaign"],
        files=stored_files(row["envelope"]),
    )
