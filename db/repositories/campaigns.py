"""Campaigns, and halts: what is not to be sent for now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from db.statements import Prepared

_COLUMNS = """
    id, user_id, name, status, status_reason, per_minute, spend_cap, max_complaints, max_bounces, min_sent, created_at,
    updated_at
"""
_LIST = text(f"""
    SELECT {_COLUMNS} FROM campaigns
    WHERE user_id = :user_id AND (CAST(:before AS uuid) IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit
""")  # noqa: S608  # constants of this module only
_GET = text(f"SELECT {_COLUMNS} FROM campaigns WHERE user_id = :user_id AND id = :id")  # noqa: S608
_LOCK = text(f"SELECT {_COLUMNS} FROM campaigns WHERE user_id = :user_id AND id = :id FOR UPDATE")  # noqa: S608
_WRITE = text("""
    INSERT INTO campaigns (id, user_id, name, per_minute, spend_cap, max_complaints, max_bounces, min_sent)
    VALUES (:id, :user_id, :name, :per_minute, :spend_cap, :max_complaints, :max_bounces, :min_sent)
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, per_minute = excluded.per_minute,
        spend_cap = excluded.spend_cap, max_complaints = excluded.max_complaints,
        max_bounces = excluded.max_bounces, min_sent = excluded.min_sent, updated_at = mm_now()
""")
_SET_STATUS = text("""
    UPDATE campaigns SET status = :status, status_reason = :reason, updated_at = mm_now() WHERE id = :id
""")

# Bounces are of the address where they are hard; complaints and the rest are what the emails are.
_PROGRESS = text("""
    WITH mails AS (
        SELECT id, status, sent_at FROM email_jobs WHERE campaign_id = :id
    )
    SELECT (SELECT jsonb_object_agg(status, emails) FROM (
            SELECT status, count(*) AS emails FROM mails GROUP BY status) s) AS statuses,
        (SELECT count(*) FROM mails WHERE sent_at > mm_now() - interval '5 minutes') AS lately,
        (SELECT count(DISTINCT l.email_job_id) FROM mails m JOIN email_status l ON l.email_job_id = m.id
            WHERE m.status = 'bounced' AND l.detail->>'bounce' = 'hard') AS hard_bounces,
        (SELECT coalesce(sum(a.estimated_cost), 0) FROM mails m JOIN delivery_attempts a ON a.job_id = m.id
            WHERE a.outcome IS DISTINCT FROM 'not_sent') AS spent
""")

_BOOK = Prepared(
    "book_slots",
    """
    UPDATE campaigns
    SET next_slot = greatest(coalesce(next_slot, mm_now()), mm_now()) + :emails * interval '1 minute' / per_minute
    WHERE id = :id
    RETURNING next_slot - :emails * interval '1 minute' / per_minute
    """,
    id="uuid",
    emails="int",
)

_HALTED = Prepared(
    "halted",
    """
    SELECT j.id FROM email_jobs j JOIN halts h
        ON (h.user_id IS NULL OR h.user_id = j.user_id) AND CASE h.kind
            WHEN 'campaign' THEN h.value = CAST(j.campaign_id AS text)
            WHEN 'user' THEN h.user_id = j.user_id
            WHEN 'type' THEN h.value = j.email_type
            ELSE h.value = j.lane END
    WHERE j.id = ANY(:jobs)
    """,
    jobs="uuid[]",
)
_HALTS = text("""
    SELECT id, user_id, kind, value, reason, created_at FROM halts
    WHERE kind <> 'campaign' AND (CAST(:user_id AS uuid) IS NULL OR user_id = :user_id)
    ORDER BY id DESC
""")
_HALT = text("""
    INSERT INTO halts (id, user_id, kind, value, reason) VALUES (:id, :user_id, :kind, :value, :reason)
""")
_LIFT_CAMPAIGN = text("DELETE FROM halts WHERE kind = 'campaign' AND value = CAST(:campaign AS text)")
_LIFT = text("""
    DELETE FROM halts WHERE id = :id AND kind <> 'campaign'
        AND (CAST(:user_id AS uuid) IS NULL OR user_id = :user_id)
""")

# What was put off is due again: never what is planned for later, nor what waits for evidence.
_PUT_OFF = """
    q.run IS NULL AND NOT q.held AND q.due_at > mm_now() AND (j.send_at IS NULL OR j.send_at <= mm_now())
"""
_WAKE = text(f"""
    UPDATE email_queue SET due_at = mm_now() WHERE job_id IN (
        SELECT q.job_id FROM email_queue q JOIN email_jobs j ON j.id = q.job_id
        WHERE {_PUT_OFF} AND j.id > :after ORDER BY j.id LIMIT :rows FOR UPDATE OF q SKIP LOCKED)
    RETURNING job_id
""")  # noqa: S608  # constants of this module only
_WAKE_CAMPAIGN = text(f"""
    WITH next AS (
        SELECT q.job_id, row_number() OVER (ORDER BY j.id) - 1 AS place
        FROM (SELECT q.job_id FROM email_queue q JOIN email_jobs j ON j.id = q.job_id
            WHERE j.campaign_id = :campaign AND {_PUT_OFF} AND j.id > :after
            ORDER BY j.id LIMIT :rows FOR UPDATE OF q SKIP LOCKED) q
        JOIN email_jobs j ON j.id = q.job_id
    )
    UPDATE email_queue q SET due_at = mm_now()
        + coalesce((:begun + n.place) * interval '1 minute' / CAST(:per_minute AS int), interval '0')
    FROM next n WHERE q.job_id = n.job_id
    RETURNING q.job_id
""")  # noqa: S608  # as above

_TO_WATCH = text(f"""
    SELECT {_COLUMNS} FROM campaigns c WHERE status <> 'paused' AND EXISTS (
        SELECT FROM email_jobs j JOIN email_queue q ON q.job_id = j.id WHERE j.campaign_id = c.id)
    ORDER BY id
""")  # noqa: S608  # as above


@dataclass(frozen=True, slots=True)
class Plan:
    """What an owner says of a campaign. `per_minute` None: as fast as it goes. The shares are of what was sent, and
    count from `min_sent` on.
    """

    name: str
    per_minute: int | None
    spend_cap: Decimal | None
    max_complaints: float
    max_bounces: float
    min_sent: int


class Campaigns:
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

    def write(self, id: UUID, user_id: UUID, plan: Plan) -> None:
        """Make a campaign, or change its plan."""
        self._connection.execute(_WRITE, {"id": id, "user_id": user_id, **asdict(plan)})

    def set_status(self, id: UUID, status: str, reason: str | None, halt_id: UUID) -> None:
        """What is not active is not sent, from the next claim on."""
        self._connection.execute(_SET_STATUS, {"id": id, "status": status, "reason": reason})
        self._connection.execute(_LIFT_CAMPAIGN, {"campaign": id})
        if status != "active":
            self.halt(halt_id, None, "campaign", str(id), reason or "")

    def progress(self, id: UUID) -> RowMapping:
        """Emails by status, what was sent in the last five minutes, hard bounces, and what was spent."""
        return self._connection.execute(_PROGRESS, {"id": id}).mappings().one()

    def book(self, campaign_id: UUID, emails: int) -> datetime:
        """domain.ports.IntakeStore.book."""
        at: datetime = _BOOK(self._connection, id=str(campaign_id), emails=emails).scalar()
        return at

    def to_watch(self) -> Sequence[RowMapping]:
        """Campaigns with emails that still move, except those that are paused."""
        return self._connection.execute(_TO_WATCH).mappings().all()

    def halted(self, job_ids: Sequence[UUID]) -> Collection[UUID]:
        """domain.ports.DeliveryStore.halted."""
        return frozenset(_HALTED(self._connection, jobs=job_ids).scalars())

    def halts(self, user_id: UUID | None) -> Sequence[RowMapping]:
        """Those of a user; None: all. Newest first, without those of campaigns."""
        return self._connection.execute(_HALTS, {"user_id": user_id}).mappings().all()

    def halt(self, id: UUID, user_id: UUID | None, kind: str, value: str, reason: str) -> None:
        values = {"id": id, "user_id": user_id, "kind": kind, "value": value, "reason": reason}
        self._connection.execute(_HALT, values)

    def lift(self, id: UUID, user_id: UUID | None) -> bool:
        """`user_id`: whose it must be; None: anybody's. False: there is none."""
        return self._connection.execute(_LIFT, {"id": id, "user_id": user_id}).rowcount > 0

    def wake(self, after: UUID, rows: int) -> Sequence[UUID]:
        """Have what was put off looked at again; returns the emails, at most so many, above the id `after`."""
        found = self._connection.execute(_WAKE, {"after": after, "rows": rows})
        return sorted(row.job_id for row in found)

    def wake_campaign(
        self, campaign: UUID, per_minute: int | None, begun: int, after: UUID, rows: int
    ) -> Sequence[UUID]:
        """As `wake`, of a campaign; `begun`: how many went before them, where it is throttled."""
        values = {
            "campaign": campaign,
            "per_minute": per_minute,
            "begun": begun,
            "after": after,
            "rows": rows,
        }
        return sorted(row.job_id for row in self._connection.execute(_WAKE_CAMPAIGN, values))
