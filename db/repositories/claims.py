"""Claiming due emails and reading what they are. `db.repositories.delivery` is the store that offers it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import Connection

from db.mapping import submission
from db.statements import Prepared
from domain.attempt import Attempt, Outcome
from domain.delivery import Claim, ClaimedJob, LoadedEmail
from domain.lifecycle import Status
from domain.message import Lane

SUSPECT = (
    2  # claims that did not end in order, after which a row is claimed alone (as the partial index has it)
)
# Not `q.run = :run`: PostgreSQL would walk that index, with all rows that the run has let go of since the last vacuum,
# and look for each among the given ones. So it takes the given ones in turn, each by its primary key.
IS_HELD = "q.run IS NOT DISTINCT FROM :run AND q.token = :token"
HELD = {"run": "uuid", "token": "bigint"}  # the parameters that name a claim
_USERS_IN_TURN = 1000  # users that one claim looks at

_CLAIM_HEAD = Prepared("claim_head", "SELECT nextval('claim_tokens') AS token, mm_now() AS now")

# A loose index scan: each step jumps to the next user's earliest row, however many rows the user has.
_USERS = Prepared(
    "claim_users",
    """
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
    """,
    lane="text",
    users="int",
)

_TAKE = """
    UPDATE email_queue q SET run = :run, token = :token, claims = q.claims + 1
    FROM picked JOIN email_jobs j ON j.id = picked.job_id
    WHERE q.job_id = picked.job_id
    RETURNING q.job_id, q.claims, q.round, q.held, j.status
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
    SELECT id, user_id, subject, content_hash, envelope, email_type, lane, on_unknown, options, tags,
           metadata, send_at, expires_at, created_at
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


def claim(
    connection: Connection, lane: Lane, run: UUID, limit: int, shuffle: Callable[[list[UUID]], None]
) -> Claim:
    """domain.ports.DeliveryStore.claim."""
    head = _CLAIM_HEAD(connection).one()
    claim = {"run": str(run), "token": head.token, "lane": lane.value}
    rows = _CLAIM_SUSPECT(connection, **claim).all()
    if not rows:
        users = list(_USERS(connection, lane=lane.value, users=_USERS_IN_TURN).scalars())
        shuffle(users)
        if users:
            share = -(-limit // len(users))
            rows = _CLAIM(connection, **claim, users=users, share=share, limit=limit).all()
    jobs = [ClaimedJob(r.job_id, r.claims, r.round, r.held, Status(r.status)) for r in rows]
    return Claim(head.token, head.now, jobs)


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
    found = {}
    for row in _JOBS(connection, jobs=ids):
        content = contents[row.user_id, bytes(row.content_hash)]
        if not content.fits:
            continue
        email = submission(row._asdict(), content.text, content.html)
        found[email.id] = LoadedEmail(email, row.created_at, tuple(history.get(email.id, ())))
    return found
