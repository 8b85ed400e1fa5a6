"""Claiming due emails and reading what they are. `db.repositories.delivery` is the store that offers it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import Connection

from db.mapping import left_out_row, stored_files, submission
from db.statements import Prepared, json_text
from domain.attempt import Attempt, Outcome
from domain.delivery import Claim, ClaimedJob, LoadedEmail
from domain.files import total_size
from domain.lifecycle import Status
from domain.message import Lane, Submission
from domain.suppression import Cause, LeftOut, normalized
from domain.tracking import tracked
from domain.unsubscribe import with_link

log = structlog.get_logger(__name__)

SUSPECT = (
    2  # claims that did not end in order, after which a row is claimed alone (as the partial index has it)
)
# Not `q.run = :run`: PostgreSQL would walk that index, with all rows that the run has let go of since the last vacuum,
# and look for each among the given ones. So it takes the given ones in turn, each by its primary key.
IS_HELD = "q.run IS NOT DISTINCT FROM :run AND q.token = :token"
HELD = {"run": "uuid", "token": "bigint"}  # the parameters that name a claim
_USERS_IN_TURN = 1000  # users that one claim looks at

# All that a claim has to know before it takes any, in one look: an empty lane costs one statement. The users are found
# by a loose index scan: each step jumps to the next user's earliest row, however many rows the user has.
_CLAIM_HEAD = Prepared(
    "claim_head",
    f"""
    SELECT nextval('claim_tokens') AS token, mm_now() AS now, EXISTS (SELECT FROM halts) AS halts,
        EXISTS (SELECT FROM email_queue
            WHERE lane = :lane AND run IS NULL AND due_at <= mm_now() AND claims >= {SUSPECT}) AS suspects,
        ARRAY(
            WITH RECURSIVE head AS (
                (SELECT user_id, due_at FROM email_queue WHERE lane = :lane AND run IS NULL
                 ORDER BY user_id, due_at LIMIT 1)
                UNION ALL
                SELECT later.user_id, later.due_at FROM head CROSS JOIN LATERAL (
                    SELECT user_id, due_at FROM email_queue
                    WHERE lane = :lane AND run IS NULL AND user_id > head.user_id
                    ORDER BY user_id, due_at LIMIT 1
                ) later
            )
            SELECT user_id FROM head WHERE due_at <= mm_now() LIMIT :users
        ) AS users,
        (SELECT EXTRACT(epoch FROM min(due_at) - mm_now()) FROM email_queue
            WHERE lane = :lane AND run IS NULL) AS next_due
    """,  # noqa: S608  # constants of this module only
    lane="text",
    users="int",
)

_TAKE = """
    UPDATE email_queue q SET run = :run, token = :token, claims = q.claims + 1
    FROM picked JOIN email_jobs j ON j.id = picked.job_id
    WHERE q.job_id = picked.job_id
    RETURNING q.job_id, q.claims, q.round, q.held, q.placed, j.status
