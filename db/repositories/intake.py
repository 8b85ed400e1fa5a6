"""Writing accepted emails: every statement works on all emails of a group of requests at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import uuid_utils.compat as uuid_utils
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from db.mapping import content_hash, job_row, left_out_row
from db.repositories.campaigns import Campaigns
from db.repositories.resends import Resends
from db.repositories.suppressions import Suppressions
from db.statements import Prepared, array, json_text
from domain.intake import Accepted, Entry, KeyInFlight, KeyTaken, Memo, Sender, Surroundings, TypeTerms
from domain.lifecycle import Status
from domain.message import Lane, OnUnknown
from domain.suppression import Listing

LOCK_TIMEOUT = "200ms"  # how long a request waits for another one that holds the same idempotency key
_LOCK_NOT_AVAILABLE = "55P03"
_DEADLOCK_DETECTED = "40P01"

_SURVEY = Prepared(
    "survey",
    """
    SELECT mm_now() AS now,
        ARRAY(SELECT jsonb_build_array(user_id, name, lane, on_unknown, category) FROM email_types
            WHERE name = ANY(:types) AND (user_id = ANY(:libraries) OR user_id IS NULL)) AS types,
        ARRAY(SELECT jsonb_build_array(user_id, name) FROM providers
            WHERE name = ANY(:providers) AND (user_id = ANY(:libraries) OR user_id IS NULL)
            AND deleted_at IS NULL) AS providers,
        ARRAY(SELECT DISTINCT jsonb_build_array(user_id, region) FROM providers
            WHERE region = ANY(:regions) AND (user_id = ANY(:libraries) OR user_id IS NULL)
            AND deleted_at IS NULL) AS regions,
        ARRAY(SELECT id FROM api_keys
            WHERE id = ANY(:keys) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > mm_now())) AS keys,
        ARRAY(SELECT u.id FROM unnest(:users) AS u(id)
            WHERE EXISTS (SELECT FROM suppressions s WHERE s.user_id = u.id)) AS with_lists,
        ARRAY(SELECT jsonb_build_array(id, user_id, per_minute) FROM campaigns
            WHERE id = ANY(:campaigns) AND status <> 'cancelled' FOR KEY SHARE) AS campaigns,
        ARRAY(SELECT jsonb_build_array(name, user_id) FROM domains
            WHERE name = ANY(:domains) AND proved_at IS NOT NULL) AS proved,
        ARRAY(SELECT jsonb_build_array(id, encode(link_secret, 'hex')) FROM users WHERE id = ANY(:users)) AS secrets
    """,
    users="uuid[]",
    libraries="uuid[]",
    types="text[]",
    providers="text[]",
    keys="uuid[]",
    campaigns="uuid[]",
    domains="text[]",
    regions="text[]",
)

# In the order of the keys, so that two groups that share some wait for each other in one direction only.
_REMEMBER = Prepared(
    "remember",
    """
    INSERT INTO idempotency_keys (user_id, route, key, request_hash, status_code, response, expires_at)
    SELECT m.user_id, m.route, m.key, m.request_hash, 202, CAST(m.response AS jsonb),
           mm_now() + m.keep * interval '1 second'
    FROM unnest(:users, :routes, :keys, :hashes, :responses, :keeps)
        AS m(user_id, route, key, request_hash, response, keep)
    ORDER BY m.user_id, m.route, m.key
    ON CONFLICT DO NOTHING
    RETURNING user_id, route, key
    """,
    users="uuid[]",
    routes="text[]",
    keys="text[]",
    hashes="bytea[]",
    responses="text[]",
    keeps="float[]",
)

# A key's time was reckoned when its emails were accepted. They may have been put off since, or halted: the caller may
# ask again as long as one of them waits, and for as long after it was sent as any key is kept.
FORGOTTEN = """
    expires_at <= mm_now() AND NOT EXISTS (
        SELECT FROM jsonb_array_elements(response->'emails') e JOIN email_jobs j ON j.id = CAST(e->>'id' AS uuid)
        WHERE j.sent_at > mm_now() - interval '72 hours' OR EXISTS (SELECT FROM email_queue q WHERE q.job_id = j.id))
