"""Campaigns, and halts: what is not to be sent for now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from db.repositories.claims import HELD, IS_HELD
from db.statements import Prepared
from domain.stats import DAY_MINUTES, Dimension

_COLUMNS = """
    id, user_id, name, status, status_reason, per_minute, spend_cap, max_complaints, max_bounces, min_sent, created_at,
    updated_at
"""
_LIST = text(f"""
    SELECT {_COLUMNS} FROM campaigns
    WHERE user_id = :user_id AND (CAST(:before AS uuid) IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit
""")  # noqa: S608  # constants of this module only
_GET = text(f"SELECT {_COLUMNS} FROM campaigns WHERE user_id = :user_id AND id = :id")  # noqa: S608
_LOCK = text(f"SELECT {_COLUMNS} FROM campaigns WHERE user_id = :user_id AND id = :id FOR NO KEY UPDATE")  # noqa: S608
# Requests that are accepting emails of it keep it until they have ended (db.repositories.intake), and are waited for;
# those that come after wait in turn, and with them all that share their transactions.
_CLOSE = text("SELECT id FROM campaigns WHERE user_id = :user_id AND id = :id FOR UPDATE")
_WAITING = text("""
    SELECT count(*) FROM email_queue q JOIN email_jobs j ON j.id = q.job_id
    WHERE j.campaign_id = :id AND j.id > :after
""")
_ACCEPTING: Final = (
    60_000  # ms; more than a transaction that accepts emails may take, and clocks may differ by
)
_DELETE = text("DELETE FROM campaigns WHERE id = :id")
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

# Of sums, and of what is still to be added to them: the emails themselves are many, and this is asked often. Bounces
# are of the address where they are hard; complaints and the rest are what the emails are. What may have been sent may
# be charged.
_ITS_CAMPAIGN = (
    "(SELECT campaign_id FROM email_jobs WHERE id = a.job_id OFFSET 0) j"  # so that it begins with `a`
)
_PROGRESS = text(f"""
    WITH mine AS (
        SELECT status, slot, emails FROM campaign_counts WHERE campaign_id = :id
        UNION ALL SELECT status, slot, change FROM campaign_changes WHERE campaign_id = :id
    ), lately AS (
        SELECT slot, sum(emails) AS emails FROM mine
        WHERE slot > timestamptz 'epoch' AND slot > mm_now() - interval '5 minutes'
        GROUP BY slot HAVING sum(emails) > 0
    ), added AS (
        SELECT s.accepted, s.hard_bounced, s.spend FROM campaigns c JOIN email_stats s ON s.user_id = c.user_id
            AND s.dimension = '{Dimension.CAMPAIGN}' AND s.grain = {DAY_MINUTES}
            AND s.slot >= date_trunc('day', c.created_at, 'UTC') AND s.value = CAST(c.id AS text)
        WHERE c.id = :id
        UNION ALL
        SELECT CASE WHEN d.measure = 'accepted' THEN d.change ELSE 0 END,
            CASE WHEN d.measure = 'hard_bounced' THEN d.change ELSE 0 END,
            CASE WHEN d.measure <> 'hard_bounced' THEN d.change * a.estimated_cost ELSE 0 END
        FROM stats_due d CROSS JOIN LATERAL unnest(d.attempts) AS u(id)
        CROSS JOIN LATERAL (SELECT job_id, estimated_cost FROM delivery_attempts WHERE id = u.id OFFSET 0) a
        CROSS JOIN LATERAL {_ITS_CAMPAIGN}
        WHERE d.measure IN ('accepted', 'unknown', 'hard_bounced') AND j.campaign_id = :id
        UNION ALL
        SELECT 0, 0, a.estimated_cost
        FROM (SELECT job_id, estimated_cost FROM delivery_attempts WHERE outcome IS NULL OFFSET 0) a
        CROSS JOIN LATERAL {_ITS_CAMPAIGN} WHERE j.campaign_id = :id
    )
    SELECT (SELECT jsonb_object_agg(status, emails) FROM (
            SELECT status, sum(emails) AS emails FROM mine WHERE slot = timestamptz 'epoch'
            GROUP BY status HAVING sum(emails) <> 0) s) AS statuses,
        (SELECT CAST(coalesce(sum(emails), 0) AS int) FROM lately) AS lately,
        (SELECT CAST(coalesce(EXTRACT(epoch FROM mm_now() - min(slot)), 0) AS float) FROM lately) AS span,
        (SELECT CAST(coalesce(sum(accepted), 0) AS int) FROM added) AS taken,
        (SELECT CAST(coalesce(sum(hard_bounced), 0) AS int) FROM added) AS hard_bounces,
        (SELECT coalesce(sum(spend), 0) FROM added) AS spent
""")  # noqa: S608  # constants of these modules only
_LOOK_AGAIN = text("UPDATE campaigns SET updated_at = mm_now() WHERE id = :id")
_FORGET_COUNTS = text("DELETE FROM campaign_counts WHERE campaign_id = :id")

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

# Gives the `picked` (job_id, campaign_id) their places, one after the other; at once where there is no pace. Two who
# book for several campaigns lock them in one order.
_PLACING = """
    locked AS (
        SELECT id FROM campaigns WHERE id IN (SELECT campaign_id FROM picked) AND per_minute IS NOT NULL
        ORDER BY id FOR NO KEY UPDATE
    ), booked AS (
        UPDATE campaigns c SET next_slot = greatest(coalesce(c.next_slot, mm_now()), mm_now())
            + n.emails * interval '1 minute' / c.per_minute
        FROM locked JOIN (SELECT campaign_id, count(*) AS emails FROM picked GROUP BY 1) n ON n.campaign_id = locked.id
        WHERE c.id = locked.id
        RETURNING c.id, c.next_slot - n.emails * interval '1 minute' / c.per_minute AS first, c.per_minute
    )
    UPDATE email_queue q
    SET placed = true, due_at = coalesce(b.first + p.place * interval '1 minute' / b.per_minute, mm_now())
    FROM (
        SELECT job_id, campaign_id, row_number() OVER (PARTITION BY campaign_id ORDER BY job_id) - 1 AS place
        FROM picked
    ) p LEFT JOIN booked b ON b.id = p.campaign_id
    WHERE q.job_id = p.job_id
    RETURNING q.job_id, EXTRACT(epoch FROM q.due_at - mm_now()) AS seconds
"""
_PLACE = Prepared(
    "place",
    f"""
    WITH picked AS (
        SELECT q.job_id, j.campaign_id FROM email_queue q JOIN email_jobs j ON j.id = q.job_id
        WHERE q.job_id = ANY(:jobs) AND {IS_HELD} AND NOT q.placed FOR UPDATE OF q
    ), {_PLACING}
    """,  # noqa: S608  # constants of this module only
    **HELD,
    jobs="uuid[]",
)

_HALT_CLAIMED = Prepared(
    "halt_claimed",
    f"""
    WITH halted AS (
    SELECT j.id, j.campaign_id FROM email_jobs j JOIN halts h
        ON (h.user_id IS NULL OR h.user_id = j.user_id) AND CASE h.kind
            WHEN 'campaign' THEN h.value = CAST(j.campaign_id AS text)
            WHEN 'user' THEN h.user_id = j.user_id
            WHEN 'type' THEN h.value = j.email_type
            ELSE h.value = j.lane END
    WHERE j.id = ANY(:jobs)
    ), unplaced AS (
        UPDATE email_queue q SET placed = false FROM halted
        WHERE q.job_id = halted.id AND halted.campaign_id IS NOT NULL AND {IS_HELD}
    ), called_off AS (
        SELECT id FROM campaigns WHERE id IN (SELECT campaign_id FROM halted) AND status = 'cancelled'
        ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
    ), seen AS (  -- there is still something of them to take back
        UPDATE campaigns SET updated_at = mm_now() WHERE id IN (SELECT id FROM called_off)
    )
    SELECT id FROM halted
    """,  # noqa: S608  # constants of these modules only
    **HELD,
    jobs="uuid[]",
)
# Of a user; or of anybody, but what test keys try out.
_HALTED_BY = """
    (user_id = :user_id OR CAST(:user_id AS uuid) IS NULL AND NOT EXISTS (
        SELECT FROM users u WHERE u.id = halts.user_id AND u.test_of IS NOT NULL))
"""
_HALTS = text(f"""
    SELECT id, user_id, kind, value, reason, created_at FROM halts
    WHERE kind <> 'campaign' AND {_HALTED_BY}
    ORDER BY id DESC
""")  # noqa: S608  # constants of this module only
_HALT = text("""
    INSERT INTO halts (id, user_id, kind, value, reason) VALUES (:id, :user_id, :kind, :value, :reason)
""")
_LIFT_CAMPAIGN = text("DELETE FROM halts WHERE kind = 'campaign' AND value = CAST(:campaign AS text)")
_LIFT = text(f"DELETE FROM halts WHERE id = :id AND kind <> 'campaign' AND {_HALTED_BY}")  # noqa: S608  # as above

# What was put off is due again: never what is planned for later, nor what waits for evidence, nor for its place.
_PUT_OFF = """
    q.run IS NULL AND NOT q.held AND q.due_at > mm_now() AND (j.send_at IS NULL OR j.send_at <= mm_now())
"""
_WAKE = text(f"""
    WITH picked AS MATERIALIZED (
        SELECT q.job_id FROM email_queue q JOIN email_jobs j ON j.id = q.job_id
        WHERE {_PUT_OFF} AND (j.campaign_id IS NULL OR NOT q.placed) AND j.id > :after
            AND (CAST(:user_id AS uuid) IS NULL OR q.user_id = :user_id)
        ORDER BY j.id LIMIT :rows FOR UPDATE OF q SKIP LOCKED)
    UPDATE email_queue q SET due_at = mm_now() FROM picked WHERE q.job_id = picked.job_id
    RETURNING q.job_id
""")  # noqa: S608  # constants of this module only
_WAKE_CAMPAIGN = text(f"""
    WITH picked AS (
        SELECT q.job_id, j.campaign_id FROM email_queue q JOIN email_jobs j ON j.id = q.job_id
        WHERE j.campaign_id = :campaign AND {_PUT_OFF} AND j.id > :after
        ORDER BY j.id LIMIT :rows FOR UPDATE OF q SKIP LOCKED
    ), {_PLACING}
""")  # noqa: S608  # as above
_REBEGIN = text("UPDATE campaigns SET next_slot = NULL WHERE id = :id")

# What has just been tried or told of, also where nothing waits any more: emails may come singly, and go before anybody
# looks; bounces come after them. Of the cancelled those that a worker came across (`_HALT_CLAIMED`) a moment ago, or
# that were cancelled then. No campaign's emails are gone through: those of all campaigns that ever were are many.
_TO_WATCH = text(f"""
    SELECT {_COLUMNS} FROM campaigns c
    WHERE status = 'cancelled' AND updated_at > mm_now() - :seconds * interval '1 second'
    OR status = 'active' AND id IN (
        SELECT j.campaign_id FROM delivery_attempts a JOIN email_jobs j ON j.id = a.job_id
        WHERE a.opened_at > mm_now() - :seconds * interval '1 second'
        UNION SELECT j.campaign_id FROM inbound_events e JOIN email_jobs j ON j.id = e.job_id
        WHERE e.received_at > mm_now() - :seconds * interval '1 second')
    ORDER BY random()  -- where there is not time for all, each has its turn
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

    def delete(self, user_id: UUID, id: UUID, now: UUID) -> int | None:
        """Delete it, unless some of its emails are not at their end: returns how many. None: there is none.

        Its emails stay. `now`: an id of this moment. All emails are looked through before anybody is kept waiting, and
        only those that may have come meanwhile after that.
        """
        if self.get(user_id, id) is None:
            return None
        before = UUID(int=max(0, (now.int >> 80) - _ACCEPTING) << 80)
        waiting = self._waiting(id, UUID(int=0))
        if not waiting:
            if self._connection.execute(_CLOSE, {"user_id": user_id, "id": id}).one_or_none() is None:
                return None
            waiting = self._waiting(id, before)
        if not waiting:
            self._connection.execute(_LIFT_CAMPAIGN, {"campaign": id})
            self._connection.execute(_FORGET_COUNTS, {"id": id})
            self._connection.execute(_DELETE, {"id": id})
        return waiting

    def _waiting(self, id: UUID, after: UUID) -> int:
        return int(self._connection.execute(_WAITING, {"id": id, "after": after}).scalar_one())

    def set_status(self, id: UUID, status: str, reason: str | None, halt_id: UUID) -> None:
        """What is not active is not sent, from the next claim on."""
        self._connection.execute(_SET_STATUS, {"id": id, "status": status, "reason": reason})
        self._connection.execute(_LIFT_CAMPAIGN, {"campaign": id})
        if status != "active":
            self.halt(halt_id, None, "campaign", str(id), reason or "")

    def progress(self, id: UUID) -> RowMapping:
        """Emails by status, what was sent in the last five minutes and how long ago the first of it, hard bounces, and
        what was spent.
        """
        return self._connection.execute(_PROGRESS, {"id": id}).mappings().one()

    def book(self, campaign_id: UUID, emails: int) -> datetime:
        """domain.ports.IntakeStore.book."""
        at: datetime = _BOOK(self._connection, id=str(campaign_id), emails=emails).scalar()
        return at

    def to_watch(self, seconds: float) -> Sequence[RowMapping]:
        """Campaigns of which an email was tried or told of in so many last seconds, and those that were cancelled then,
        or of which a worker still had something then; except those that are paused.
        """
        return self._connection.execute(_TO_WATCH, {"seconds": seconds}).mappings().all()

    def look_again(self, id: UUID) -> None:
        """Have it count as changed just now, so that `to_watch` gives it again."""
        self._connection.execute(_LOOK_AGAIN, {"id": id})

    def place(self, run: UUID, token: int, job_ids: Collection[UUID]) -> Mapping[UUID, float]:
        """domain.ports.DeliveryStore.place."""
        rows = _PLACE(self._connection, run=str(run), token=token, jobs=job_ids)
        return {row.job_id: float(row.seconds) for row in rows}

    def halt_claimed(self, run: UUID, token: int, job_ids: Collection[UUID]) -> Collection[UUID]:
        """domain.ports.DeliveryStore.halt."""
        return frozenset(_HALT_CLAIMED(self._connection, run=str(run), token=token, jobs=job_ids).scalars())

    def halts(self, user_id: UUID | None) -> Sequence[RowMapping]:
        """Those of a user; None: all. Newest first, without those of campaigns."""
        return self._connection.execute(_HALTS, {"user_id": user_id}).mappings().all()

    def halt(self, id: UUID, user_id: UUID | None, kind: str, value: str, reason: str) -> None:
        values = {"id": id, "user_id": user_id, "kind": kind, "value": value, "reason": reason}
        self._connection.execute(_HALT, values)

    def lift(self, id: UUID, user_id: UUID | None) -> bool:
        """`user_id`: whose it must be; None: anybody's. False: there is none."""
        return self._connection.execute(_LIFT, {"id": id, "user_id": user_id}).rowcount > 0

    def wake(self, user_id: UUID | None, after: UUID, rows: int) -> Sequence[UUID]:
        """Have what was put off of a user (None: of everybody) looked at again; returns the emails, at most so many,
        above the id `after`. Those of campaigns that have their place in time keep it.
        """
        found = self._connection.execute(_WAKE, {"user_id": user_id, "after": after, "rows": rows})
        return sorted(row.job_id for row in found)

    def rebegin(self, id: UUID) -> None:
        """Forget which places in time are taken: all are given anew (`wake_campaign`)."""
        self._connection.execute(_REBEGIN, {"id": id})

    def wake_campaign(self, campaign: UUID, after: UUID, rows: int) -> Sequence[UUID]:
        """As `wake`, of a campaign; where it is throttled each gets a place in time."""
        values = {"campaign": campaign, "after": after, "rows": rows}
        return sorted(row.job_id for row in self._connection.execute(_WAKE_CAMPAIGN, values))