"""

# The two claims differ in what they pick; both take it in one way.
_CLAIM = Prepared(
    "claim",
    f"""
    WITH picked AS (
        SELECT own.job_id FROM unnest(:users) AS u(user_id)
        CROSS JOIN LATERAL (
            SELECT job_id FROM email_queue
            WHERE lane = :lane AND user_id = u.user_id AND run IS NULL AND due_at <= mm_now() AND claims < {SUSPECT}
            ORDER BY due_at LIMIT :share FOR UPDATE SKIP LOCKED
        ) own
        LIMIT :limit
    ) {_TAKE}
    """,  # noqa: S608  # constants of this module only
    **HELD,
    lane="text",
    users="uuid[]",
    share="int",
    limit="int",
)

_CLAIM_SUSPECT = Prepared(
    "claim_suspect",
    f"""
    WITH picked AS (
        SELECT job_id FROM email_queue
        WHERE lane = :lane AND run IS NULL AND due_at <= mm_now() AND claims >= {SUSPECT}
        ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
    ) {_TAKE}
    """,  # noqa: S608  # constants of this module only
    **HELD,
    lane="text",
)

_JOBS = Prepared(
    "load",
    """
    SELECT id, user_id, subject, content_hash, envelope, email_type, lane, on_unknown, options::text AS options, tags,
           NULLIF(metadata, '{}') AS metadata, send_at, expires_at, created_at
    FROM email_jobs WHERE id = ANY(:jobs)
    """,
    jobs="uuid[]",
)

# Apart from the emails: a campaign's content is read once for all of them. Lengths are known without reading. Of
# what is more than `:most` bytes together only the first is read, and the rest is known to be there.
_CONTENTS = Prepared(
    "load_contents",
    """
    SELECT user_id, hash, fits, CASE WHEN fits THEN text END AS text, CASE WHEN fits THEN html END AS html
    FROM (
        SELECT c.user_id, c.hash, c.text, c.html,
            sum(coalesce(octet_length(c.text), 0) + coalesce(octet_length(c.html), 0)) OVER given <= :most
                OR row_number() OVER given = 1 AS fits
        FROM email_contents c
        JOIN (SELECT DISTINCT user_id, content_hash FROM email_jobs WHERE id = ANY(:jobs)) used
          ON c.user_id = used.user_id AND c.hash = used.content_hash
        WINDOW given AS (ORDER BY c.user_id, c.hash)
    ) measured
    """,
    jobs="uuid[]",
    most="bigint",
)

_LATE_COMMIT = timedelta(minutes=1)  # an entry may be older than an email that was accepted without seeing it
_LISTED_SINCE = Prepared(
    "listed_since",
    """
    SELECT EXISTS (
        SELECT FROM unnest(:users) AS u(id)
        WHERE EXISTS (SELECT FROM suppressions s WHERE s.user_id = u.id AND s.created_at >= :since))
    """,
    users="uuid[]",
    since="timestamptz",
)
_STOPPED = Prepared(
    "stopped",
    """
    SELECT j.id, lower(r->>'email') AS address, s.cause
    FROM email_jobs j JOIN users u ON u.id = j.user_id
    CROSS JOIN LATERAL jsonb_array_elements(j.envelope->'recipients') r
    JOIN suppressions s ON s.user_id = j.user_id AND s.address = ANY(ARRAY[lower(r->>'email'),
        CASE WHEN EXISTS (SELECT FROM erasures) THEN mm_erased(u.link_secret, lower(r->>'email')) END])
    WHERE j.id = ANY(:jobs) AND (s.expires_at IS NULL OR s.expires_at > mm_now())
        AND (s.scope IN ('all', 'type:' || j.email_type) OR (s.scope = 'marketing' AND (
            SELECT t.category = 'marketing' FROM email_types t
            WHERE t.name = j.email_type AND (t.user_id IN (j.user_id, u.test_of) OR t.user_id IS NULL)
            ORDER BY t.user_id NULLS LAST LIMIT 1)))
    """,
    jobs="uuid[]",
)
_LEAVE_OUT = Prepared(
    "leave_out",
    """
    UPDATE email_jobs SET envelope = envelope || jsonb_build_object(
        'recipients', (SELECT coalesce(jsonb_agg(r ORDER BY n), '[]')
            FROM jsonb_array_elements(envelope->'recipients') WITH ORDINALITY AS x(r, n)
            WHERE r->>'email' <> ALL(:addresses)),
        'left_out', coalesce(envelope->'left_out', '[]') || CAST(:left_out AS jsonb))
    WHERE id = :job
    """,
    job="uuid",
    addresses="text[]",
    left_out="text",
)

_HISTORY = Prepared(
    "load_history",
    """
    SELECT a.id, a.job_id, a.provider_id, p.name AS provider, a.round, a.outcome, a.error
    FROM delivery_attempts a JOIN providers p ON p.id = a.provider_id
    WHERE a.job_id = ANY(:jobs)
    ORDER BY a.id
    """,
    jobs="uuid[]",
)


_DOUBTED = Prepared(
    "doubted",
    """
    SELECT j.id FROM email_jobs j
    WHERE j.id = ANY(:jobs) AND (j.status = 'unknown' OR EXISTS (
        SELECT FROM delivery_attempts a WHERE a.job_id = j.id AND (a.outcome IS NULL OR a.outcome = 'unknown')))
    """,
    jobs="uuid[]",
)


def claim(
    connection: Connection, lane: Lane, run: UUID, limit: int, shuffle: Callable[[list[UUID]], None]
) -> Claim:
    """domain.ports.DeliveryStore.claim."""
    head = _CLAIM_HEAD(connection, lane=lane.value, users=_USERS_IN_TURN).one()
    claim = {"run": str(run), "token": head.token, "lane": lane.value}
    rows = _CLAIM_SUSPECT(connection, **claim).all() if head.suspects else []
    if not rows and head.users:
        users = list(head.users)
        shuffle(users)
        share = -(-limit // len(users))
        rows = _CLAIM(connection, **claim, users=users, share=share, limit=limit).all()
    jobs = [ClaimedJob(r.job_id, r.claims, r.round, r.held, Status(r.status), r.placed) for r in rows]
    next_due = None if head.next_due is None else float(head.next_due)
    return Claim(head.token, head.now, jobs, head.halts, next_due)


def doubted(connection: Connection, job_ids: Sequence[UUID]) -> Collection[UUID]:
    """domain.ports.DeliveryStore.doubted."""
    return frozenset(_DOUBTED(connection, jobs=[str(j) for j in job_ids]).scalars())


def load(connection: Connection, job_ids: Sequence[UUID], most_bytes: int) -> Mapping[UUID, LoadedEmail]:
    """domain.ports.DeliveryStore.load."""
    ids = [str(j) for j in job_ids]
    history: dict[UUID, list[Attempt]] = defaultdict(list)
    for a in _HISTORY(connection, jobs=ids):
        outcome = None if a.outcome is None else Outcome(a.outcome)
        history[a.job_id].append(
            Attempt(a.id, a.job_id, a.provider_id, a.provider, a.round, outcome, a.error)
        )
    contents = {
        (row.user_id, bytes(row.hash)): row for row in _CONTENTS(connection, jobs=ids, most=most_bytes)
    }
    found: dict[UUID, LoadedEmail] = {}
    left: int | None = None  # bytes for files
    for row in _JOBS(connection, jobs=ids):
        content = contents.get((row.user_id, bytes(row.content_hash)))
        if content is None:
            tries = tuple(history.get(row.id, ()))
            found[row.id] = LoadedEmail(submission(row, None, None), row.created_at, tries, bodiless=True)
            continue
        if not content.fits:
            continue
        email = with_link(_tracked(submission(row, content.text, content.html)))
        files = stored_files(row.envelope)
        if files:
            if left is None:
                left = most_bytes - sum(len(c.text or "") + len(c.html or "") for c in contents.values())
            # Of each email, also where they share a file: each on its way has a copy of its own, encoded.
            left -= (size := total_size(files))
            if left < 0 and found:
                left += size
                continue
        found[email.id] = LoadedEmail(email, row.created_at, tuple(history.get(email.id, ())), files)
    return _with_stops(connection, found)


def _tracked(submission: Submission) -> Submission:
    try:
        return tracked(submission)
    # Of whatever markup: one email must not hold up those that were claimed with it.
    except Exception as error:  # noqa: BLE001
        # Without its words, which may be the email's.
        log.warning("links_left_alone", email=str(submission.id), error=type(error).__name__)
        return submission


def _with_stops(connection: Connection, found: dict[UUID, LoadedEmail]) -> Mapping[UUID, LoadedEmail]:
    """Who may not be written to since the emails were accepted; most users' lists have nothing as new as that."""
    if not found:
        return found
    users = {email.submission.user_id for email in found.values()}
    since = min(email.accepted_at for email in found.values()) - _LATE_COMMIT
    if not _LISTED_SINCE(connection, users=users, since=since.isoformat()).scalar():
        return found
    causes: dict[tuple[UUID, str], Cause] = {
        (row.id, row.address): Cause(row.cause) for row in _STOPPED(connection, jobs=list(found))
    }
    for job_id, email in found.items() if causes else ():
        left_out = [
            LeftOut(r, causes[job_id, address])
            for r in email.submission.envelope.recipients
            if (job_id, address := normalized(r.address.email)) in causes
        ]
        if left_out:
            found[job_id] = replace(email, left_out=tuple(left_out))
    return found


def leave_out(connection: Connection, job_id: UUID, left_out: Sequence[LeftOut]) -> None:
    """domain.ports.DeliveryStore.leave_out."""
    _LEAVE_OUT(
        connection,
        job=str(job_id),
        addresses=[one.recipient.address.email for one in left_out],
        left_out=json_text([left_out_row(one) for one in left_out]),
    )
