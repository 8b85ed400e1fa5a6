"""Adding up the statistics. What is counted once more or less is written down by whoever changes it, in the same
transaction (`stats_due`, `campaign_changes`); a duty of the clock takes these rows away and adds them to the sums in
one transaction.

So each is added once, whatever dies, and nothing is read again: no clock, and no order of commits, can lose one.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from db.models.stats import COUNTS, LATENCIES
from domain.stats import BLOCK_MINUTES, DAY_MINUTES, SLOT_MINUTES, STEPS, Dimension
from routing.mailbox_groups import GROUP_OF_DOMAIN, OTHER

_ROWS: Final = 1000  # of what is due, in one transaction: an attempt each, or as many as a window has

_OF = {name: f"sum(change) FILTER (WHERE measure = '{name}')" for name in COUNTS if name != "recipients"}
_OF["recipients"] = "sum(change * recipients) FILTER (WHERE measure = 'accepted')"
# What may have been sent may be charged.
_OF["spend"] = "sum(change * estimated_cost) FILTER (WHERE measure IN ('accepted', 'unknown'))"
_SUMS = (*COUNTS, "spend")
_KEY = "user_id, dimension, grain, slot, value, provider_id, currency"

_ADD_UP = text(f"""
    WITH due AS (
        DELETE FROM stats_due WHERE id IN (SELECT id FROM stats_due ORDER BY id LIMIT {_ROWS})
        RETURNING measure, change, attempts
    ), seen AS (
        SELECT due.measure, due.change, a.provider_id, a.currency, a.recipients, a.estimated_cost,
            date_bin('{SLOT_MINUTES} minutes', a.opened_at, timestamptz 'epoch') AS slot,
            CASE WHEN due.measure = 'accepted'
                THEN LEAST({STEPS - 1}, floor(2 * ln(GREATEST(a.latency_ms, 1)) / ln(2))) END AS step,
            j.user_id, j.email_type, CAST(j.campaign_id AS text) AS campaign,
            lower(substring(j.envelope->'from'->>'email' FROM '[^@]*$')) AS sender_domain,
            lower(substring(j.recipient FROM '[^@]*$')) AS recipient_domain
        FROM due CROSS JOIN LATERAL unnest(due.attempts) AS u(id)
        JOIN delivery_attempts a ON a.id = u.id
        JOIN email_jobs j ON j.id = a.job_id
    ), sums AS (
        SELECT user_id, slot, provider_id, currency, email_type, campaign, sender_domain, recipient_domain,
            {", ".join(f"coalesce({of}, 0) AS {name}" for name, of in _OF.items())},
            {", ".join(f"sum(change) FILTER (WHERE step = {n}) AS {name}" for n, name in enumerate(LATENCIES))}
        FROM seen GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ), slots AS (
    SELECT sums.user_id, d.dimension, sums.slot, d.value, sums.provider_id, sums.currency,
        {", ".join(f"sum(sums.{name}) AS {name}" for name in (*_SUMS, *LATENCIES))}
    FROM sums
    LEFT JOIN unnest(CAST(:domains AS text[]), CAST(:groups AS text[])) AS own(domain, mailbox_group)
        ON own.domain = sums.recipient_domain
    LEFT JOIN mailbox_hosts h ON h.domain = sums.recipient_domain
    CROSS JOIN LATERAL (VALUES
        ('{Dimension.ALL}', ''),
        ('{Dimension.EMAIL_TYPE}', sums.email_type),
        ('{Dimension.SENDER_DOMAIN}', sums.sender_domain),
        ('{Dimension.MAILBOX_GROUP}', coalesce(own.mailbox_group, h.mailbox_group, '{OTHER}')),
        ('{Dimension.CAMPAIGN}', sums.campaign)
    ) AS d(dimension, value)
    WHERE d.value IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6
    )
    INSERT INTO email_stats AS s ({_KEY}, {", ".join((*_SUMS, *LATENCIES))})
    SELECT slots.user_id, slots.dimension, g.grain, g.slot, slots.value, slots.provider_id, slots.currency,
        {", ".join(f"sum(slots.{name})" for name in (*_SUMS, *LATENCIES))}
    FROM slots CROSS JOIN LATERAL (VALUES
        ({SLOT_MINUTES}, slots.slot),
        ({BLOCK_MINUTES}, date_bin('{BLOCK_MINUTES} minutes', slots.slot, timestamptz 'epoch')),
        ({DAY_MINUTES}, date_trunc('day', slots.slot, 'UTC'))
    ) AS g(grain, slot)
    GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7
    ON CONFLICT ({_KEY}) DO UPDATE SET
        {", ".join(f"{name} = s.{name} + excluded.{name}" for name in _SUMS)},
        {", ".join(f"{n} = nullif(coalesce(s.{n}, 0) + coalesce(excluded.{n}, 0), 0)" for n in LATENCIES)}
""")  # noqa: S608  # constants of these modules only
_CHANGES: Final = 5000  # of campaigns, in one transaction
_PACE = "interval '10 minutes'"  # that it is kept how many were sent in each second
# Emails may outlive their campaign: whoever deletes one waits for what is added to it, and takes that away too.
_COUNT_CAMPAIGNS = text(f"""
    WITH due AS (
        DELETE FROM campaign_changes WHERE (campaign_id, id) IN (
            SELECT campaign_id, id FROM campaign_changes ORDER BY campaign_id, id LIMIT {_CHANGES})
        RETURNING campaign_id, status, slot, change
    ), sums AS (
        SELECT campaign_id, status, slot, sum(change) AS emails FROM due GROUP BY 1, 2, 3
    ), alive AS (
        SELECT id FROM campaigns WHERE id IN (SELECT campaign_id FROM sums) ORDER BY id FOR KEY SHARE
    ), past AS (
        DELETE FROM campaign_counts c WHERE c.campaign_id IN (SELECT id FROM alive) AND c.status = 'sent'
            AND c.slot > timestamptz 'epoch' AND c.slot < mm_now() - {_PACE}
    )
    INSERT INTO campaign_counts AS c (campaign_id, status, slot, emails)
    SELECT campaign_id, status, slot, emails FROM sums
    WHERE campaign_id IN (SELECT id FROM alive)
        AND (slot = timestamptz 'epoch' OR slot >= mm_now() - {_PACE})
    ORDER BY 1, 2, 3
    ON CONFLICT (campaign_id, status, slot) DO UPDATE SET emails = c.emails + excluded.emails
""")  # noqa: S608  # constants of this module only
_MORE = text("SELECT EXISTS (SELECT FROM stats_due) OR EXISTS (SELECT FROM campaign_changes)")


def add_up(connection: Connection) -> bool:
    """domain.ports.UpkeepStore.add_up_stats."""
    own = {"domains": list(GROUP_OF_DOMAIN), "groups": list(GROUP_OF_DOMAIN.values())}
    connection.execute(_ADD_UP, own)
    connection.execute(_COUNT_CAMPAIGNS)
    return not connection.scalar(_MORE)
