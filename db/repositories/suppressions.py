"""The users' lists of addresses that are not written to any more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import uuid_utils.compat as uuid_utils
from sqlalchemy import Connection, RowMapping, text

from db.statements import Prepared
from domain.suppression import ALL, MARKETING, OF_TYPE, STRIKE_DAYS, STRIKES, Cause, Listing, Reach, Report

_COLUMNS = "id, address, scope, cause, source, detail, email_id, expires_at, created_at"
_LIST = text(f"""
    SELECT {_COLUMNS} FROM suppressions
    WHERE user_id = :user_id AND (CAST(:before AS uuid) IS NULL OR id < :before)
        AND (CAST(:address AS text) IS NULL OR address IN (
            :address, (SELECT mm_erased(u.link_secret, :address) FROM users u WHERE u.id = :user_id)))
        AND (CAST(:scope AS text) IS NULL OR scope = :scope)
        AND (CAST(:cause AS text) IS NULL OR cause = :cause)
    ORDER BY id DESC LIMIT :limit
""")  # noqa: S608  # constants of this module only
_GET = text(f"SELECT {_COLUMNS} FROM suppressions WHERE user_id = :user_id AND id = :id")  # noqa: S608
_REMOVE = text("""
    WITH gone AS (DELETE FROM suppressions WHERE user_id = :user_id AND id = :id RETURNING user_id, address),
    pardoned AS (DELETE FROM soft_bounces b USING gone WHERE b.user_id = gone.user_id AND b.address = gone.address)
    SELECT count(*) FROM gone
""")

# What is there already stays, unless what comes holds longer.
_ADD = Prepared(
    "suppress",
    """
    INSERT INTO suppressions (id, user_id, address, scope, cause, source, detail, email_id, expires_at)
    SELECT DISTINCT ON (s.user_id, s.address, s.scope)
        s.id, s.user_id, s.address, s.scope, s.cause, s.source, s.detail, s.email_id, s.expires_at
    FROM unnest(:ids, :users, :addresses, :scopes, :causes, :sources, :details, :emails, :ends)
        AS s(id, user_id, address, scope, cause, source, detail, email_id, expires_at)
    ORDER BY s.user_id, s.address, s.scope, s.expires_at DESC NULLS FIRST
    ON CONFLICT (user_id, address, scope) DO UPDATE
        SET cause = excluded.cause, source = excluded.source, detail = excluded.detail, email_id = excluded.email_id,
            expires_at = excluded.expires_at, created_at = mm_now()
        WHERE suppressions.expires_at IS NOT NULL
            AND (excluded.expires_at IS NULL OR excluded.expires_at > suppressions.expires_at)
    """,
    ids="uuid[]",
    users="uuid[]",
    addresses="text[]",
    scopes="text[]",
    causes="text[]",
    sources="text[]",
    details="text[]",
    emails="uuid[]",
    ends="timestamptz[]",
)

_OF_EMAILS = Prepared(
    "suppress_of",
    """
    SELECT j.id, j.user_id, j.email_type, mm_now() AS now, coalesce((
        SELECT t.category = 'marketing' FROM email_types t
        WHERE t.name = j.email_type AND (t.user_id IN (j.user_id, u.test_of) OR t.user_id IS NULL)
        ORDER BY t.user_id NULLS LAST LIMIT 1), false) AS marketing
    FROM email_jobs j JOIN users u ON u.id = j.user_id WHERE j.id = ANY(:jobs)
    """,
    jobs="uuid[]",
)

_STRIKE = Prepared(
    "soft_bounce",
    """
    INSERT INTO soft_bounces AS b (user_id, address, strikes)
    SELECT s.user_id, s.address, count(*) FROM unnest(:users, :addresses) AS s(user_id, address)
    GROUP BY s.user_id, s.address ORDER BY s.user_id, s.address
    ON CONFLICT (user_id, address) DO UPDATE
        SET strikes = CASE WHEN b.since > mm_now() - :days * interval '1 day' THEN b.strikes + excluded.strikes
                ELSE excluded.strikes END,
            since = CASE WHEN b.since > mm_now() - :days * interval '1 day' THEN b.since ELSE mm_now() END
    RETURNING user_id, address, strikes, mm_now() + :days * interval '1 day' AS until
    """,
    users="uuid[]",
    addresses="text[]",
    days="int",
)
_PARDON = Prepared(
    "soft_bounces_count",
    """
    DELETE FROM soft_bounces b USING unnest(:users, :addresses) AS s(user_id, address)
    WHERE b.user_id = s.user_id AND b.address = s.address
    """,
    users="uuid[]",
    addresses="text[]",
)

_LEAVERS = text("""
    SELECT j.user_id, j.email_type, r->>'email' AS address, u.link_secret AS secret, (
        SELECT t.unsubscribe_scope = 'type' FROM email_types t
        WHERE t.name = j.email_type AND (t.user_id IN (j.user_id, u.test_of) OR t.user_id IS NULL)
        ORDER BY t.user_id NULLS LAST LIMIT 1) AS only_type
    FROM email_jobs j JOIN users u ON u.id = j.user_id
    CROSS JOIN LATERAL jsonb_array_elements(
        (j.envelope->'recipients') || coalesce(j.envelope->'left_out', '[]')) r
    WHERE j.id = :id
