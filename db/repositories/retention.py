"""Taking away what has been kept long enough, a few thousand rows at a time; never of an email that still moves.

An email moves as long as it has a row in `email_queue`: also one that is held as unknown, or planned for next year.
Ids are in the order of time (UUIDv7), so old rows are found by their keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import Connection, text

from domain.upkeep import Retention

_ROWS: Final = 2000  # in one transaction, so that nobody waits for its locks

# The smallest UUIDv7 of a time (RFC 9562, 5.7).
_BOUND = """
    CAST(lpad(to_hex(CAST(floor(EXTRACT(epoch FROM mm_now() - :days * interval '1 day') * 1000) AS bigint)), 12, '0')
        || '70008000000000000000' AS uuid)
"""


def _at_rest(job: str) -> str:
    return f"NOT EXISTS (SELECT 1 FROM email_queue q WHERE q.job_id = {job})"  # noqa: S608  # constants only


def _by_id(table: str, job: str, and_also: str = "true") -> str:
    return f"""
        DELETE FROM {table} WHERE id IN (
            SELECT t.id FROM {table} t WHERE t.id < {_BOUND} AND {and_also} AND {_at_rest(job)}
            ORDER BY t.id LIMIT :rows FOR UPDATE SKIP LOCKED)
    """  # noqa: S608  # constants of this module only


_TIMELINE = f"""
    DELETE FROM email_status WHERE (email_job_id, id) IN (
        SELECT t.email_job_id, t.id FROM email_status t
        WHERE t.email_job_id < {_BOUND} AND t.id < {_BOUND} AND {_at_rest("t.email_job_id")}
        ORDER BY t.email_job_id, t.id LIMIT :rows FOR UPDATE SKIP LOCKED)
"""  # noqa: S608  # constants of this module only

# A body belongs to the emails of one day, so after two more days by the clock of whoever took them it has no new ones.
_BODIES = f"""
    DELETE FROM email_contents WHERE (user_id, hash) IN (
        SELECT c.user_id, c.hash FROM email_contents c
        WHERE c.created_at < mm_now() - (:days + 2) * interval '1 day'
            AND NOT EXISTS (
                SELECT 1 FROM email_queue q JOIN email_jobs j ON j.id = q.job_id
                WHERE q.job_id < {_BOUND} AND j.user_id = c.user_id AND j.content_hash = c.hash)
        LIMIT :rows FOR UPDATE SKIP LOCKED)
"""  # noqa: S608  # constants of this module only

_CALLS = """
    DELETE FROM provider_calls WHERE (provider_id, key) IN (
        SELECT provider_id, key FROM provider_calls
        WHERE opened_at < mm_now() - :days * interval '1 day'
            AND (repeatable_until IS NULL OR repeatable_until < mm_now()) LIMIT :rows)
"""

# Nothing is looked for longer than a day.
_LOOKUPS = """
    DELETE FROM lookups WHERE (about, provider_id) IN (
        SELECT about, provider_id FROM lookups
        WHERE looked_at < mm_now() - :days * interval '1 day' LIMIT :rows)
"""

_PERFORMANCE = """
    DELETE FROM provider_performance_history WHERE (provider_id, slot) IN (
        SELECT provider_id, slot FROM provider_performance_history
        WHERE slot < mm_now() - :days * interval '1 day' LIMIT :rows)
"""

_STATS = """
    DELETE FROM email_stats WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM email_stats WHERE slot < mm_now() - :days * interval '1 day' LIMIT :rows))
"""

# Nothing in the database ties the ledger to the emails, so that a line costs no look-up when it is written.
_EMAILS = f"""
    WITH gone AS ({_by_id("email_jobs", "t.id")} RETURNING id), lines AS (
        DELETE FROM delivery_attempts WHERE job_id IN (SELECT id FROM gone)
    ), resent AS (
        DELETE FROM resends WHERE resend_of IN (SELECT id FROM gone)
    ), timelines AS (
        DELETE FROM email_status WHERE email_job_id IN (SELECT id FROM gone)
    ), files AS (
        DELETE FROM email_attachments WHERE job_id IN (SELECT id FROM gone)
    )
    SELECT id FROM gone
