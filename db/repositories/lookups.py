"""Which emails in doubt are to be looked for at providers, and how often they were."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from domain.lookups import Sought
from domain.recovery import HELD_BECAUSE

_FIRST_PAUSE: Final = 10  # seconds after a doubt; each further pause is so many times as long
_GROWTH: Final = 3
_OF_EACH: Final = 5  # looks at one account in a row
_AT_ONCE: Final = 20  # in all

_PAGE: Final = 200  # emails that a recovery holds, looked at for one account at a time
_BEGIN: Final = UUID(int=0)

# Attempts in doubt; and what a recovery holds, at every account that its user may send through, since the attempts of
# the world that was lost may be missing. Held emails may be very many: each account goes through them by pages, in the
# order of their ids, and begins anew at their end (`lookup_cursors`). Two that ask at once: the second one finds
# another number of looks.
_TAKE = text(f"""
    WITH accounts AS (
        SELECT p.id, p.user_id, c.next FROM providers p LEFT JOIN lookup_cursors c ON c.provider_id = p.id
        WHERE p.id = ANY(CAST(:by_email AS uuid[]))
            AND EXISTS (SELECT FROM recoveries WHERE at > mm_now() - interval '1 day')
    ), page AS (
        SELECT a.id AS provider_id, a.user_id, h.job_id, row_number() OVER (PARTITION BY a.id ORDER BY h.job_id) AS row
        FROM accounts a CROSS JOIN LATERAL (
            SELECT lane.* FROM unnest(ARRAY['transactional', 'bulk']) AS l(lane) CROSS JOIN LATERAL (
                SELECT job_id FROM email_queue
                WHERE held AND run IS NULL AND lane = l.lane AND job_id >= coalesce(a.next, :begin)
                ORDER BY job_id LIMIT {_PAGE}) lane
            ORDER BY job_id LIMIT {_PAGE}) h
    ), doubtful AS (
        SELECT a.id AS about, a.provider_id, a.job_id, a.id AS attempt_id, a.opened_at AS since, a.settled_at AS from_at
        FROM delivery_attempts a
        WHERE a.outcome = 'unknown' AND a.settled_at > mm_now() - interval '1 day'
            AND a.provider_id = ANY(CAST(:by_attempt AS uuid[]))
        UNION ALL
        SELECT j.id, p.provider_id, j.id, NULL, r.since, r.at
        FROM page p JOIN email_jobs j ON j.id = p.job_id AND (p.user_id IS NULL OR p.user_id = j.user_id)
        CROSS JOIN LATERAL (
            SELECT min(since) AS since, max(at) AS at FROM recoveries WHERE j.created_at <= at
                AND at > mm_now() - interval '1 day') r
        WHERE j.status_reason = :restored AND r.at IS NOT NULL
    ), due AS (
        SELECT d.*, coalesce(l.looks, 0) AS looks,
            GREATEST(d.from_at, l.looked_at)
                + {_FIRST_PAUSE} * power({_GROWTH}, coalesce(l.looks, 0)) * interval '1 second' AS due_at
        FROM doubtful d LEFT JOIN lookups l ON l.about = d.about AND l.provider_id = d.provider_id
    ), few AS (
        SELECT *, row_number() OVER (PARTITION BY provider_id ORDER BY due_at, about) AS place
        FROM due WHERE due_at <= mm_now()
    ), taken AS (
        INSERT INTO lookups (about, provider_id, looks, looked_at)
        SELECT about, provider_id, looks + 1, mm_now() FROM few WHERE place <= {_OF_EACH}
        ORDER BY place, about, provider_id LIMIT {_AT_ONCE}
        ON CONFLICT (about, provider_id) DO UPDATE SET looks = excluded.looks, looked_at = excluded.looked_at
            WHERE lookups.looks = excluded.looks - 1
        RETURNING about, provider_id
    ), untaken AS (
        SELECT DISTINCT ON (f.provider_id) f.provider_id, f.about AS first FROM few f
        LEFT JOIN taken t ON t.about = f.about AND t.provider_id = f.provider_id
        WHERE f.attempt_id IS NULL AND t.about IS NULL ORDER BY f.provider_id, f.about
    ), turned AS (
        INSERT INTO lookup_cursors (provider_id, next)
        SELECT a.id, coalesce(u.first, p.job_id)
        FROM accounts a LEFT JOIN untaken u ON u.provider_id = a.id
        LEFT JOIN page p ON p.provider_id = a.id AND p.row = {_PAGE}  -- less of it: that was the end
        ORDER BY a.id
        ON CONFLICT (provider_id) DO UPDATE SET next = excluded.next
    )
    SELECT f.provider_id, f.job_id, f.attempt_id, f.since, j.envelope
    FROM taken t JOIN few f ON f.about = t.about AND f.provider_id = t.provider_id
    JOIN email_jobs j ON j.id = f.job_id ORDER BY f.due_at, f.about
""")  # noqa: S608  # constants of this module only

_GIVE_BACK = text("""
    WITH given AS (
        SELECT * FROM unnest(CAST(:about AS uuid[]), CAST(:providers AS uuid[]), CAST(:held AS boolean[]))
            AS s(about, provider_id, held)
    ), turned_back AS (
        UPDATE lookup_cursors c SET next = f.about
        FROM (SELECT DISTINCT ON (provider_id) provider_id, about FROM given WHERE held ORDER BY provider_id, about) f
        WHERE c.provider_id = f.provider_id AND c.next > f.about
    )
    UPDATE lookups l SET looks = l.looks - 1 FROM given s
    WHERE l.about = s.about AND l.provider_id = s.provider_id AND l.looks > 0
""")


class Lookups:
    """domain.lookups.LookupStore on PostgreSQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def take(self, by_attempt: Collection[UUID], by_email: Collection[UUID]) -> Sequence[Sought]:
        values = {
            "by_attempt": list(by_attempt),
            "by_email": list(by_email),
            "restored": HELD_BECAUSE,
            "begin": _BEGIN,
        }
        # Else what a page is cut from would be read as a whole, and sorted, as long as it is taken for little.
        self._connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        return [
            Sought(
                row.provider_id,
                row.job_id,
                row.attempt_id,
                row.envelope["from"]["email"].rpartition("@")[2],
                tuple(
                    r["email"] for r in row.envelope["recipients"] if "@" in r["email"]
                ),  # else it is erased
                row.since,
            )
            for row in self._connection.execute(_TAKE, values)
        ]

    def give_back(self, sought: Collection[Sought]) -> None:
        if sought:
            values = {
                "about": [s.about for s in sought],
                "providers": [s.provider_id for s in sought],
                "held": [s.attempt_id is None for s in sought],
            }
            self._connection.execute(_GIVE_BACK, values)