"""
_KEY = "user_id = :user_id AND route = :route AND key = :key"
_ONE_KEY = {"user_id": "uuid", "route": "text", "key": "text"}
_RECALL = Prepared(
    "recall",
    f"SELECT request_hash, response, {FORGOTTEN} AS expired FROM idempotency_keys WHERE {_KEY}",  # noqa: S608
    **_ONE_KEY,
)
_DROP_EXPIRED = Prepared(
    "drop_expired_key",
    f"DELETE FROM idempotency_keys WHERE {_KEY} AND {FORGOTTEN}",  # noqa: S608
    **_ONE_KEY,
)
_FORGET = Prepared("forget_key", f"DELETE FROM idempotency_keys WHERE {_KEY}", **_ONE_KEY)  # noqa: S608

# In the order of their keys, so that two groups that share contents do not wait for each other in a circle.
_ADD_CONTENTS = Prepared(
    "add_contents",
    """
    INSERT INTO email_contents (user_id, hash, text, html)
    SELECT * FROM unnest(:users, :hashes, :texts, :htmls) AS c(user_id, hash, text, html) ORDER BY 1, 2
    ON CONFLICT DO NOTHING
    """,
    users="uuid[]",
    hashes="bytea[]",
    texts="text[]",
    htmls="text[]",
)

# The columns of a new email, with the types in which they travel.
_COLUMNS = {
    "id": "uuid[]",
    "user_id": "uuid[]",
    "api_key_id": "uuid[]",
    "recipient": "text[]",
    "subject": "text[]",
    "content_hash": "bytea[]",
    "envelope": "text[]",
    "email_type": "text[]",
    "lane": "text[]",
    "on_unknown": "text[]",
    "options": "text[]",
    "tags": "text[]",
    "metadata": "text[]",
    "status": "text[]",
    "send_at": "timestamptz[]",
    "expires_at": "timestamptz[]",
    "campaign_id": "uuid[]",
    "due_at": "timestamptz[]",
}
_NAMES = ", ".join(_COLUMNS)
_ADD = Prepared(
    "add_emails",
    f"""
    WITH e AS (
        SELECT * FROM unnest({", ".join(f":{name}" for name in _COLUMNS)}) AS e({_NAMES})
    ), jobs AS (
        INSERT INTO email_jobs (id, user_id, api_key_id, recipient, subject, content_hash, envelope, email_type,
            lane, on_unknown, options, tags, metadata, status, send_at, expires_at, campaign_id)
        SELECT id, user_id, api_key_id, recipient, subject, content_hash, CAST(envelope AS jsonb), email_type,
            lane, on_unknown, CAST(options AS jsonb), CAST(tags AS text[]), CAST(metadata AS jsonb), status,
            send_at, expires_at, campaign_id
        FROM e
    )
    INSERT INTO email_queue (job_id, user_id, lane, due_at, placed)
    SELECT id, user_id, lane, coalesce(due_at, send_at, mm_now()), campaign_id IS NULL OR status <> 'scheduled'
    FROM e WHERE status <> 'suppressed'
    """,  # noqa: S608  # constants of this module only
    **_COLUMNS,
)

_ADD_FILES = Prepared(
    "add_email_files",
    """
    INSERT INTO email_attachments (job_id, user_id, hash)
    SELECT * FROM unnest(:jobs, :users, :hashes) ON CONFLICT DO NOTHING
    """,
    jobs="uuid[]",
    users="uuid[]",
    hashes="bytea[]",
)


_STOP = Prepared(
    "stop_emails",
    """
    WITH s AS (SELECT * FROM unnest(:ids, :jobs, :reasons) AS s(id, job_id, reason)),
    told AS (UPDATE email_jobs j SET status_reason = s.reason FROM s WHERE j.id = s.job_id)
    INSERT INTO email_status (id, email_job_id, status, reason)
    SELECT id, job_id, 'suppressed', reason FROM s
    """,
    ids="uuid[]",
    jobs="uuid[]",
    reasons="text[]",
)


class Intake:
    """domain.ports.IntakeStore on PostgreSQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def survey(
        self,
        senders: Collection[Sender],
        types: Collection[str],
        providers: Collection[str],
        campaigns: Collection[UUID] = (),
        domains: Collection[str] = (),
        regions: Collection[str] = (),
    ) -> Surroundings:
        row = _SURVEY(
            self._connection,
            users={s.user_id for s in senders},
            libraries={s.library for s in senders},
            types=types,
            providers=providers,
            keys={s.api_key_id for s in senders if s.api_key_id is not None},
            campaigns=campaigns,
            domains=domains,
            regions=regions,
        ).one()
        proved: dict[str, set[UUID]] = {}
        for name, user in row.proved:
            proved.setdefault(name, set()).add(UUID(user))
        return Surroundings(
            now=row.now,
            types={
                (_owner(owner), name): TypeTerms(Lane(lane), OnUnknown(unknown), category == "marketing")
                for owner, name, lane, unknown, category in row.types
            },
            providers=frozenset((_owner(owner), name) for owner, name in row.providers),
            regions=frozenset((_owner(owner), name) for owner, name in row.regions),
            keys=frozenset(row.keys),
            with_lists=frozenset(row.with_lists),
            campaigns={UUID(one): (UUID(user), rate) for one, user, rate in row.campaigns},
            proved={name: frozenset(users) for name, users in proved.items()},
            link_secrets={UUID(user): bytes.fromhex(secret) for user, secret in row.secrets},
        )

    def book(self, campaign_id: UUID, emails: int) -> datetime:
        return Campaigns(self._connection).book(campaign_id, emails)

    def listed(self, pairs: Collection[tuple[UUID, str]]) -> Mapping[tuple[UUID, str], Sequence[Listing]]:
        return Suppressions(self._connection).listed(pairs)

    def remember(self, memos: Sequence[Memo]) -> Sequence[Sequence[Accepted] | KeyTaken | None]:
        if len({_key(m) for m in memos}) < len(memos):
            raise KeyInFlight
        self._connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        try:
            kept = self._keep(memos)
            found = [None if _key(m) in kept else self._recall(m) for m in memos]
        except OperationalError as error:
            if getattr(error.orig, "pgcode", None) in (_LOCK_NOT_AVAILABLE, _DEADLOCK_DETECTED):
                raise KeyInFlight from error
            raise
        self._connection.exec_driver_sql("SET LOCAL lock_timeout TO DEFAULT")
        return found

    def forget(self, memos: Sequence[Memo]) -> None:
        for memo in memos:
            user_id, route, key = _key(memo)
            _FORGET(self._connection, user_id=str(user_id), route=route, key=key)

    def add(self, entries: Sequence[Entry]) -> None:
        contents = {(e.submission.user_id, content_hash(e.submission)): e for e in entries}
        _ADD_CONTENTS(
            self._connection,
            users=[user_id for user_id, _ in contents],
            hashes=[_bytea(hash_) for _, hash_ in contents],
            texts=[e.submission.message.text for e in contents.values()],
            htmls=[e.submission.message.html for e in contents.values()],
        )
        rows = [_row(entry) for entry in entries]
        _ADD(self._connection, **{name: [row[name] for row in rows] for name in _COLUMNS})
        if successors := [(e.resend_of, e.submission.id) for e in entries if e.resend_of is not None]:
            Resends(self._connection).keep(successors)
        files = [(e.submission, file) for e in entries for file in e.files]
        if files:
            _ADD_FILES(
                self._connection,
                jobs=[submission.id for submission, _ in files],
                users=[submission.user_id for submission, _ in files],
                hashes=[_bytea(file.hash) for _, file in files],
            )
        if stopped := [e for e in entries if e.status is Status.SUPPRESSED]:
            _STOP(
                self._connection,
                ids=[uuid_utils.uuid7() for _ in stopped],
                jobs=[e.submission.id for e in stopped],
                reasons=[e.left_out[0].reason for e in stopped],
            )

    def _keep(self, memos: Sequence[Memo]) -> set[tuple[UUID, str, str]]:
        """Insert what is not there yet; returns the keys that were inserted."""
        rows = _REMEMBER(
            self._connection,
            users=[m.user_id for m in memos],
            routes=[m.once.route for m in memos],
            keys=[m.once.key for m in memos],
            hashes=[_bytea(m.once.request_hash) for m in memos],
            responses=[_answer_json(m.answer) for m in memos],
            keeps=[m.once.keep.total_seconds() for m in memos],
        )
        return {(row.user_id, row.route, row.key) for row in rows}

    def _recall(self, memo: Memo) -> Sequence[Accepted] | KeyTaken | None:
        """What was kept under the key before. None: that was too old, or gone, and the memo is kept now."""
        user_id, route, key = _key(memo)
        where = {"user_id": str(user_id), "route": route, "key": key}
        while (before := _RECALL(self._connection, **where).one_or_none()) is None or before.expired:
            _DROP_EXPIRED(self._connection, **where)
            if self._keep([memo]):
                return None
        if bytes(before.request_hash) != memo.once.request_hash:
            return KeyTaken(key)
        return [
            Accepted(
                UUID(email["id"]), Status(email["status"]), email.get("item", 0), email.get("replayed", False)
            )
            for email in before.response["emails"]
        ]