""")

# Who was erased is on the list by a keyed hash (db.repositories.erasures); only where anybody was, it is made.
_LISTED = Prepared(
    "suppressed",
    """
    WITH a AS MATERIALIZED (
        SELECT DISTINCT * FROM unnest(:users, :addresses) AS a(user_id, address)
    )
    SELECT s.user_id, s.address, s.scope, s.cause, s.expires_at
    FROM a JOIN suppressions s ON s.user_id = a.user_id AND s.address = a.address
    UNION ALL
    SELECT s.user_id, a.address, s.scope, s.cause, s.expires_at
    FROM a JOIN users u ON u.id = a.user_id
    JOIN suppressions s ON s.user_id = a.user_id AND s.address = mm_erased(u.link_secret, a.address)
    WHERE EXISTS (SELECT FROM erasures)
    """,
    users="uuid[]",
    addresses="text[]",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry that is made. `address` in lower case."""

    user_id: UUID
    address: str
    scope: str
    cause: Cause
    source: str
    detail: str | None = None
    email_id: UUID | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Leaver:
    """A recipient of an email who may want no more. `only_type`: no more of its type; else no marketing."""

    user_id: UUID
    email_id: UUID
    address: str
    email_type: str
    only_type: bool
    secret: bytes


@dataclass(frozen=True, slots=True)
class EntryQuery:
    """Which entries are meant. None: not asked."""

    address: str | None = None
    scope: str | None = None
    cause: str | None = None
    before: UUID | None = None


class Suppressions:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, user_id: UUID, asked: EntryQuery, limit: int) -> Sequence[RowMapping]:
        """Up to `limit` of the user's, newest first."""
        values = {
            "user_id": user_id,
            "address": asked.address,
            "scope": asked.scope,
            "cause": asked.cause,
            "before": asked.before,
            "limit": limit,
        }
        return self._connection.execute(_LIST, values).mappings().all()

    def get(self, user_id: UUID, id: UUID) -> RowMapping | None:
        return self._connection.execute(_GET, {"user_id": user_id, "id": id}).mappings().one_or_none()

    def remove(self, user_id: UUID, id: UUID) -> bool:
        """Take an entry off; soft bounces are counted anew. False: there is none."""
        return bool(self._connection.execute(_REMOVE, {"user_id": user_id, "id": id}).scalar_one())

    def add(self, entries: Sequence[Entry]) -> int:
        """Put addresses on lists. Returns how many entries are new, or hold longer than before."""
        if not entries:
            return 0
        return _ADD(
            self._connection,
            ids=[uuid_utils.uuid7() for _ in entries],
            users=[e.user_id for e in entries],
            addresses=[e.address for e in entries],
            scopes=[e.scope for e in entries],
            causes=[e.cause.value for e in entries],
            sources=[e.source for e in entries],
            details=[e.detail for e in entries],
            emails=[e.email_id for e in entries],
            ends=[e.expires_at and e.expires_at.isoformat() for e in entries],
        ).count

    def listed(self, pairs: Collection[tuple[UUID, str]]) -> Mapping[tuple[UUID, str], Sequence[Listing]]:
        """The entries of these users' addresses, those that have passed included."""
        found: dict[tuple[UUID, str], list[Listing]] = defaultdict(list)
        given = list(pairs)
        for row in _LISTED(self._connection, users=[u for u, _ in given], addresses=[a for _, a in given]):
            found[row.user_id, row.address].append(Listing(row.scope, Cause(row.cause), row.expires_at))
        return found

    def leavers(self, email_id: UUID) -> Sequence[Leaver]:
        """The recipients of an email, with what proves their links."""
        rows = self._connection.execute(_LEAVERS, {"id": email_id})
        return [
            Leaver(r.user_id, email_id, r.address, r.email_type, bool(r.only_type), bytes(r.secret))
            for r in rows
        ]

    def report(self, reports: Sequence[Report]) -> None:
        """Fold what events say into the lists of the users who had written."""
        if not reports:
            return
        emails = {row.id: row for row in _OF_EMAILS(self._connection, jobs={r.job_id for r in reports})}
        known = [r for r in reports if r.job_id in emails]
        soft = [r for r in known if r.cause is Cause.SOFT_BOUNCES]
        entries = [
            Entry(
                emails[r.job_id].user_id,
                r.address,
                _scope(r.reach, emails[r.job_id].email_type, emails[r.job_id].marketing),
                r.cause,
                r.source,
                r.detail,
                r.job_id,
            )
            for r in known
            if r.cause is not Cause.SOFT_BOUNCES
        ]
        if soft:
            by_address = {(emails[r.job_id].user_id, r.address): r for r in soft}
            entries.extend(self._strike([(emails[r.job_id].user_id, r.address) for r in soft], by_address))
        self.add(entries)

    def _strike(
        self, pairs: Sequence[tuple[UUID, str]], last: Mapping[tuple[UUID, str], Report]
    ) -> Sequence[Entry]:
        """Count soft bounces; entries for those that have had enough."""
        rows = _STRIKE(
            self._connection, users=[u for u, _ in pairs], addresses=[a for _, a in pairs], days=STRIKE_DAYS
        )
        out = [row for row in rows if row.strikes >= STRIKES]
        if out:
            _PARDON(self._connection, users=[r.user_id for r in out], addresses=[r.address for r in out])
        return [
            Entry(
                row.user_id,
                row.address,
                ALL,
                Cause.SOFT_BOUNCES,
                last[row.user_id, row.address].source,
                last[row.user_id, row.address].detail,
                last[row.user_id, row.address].job_id,
                row.until,
            )
            for row in out
        ]


def _scope(reach: Reach, email_type: str, marketing: bool) -> str:
    if reach is Reach.ALL:
        return ALL
    if reach is Reach.MARKETING or marketing:
        return MARKETING
    return OF_TYPE + email_type
