"""Calls to providers: written down before they are made, and found again where nobody knows how they ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from db.statements import Prepared, array
from domain.delivery import CallLine, DoubtfulCall

_FIRST_PAUSE: Final = 5  # seconds after a doubt; each further pause is so many times as long
_GROWTH: Final = 4
_MARGIN: Final = 300  # seconds before the provider forgets a call, in which it is not made again

_NOTE = Prepared(
    "note_calls",
    """
    INSERT INTO provider_calls (provider_id, key, payload_hash, attempt_ids, repeatable_until)
    SELECT c.provider_id, c.key, decode(c.hash, 'hex'), CAST(c.attempts AS uuid[]),
           mm_now() + c.alive * interval '1 second'
    FROM unnest(:providers, :keys, :hashes, :attempts, :alive) AS c(provider_id, key, hash, attempts, alive)
    """,
    providers="uuid[]",
    keys="text[]",
    hashes="text[]",
    attempts="text[]",
    alive="int[]",
)

# A call is looked for by the attempts in doubt, which are few. None of them may still be on its way.
_TAKE = text(f"""
    WITH doubtful AS (
        SELECT c.provider_id, c.key FROM provider_calls c
        WHERE c.repeatable_until > mm_now() + interval '{_MARGIN} seconds'
            AND c.provider_id <> ALL(CAST(:but AS uuid[]))
            AND (c.provider_id, c.key) IN (
                SELECT found.provider_id, found.key
                FROM delivery_attempts a CROSS JOIN LATERAL (
                    SELECT k.provider_id, k.key, k.repeated_at, k.repeats FROM provider_calls k
                    WHERE k.attempt_ids @> ARRAY[a.id] AND k.provider_id = a.provider_id) found
                WHERE a.outcome = 'unknown' AND a.settled_at > mm_now() - interval '1 day'
                    AND GREATEST(a.settled_at, found.repeated_at)
                        + {_FIRST_PAUSE} * power({_GROWTH}, found.repeats) * interval '1 second' <= mm_now())
            AND NOT EXISTS (
                SELECT FROM delivery_attempts o WHERE o.id = ANY(c.attempt_ids) AND o.outcome IS NULL)
        ORDER BY c.opened_at LIMIT 1 FOR UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE provider_calls c SET repeats = c.repeats + 1, repeated_at = mm_now()
        FROM doubtful d WHERE c.provider_id = d.provider_id AND c.key = d.key
        RETURNING c.*
    )
    SELECT t.provider_id, t.key, t.payload_hash, t.attempt_ids,
        array_agg(a.job_id ORDER BY array_position(t.attempt_ids, a.id)) AS jobs,
        array_agg(a.id) FILTER (WHERE a.outcome = 'unknown') AS unknown
    FROM taken t JOIN delivery_attempts a ON a.id = ANY(t.attempt_ids)
    GROUP BY t.provider_id, t.key, t.payload_hash, t.attempt_ids
""")  # noqa: S608  # constants of this module only

# While a call is made again, nobody else may take its emails up: their waiting goes on for so long at least. An email
# that was given up, or tried again since, is not to be sent by this.
_KEEP_WAITING = text("""
    UPDATE email_queue q SET due_at = GREATEST(q.due_at, mm_now() + :seconds * interval '1 second')
    FROM unnest(CAST(:jobs AS uuid[]), CAST(:attempts AS uuid[])) AS m(job_id, attempt_id)
    WHERE q.job_id = m.job_id AND q.held AND q.run IS NULL AND NOT EXISTS (
        SELECT FROM delivery_attempts later WHERE later.job_id = m.job_id AND later.id > m.attempt_id)
    RETURNING m.attempt_id
""")
_WAITING = 60  # seconds; more than a call may take


def note(connection: Connection, lines: Sequence[CallLine]) -> None:
    """domain.ports.DeliveryStore.note_calls."""
    if not lines:
        return
    _NOTE(
        connection,
        providers=[line.provider_id for line in lines],
        keys=[line.key for line in lines],
        hashes=[line.payload_hash.hex() for line in lines],
        attempts=[array(line.attempts) for line in lines],
        alive=[line.repeatable_seconds for line in lines],
    )


def take_doubtful(connection: Connection, but: Collection[UUID]) -> DoubtfulCall | None:
    """domain.ports.DeliveryStore.doubtful_call."""
    while (row := connection.execute(_TAKE, {"but": list(but)}).one_or_none()) is not None:
        doubtful = frozenset(row.unknown or ())
        members = [m for m in zip(row.attempt_ids, row.jobs, strict=False) if m[0] in doubtful]
        values = {
            "attempts": [attempt for attempt, _ in members],
            "jobs": [job for _, job in members],
            "seconds": _WAITING,
        }
        # Else its emails have been given up, or tried again since: it is passed over, and not due any more for a while.
        if members and doubtful <= frozenset(connection.scalars(_KEEP_WAITING, values)):
            return DoubtfulCall(
                row.provider_id,
                row.key,
                bytes(row.payload_hash),
                tuple(row.attempt_ids),
                tuple(row.jobs),
                doubtful,
            )
    return None