def _row(entry: Entry) -> dict[str, Any]:
    job = job_row(entry.submission, entry.api_key_id, entry.status.value, entry.files)
    if entry.left_out and entry.status is not Status.SUPPRESSED:
        job["envelope"]["left_out"] = [left_out_row(one) for one in entry.left_out]
    for name in ("envelope", "options", "metadata"):
        job[name] = json_text(job[name])
    job |= {"campaign_id": entry.campaign_id, "due_at": entry.due_at}
    job |= {"tags": array(job["tags"]), "content_hash": _bytea(job["content_hash"])}
    for name in ("send_at", "expires_at", "due_at"):
        job[name] = job[name] and job[name].isoformat()
    return job


def _key(memo: Memo) -> tuple[UUID, str, str]:
    return memo.user_id, memo.once.route, memo.once.key


def _owner(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)


def _bytea(raw: bytes) -> str:
    """PostgreSQL's text form of bytes."""
    return f"\\x{raw.hex()}"


def _answer_json(answer: Sequence[Accepted]) -> str:
    return json_text({"emails": [_accepted_row(email) for email in answer]})


def _accepted_row(email: Accepted) -> dict[str, Any]:
    row = {"id": email.id, "status": email.status.value, "item": email.item}
    return row | {"replayed": True} if email.replayed else row
