"""What the ledger says of the providers: folded into slots of ten minutes, and those into the last day.

Latencies are counted on a logarithmic scale, a tenth to a step: percentiles of a day are sums of its slots' counts,
right within 5%, and no day has to be read again for each look.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

# From the last slot that is known, and from the one of two minutes ago: an attempt ends a while after it was opened.
_FOLD = text("""
    WITH since AS (
        SELECT LEAST(
            COALESCE(
                (SELECT max(slot) FROM provider_performance_history
                 WHERE slot > mm_now() - interval '1 day' AND slot <= mm_now()),
                date_bin('10 minutes', mm_now() - interval '1 day', timestamptz 'epoch')),
            date_bin('10 minutes', mm_now() - interval '2 minutes', timestamptz 'epoch')) AS start
    ), seen AS (
        SELECT a.provider_id, date_bin('10 minutes', a.opened_at, timestamptz 'epoch') AS slot,
               a.outcome, a.error, a.latency_ms, a.recipients,
               CASE WHEN a.outcome = 'accepted' AND a.latency_ms IS NOT NULL
                   THEN GREATEST(0, CAST(ln(GREATEST(a.latency_ms, 0.1) / 0.1) / ln(1.1) AS int)) END AS step
        FROM delivery_attempts a, since
        WHERE a.opened_at >= since.start AND a.opened_at <= mm_now()
            AND a.provider_id NOT IN (SELECT id FROM providers WHERE test)
    ), steps AS (
        SELECT provider_id, slot, step, count(*) AS emails FROM seen WHERE step IS NOT NULL GROUP BY 1, 2, 3
    ), scales AS (
        SELECT provider_id, slot, jsonb_object_agg(step, emails) AS latencies FROM steps GROUP BY 1, 2
    ), counts AS (
        SELECT provider_id, slot,
               count(*) FILTER (WHERE outcome = 'accepted') AS sent,
               COALESCE(sum(recipients) FILTER (WHERE outcome = 'accepted'), 0) AS recipients,
               -- A rejection is the email's fault, the death of a worker ours: neither says anything of the provider.
               count(*) FILTER (WHERE outcome = 'unknown' AND error IS DISTINCT FROM 'worker_lost'
                   OR outcome = 'not_sent' AND error IN ('provider_unavailable', 'misconfigured')) AS failed,
               count(*) FILTER (WHERE outcome = 'not_sent'
                   AND error IN ('rejected', 'recipient_suppressed')) AS rejected,
               count(*) FILTER (WHERE outcome = 'unknown') AS unknown,
               COALESCE(sum(latency_ms) FILTER (WHERE outcome = 'accepted'), 0) AS latency_sum
        FROM seen GROUP BY 1, 2
    )
    INSERT INTO provider_performance_history (provider_id, slot, emails_sent, recipients_sent, emails_failed,
        emails_rejected, emails_unknown, latency_sum, latencies)
    SELECT c.provider_id, c.slot, c.sent, c.recipients, c.failed, c.rejected, c.unknown, c.latency_sum,
           COALESCE(s.latencies, '{}')
    FROM counts c LEFT JOIN scales s ON s.provider_id = c.provider_id AND s.slot = c.slot
    ORDER BY c.provider_id, c.slot
    ON CONFLICT (provider_id, slot) DO UPDATE SET
        emails_sent = excluded.emails_sent, recipients_sent = excluded.recipients_sent,
        emails_failed = excluded.emails_failed,
        emails_rejected = excluded.emails_rejected, emails_unknown = excluded.emails_unknown,
        latency_sum = excluded.latency_sum, latencies = excluded.latencies
""")

_DAY = text("""
    WITH day AS (
        SELECT * FROM provider_performance_history
        WHERE slot > mm_now() - interval '1 day' AND slot <= mm_now()
    ), counts AS (
        SELECT provider_id, sum(emails_sent) AS sent, sum(emails_failed) AS failed,
               sum(emails_rejected) AS rejected, sum(emails_unknown) AS unknown, sum(latency_sum) AS latency_sum
        FROM day GROUP BY 1
    ), steps AS (
        SELECT day.provider_id, CAST(scale.key AS int) AS step, sum(CAST(scale.value AS bigint)) AS emails
        FROM day CROSS JOIN LATERAL jsonb_each_text(day.latencies) AS scale GROUP BY 1, 2
    ), shares AS (
        SELECT provider_id, 0.1 * power(1.1, step) AS latency,
               sum(emails) OVER (PARTITION BY provider_id ORDER BY step)
                   / sum(emails) OVER (PARTITION BY provider_id) AS share
        FROM steps
    ), percentiles AS (
        SELECT provider_id, min(latency) FILTER (WHERE share >= 0.50) AS p50,
               min(latency) FILTER (WHERE share >= 0.95) AS p95, min(latency) FILTER (WHERE share >= 0.99) AS p99
        FROM shares GROUP BY 1
    )
    INSERT INTO provider_performance (id, provider_id, emails_sent, emails_failed, emails_rejected, emails_unknown,
        average_latency, latency_p50, latency_p95, latency_p99)
    SELECT gen_random_uuid(), p.id, COALESCE(c.sent, 0), COALESCE(c.failed, 0), COALESCE(c.rejected, 0),
           COALESCE(c.unknown, 0), COALESCE(c.latency_sum / NULLIF(c.sent, 0), 0), s.p50, s.p95, s.p99
    FROM providers p
    LEFT JOIN counts c ON c.provider_id = p.id
    LEFT JOIN percentiles s ON s.provider_id = p.id
    WHERE p.deleted_at IS NULL AND NOT p.test
    ORDER BY p.id
    ON CONFLICT (provider_id) DO UPDATE SET
        emails_sent = excluded.emails_sent, emails_failed = excluded.emails_failed,
        emails_rejected = excluded.emails_rejected, emails_unknown = excluded.emails_unknown,
        average_latency = excluded.average_latency, latency_p50 = excluded.latency_p50,
        latency_p95 = excluded.latency_p95, latency_p99 = excluded.latency_p99, last_updated = mm_now()
""")

# The mean of a Beta posterior with a prior of 0.99 worth 100 tries: few emails move it little.
_RELIABILITY = text("""
    UPDATE providers p SET reliability_score = (99.0 + f.emails_sent) / (100.0 + f.emails_sent + f.emails_failed)
    FROM provider_performance f WHERE f.provider_id = p.id
""")


def measure_providers(connection: Connection) -> None:
    """domain.ports.UpkeepStore.measure_providers."""
    for plan in ("enable_seqscan", "enable_hashjoin"):  # it reads many rows, and not by key
        connection.exec_driver_sql(f"SET LOCAL {plan} = on")
    for statement in (_FOLD, _DAY, _RELIABILITY):
        connection.execute(statement)