"""  # noqa: S608  # as above

# As long as an email's row names a content here, the content stays: from the email's end on, which its timeline tells.
_FILES = f"""
    DELETE FROM email_attachments WHERE (job_id, hash) IN (
        SELECT l.job_id, l.hash FROM email_attachments l LEFT JOIN email_jobs j ON j.id = l.job_id
        WHERE l.job_id < {_BOUND} AND {_at_rest("l.job_id")}
            AND coalesce(greatest(j.sent_at, j.send_at) < mm_now() - :days * interval '1 day', true)
            AND NOT EXISTS (SELECT FROM email_status s WHERE s.email_job_id = l.job_id
                AND s.timestamp > mm_now() - :days * interval '1 day')
        ORDER BY l.job_id LIMIT :rows FOR UPDATE OF l SKIP LOCKED)
"""  # noqa: S608  # constants of this module only

_EVENTS = f"""
    DELETE FROM inbound_events WHERE id IN (
        SELECT t.id FROM inbound_events t
        WHERE t.received_at < mm_now() - :days * interval '1 day' AND t.state <> 'waiting'
            AND (t.job_id IS NULL OR {_at_rest("t.job_id")})
        ORDER BY t.received_at LIMIT :rows FOR UPDATE SKIP LOCKED)
"""  # noqa: S608  # constants of this module only

# No signature's replay window is longer than a day.
_NONCES = """
    DELETE FROM inbound_nonces WHERE (provider_id, nonce) IN (
        SELECT provider_id, nonce FROM inbound_nonces
        WHERE received_at < mm_now() - :days * interval '1 day' LIMIT :rows)
"""
_WEBHOOKS = f"""
    DELETE FROM webhook_messages WHERE id IN (
        SELECT m.id FROM webhook_messages m WHERE m.id < {_BOUND} ORDER BY m.id LIMIT :rows FOR UPDATE SKIP LOCKED)
"""  # noqa: S608  # constants of this module only
_AUDIT = f"""
    DELETE FROM audit_log WHERE id IN (
        SELECT a.id FROM audit_log a WHERE a.id < {_BOUND} ORDER BY a.id LIMIT :rows FOR UPDATE SKIP LOCKED)
"""  # noqa: S608  # constants of this module only
_SESSIONS = """
    DELETE FROM api_keys WHERE id IN (
        SELECT k.id FROM api_keys k
        WHERE k.kind = 'session' AND k.expires_at < mm_now() - :days * interval '1 day' LIMIT :rows)
"""
_TRIES = """
    DELETE FROM sign_in_tries WHERE subject IN (
        SELECT subject FROM sign_in_tries WHERE since < mm_now() - :days * interval '1 day' LIMIT :rows)
"""
_NONCE_DAYS: Final = 25 / 24

_PURGES: Final[Mapping[str, tuple[Callable[[Retention], float | None], str]]] = {
    "bodies": (lambda r: r.bodies, _BODIES),
    "timeline": (lambda r: r.timeline, _TIMELINE),
    "attempts": (
        lambda r: r.attempts,
        _by_id("delivery_attempts", "t.job_id", "t.outcome IS NOT NULL"),
    ),
    "calls": (lambda r: r.attempts, _CALLS),
    "events": (lambda r: r.events, _EVENTS),
    "lookups": (lambda _: 2, _LOOKUPS),
    "nonces": (lambda _: _NONCE_DAYS, _NONCES),
    "webhooks": (lambda r: r.events, _WEBHOOKS),
    "performance": (lambda r: r.performance, _PERFORMANCE),
    "stats": (lambda r: r.stats, _STATS),
    "files": (lambda r: r.files, _FILES),
    "emails": (lambda r: r.emails, _EMAILS),
    "audit": (lambda r: r.audit, _AUDIT),
    "sessions": (lambda _: 1, _SESSIONS),
    "tries": (lambda _: 1, _TRIES),
}


def purge(connection: Connection, retention: Retention) -> Mapping[str, int]:
    """domain.ports.UpkeepStore.purge."""
    gone = {}
    for name, (days_of, statement) in _PURGES.items():
        days = days_of(retention)
        if days is not None:
            gone[name] = connection.execute(text(statement), {"days": days, "rows": _ROWS}).rowcount
    return gone


def is_all(gone: Mapping[str, int]) -> bool:
    """Whether a purge found nothing more than it took."""
    return all(count < _ROWS for count in gone.values())
