"""Making many emails and a year of sums, by the database itself. The same each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

from sqlalchemy import Engine, text

from db.models.stats import COUNTS, LATENCIES
from domain.stats import BLOCK_MINUTES, DAY_MINUTES, SLOT_MINUTES, Dimension

USER: Final = UUID(int=1)
TYPES: Final = ("login-code", "receipt", "digest", "newsletter", "offer")
PROVIDERS: Final = ("p1", "p2", "p3", "p4")
RARE_TYPE, RARE_PROVIDER = "rare-type", "p5"  # of one email in 50,000
GROUPS: Final = ("google", "microsoft", "yahoo", "apple", "gmx", "proton", "zoho", "other")

# One in ten emails belongs to another user.
_PEOPLE = """
    INSERT INTO users (id, email, password_hash) VALUES
        ('00000000-0000-0000-0000-000000000001', 'one@example.com', '-'),
        ('00000000-0000-0000-0000-000000000002', 'two@example.com', '-')
"""
_CAMPAIGNS = """
    INSERT INTO campaigns (id, user_id, name)
    SELECT CAST(lpad(to_hex(n), 32, '0') AS uuid), '00000000-0000-0000-0000-000000000001', 'campaign ' || n
    FROM generate_series(1, 100) n
"""
_PROVIDER = text("""
    INSERT INTO providers (id, name, kind, api_key, config, base_cost)
    VALUES (CAST(lpad(to_hex(:n), 32, '0') AS uuid), :name, 'memory', '', '{}', :cost)
""")

# Ids are UUIDv7 of the two hundred days before now, in the order of time.
_EMAILS = text("""
    INSERT INTO email_jobs (id, user_id, recipient, subject, content_hash, envelope, email_type, lane, on_unknown,
        options, tags, metadata, status, provider_used, created_at, sent_at, campaign_id)
    SELECT CAST(lpad(to_hex(CAST(EXTRACT(epoch FROM at) * 1000 AS bigint)), 12, '0') || '7000'
                || lpad(to_hex(32768 + n % 16384), 4, '0') || lpad(to_hex(n), 12, '0') AS uuid),
        CASE WHEN n % 10 = 0 THEN '00000000-0000-0000-0000-000000000002'
            ELSE '00000000-0000-0000-0000-000000000001' END :: uuid,
        person, 'Your order ' || n, '\\x00',
        jsonb_build_object('from', jsonb_build_object('email', 'shop@news.example', 'name', 'Shop'),
            'recipients', jsonb_build_array(jsonb_build_object('email', person, 'name', '', 'kind', 'to'))
                || CASE WHEN n % 100 = 1 THEN jsonb_build_array(jsonb_build_object(
                    'email', 'copy-' || n % 4999 || '@firm.example', 'name', '', 'kind', 'cc')) ELSE '[]' END,
            'reply_to', '[]'::jsonb, 'headers', '[]'::jsonb),
        CASE WHEN n % 50000 = 13 THEN :rare_type ELSE (CAST(:types AS text[]))[1 + n % 5] END,
        CASE WHEN n % 5 < 2 THEN 'transactional' ELSE 'bulk' END, 'hold',
        '{"pinned": [], "excluded": [], "max_cost": null, "track_opens": false, "track_clicks": false}',
        CASE WHEN n % 50000 = 7 THEN ARRAY['rare'] WHEN n % 2 = 1 THEN ARRAY['tag-' || n % 19] ELSE '{}' END,
        CASE WHEN n % 3 = 0 THEN jsonb_build_object('order', 'o-' || n) ELSE '{}' END,
        CASE WHEN n % 50000 = 11 THEN 'failed' WHEN n % 100 = 3 THEN 'bounced' WHEN n % 4 = 0 THEN 'sent'
            ELSE 'delivered' END,
        CAST(lpad(to_hex(CASE WHEN n % 50000 = 17 THEN 5 ELSE 1 + n % 4 END), 32, '0') AS uuid), at,
        at + interval '1 second',
        CASE WHEN n % 5 > 2 THEN CAST(lpad(to_hex(1 + n % 97), 32, '0') AS uuid) END
    FROM generate_series(:first, :last) n
    CROSS JOIN LATERAL (SELECT mm_now() - interval '200 days' * (1 - CAST(n AS float) / :emails) AS at,
        'person-' || n % 30000 * 7919 % 30000 || '@mail' || n % 40 || '.example' AS person) x
""")
_ATTEMPTS = text("""
    INSERT INTO delivery_attempts (id, job_id, provider_id, run, token, round, recipients, estimated_cost, currency,
        decision, opened_at, settled_at, outcome, provider_message_id, latency_ms)
    SELECT id, id, provider_used, '00000000-0000-0000-0000-000000000001', 1, 0, 1, 0.0004, 'USD',
        '{"chosen": "p1"}', mm_now(), mm_now(), 'accepted', 'm-' || id, 40 + hashtext(CAST(id AS text)) % 40
    FROM email_jobs
""")
# By windows of 25, as the workers do.
_DUE = text("""
    INSERT INTO stats_due (measure, change, attempts)
    SELECT 'accepted', 1, array_agg(id) FROM (
        SELECT id, row_number() OVER (ORDER BY id) / 25 AS part FROM delivery_attempts) a GROUP BY part ORDER BY part
""")
_PART = 100_000
_SEEN_BY_ALL = "SELECT relallvisible > 0 FROM pg_class WHERE oid = CAST('email_jobs' AS regclass)"
_VACUUMS: Final = 5

_NAMES = ", ".join((*COUNTS, "spend", *LATENCIES))

# How many of the emails of a slot each kind gets: by day and night, more or less by chance.
_SUMS = text(f"""
    WITH kinds AS (
        SELECT p.n AS provider, t.name AS email_type, s.name AS sender, g.name AS mailbox_group,
            p.share * t.share * s.share * g.share AS share
        FROM (VALUES (1, 0.55), (2, 0.3), (3, 0.1), (4, 0.05)) p(n, share)
        CROSS JOIN (SELECT name, CAST(1 AS float) / 5 AS share FROM unnest(CAST(:types AS text[])) name) t
        CROSS JOIN (VALUES ('news.example', 0.7), ('shop.example', 0.3)) s(name, share)
        CROSS JOIN (SELECT name, CASE place WHEN 1 THEN 0.45 WHEN 2 THEN 0.2 ELSE 0.35 / 6 END AS share
            FROM unnest(CAST(:groups AS text[])) WITH ORDINALITY AS x(name, place)) g
    ), slots AS (
        SELECT slot,
            CAST(:emails AS float) * {SLOT_MINUTES} / (365 * {DAY_MINUTES})
                * (1 + 0.8 * sin(2 * pi() * EXTRACT(hour FROM slot) / 24)) AS emails,
            CAST(EXTRACT(doy FROM slot) AS int) AS day
        FROM generate_series(CAST(:since AS timestamptz), timestamptz '2025-12-31 23:59Z',
            interval '{SLOT_MINUTES} minutes') slot
    ), seen AS (
        SELECT slot, day, kinds.*, CAST(floor(emails * share + random()) AS int) AS sent FROM slots CROSS JOIN kinds
    )
    INSERT INTO email_stats (user_id, dimension, grain, slot, value, provider_id, currency, accepted, recipients,
        delivered, hard_bounced, soft_bounced, opened, clicked, spend, {", ".join(LATENCIES[11:17])})
    SELECT '00000000-0000-0000-0000-000000000001', d.dimension, {SLOT_MINUTES}, slot, d.value,
        CAST(lpad(to_hex(provider), 32, '0') AS uuid), 'USD', sum(sent), sum(sent), sum(sent), 0, sum(sent) / 100,
        sum(sent) / 3, sum(sent) / 20, sum(sent) * 0.0004, sum(sent) / 6, sum(sent) / 6, sum(sent) / 6, sum(sent) / 6,
        sum(sent) / 6, sum(sent) / 6
    FROM seen CROSS JOIN LATERAL (VALUES
        ('{Dimension.ALL}', ''), ('{Dimension.EMAIL_TYPE}', email_type), ('{Dimension.SENDER_DOMAIN}', sender),
        ('{Dimension.MAILBOX_GROUP}', mailbox_group),
        ('{Dimension.CAMPAIGN}', CASE WHEN email_type IN ('newsletter', 'offer')
            THEN '00000000-0000-0000-0000-0000000000' || lpad(to_hex(1 + day / 4), 2, '0') END)
    ) d(dimension, value)
    WHERE sent > 0 AND d.value IS NOT NULL
    GROUP BY 2, 4, 5, 6
""")  # noqa: S608  # constants of these modules only
_LONGER = [
    text(f"""
    INSERT INTO email_stats (user_id, dimension, grain, slot, value, provider_id, currency, {_NAMES})
    SELECT user_id, dimension, {minutes}, date_bin('{minutes} minutes', slot, timestamptz 'epoch'), value, provider_id,
        currency, {", ".join(f"sum({name})" for name in _NAMES.split(", "))}
    FROM email_stats WHERE grain = {SLOT_MINUTES} AND slot >= '2025-01-01Z' AND slot < '2026-01-01Z'
    GROUP BY 1, 2, 4, 5, 6, 7
    """)  # noqa: S608  # as above
    for minutes in (BLOCK_MINUTES, DAY_MINUTES)
]


def make_emails(engine: Engine, emails: int, made: Callable[[int], object] = lambda _: None) -> None:
    """With an accepted attempt each, of this moment, which is due to be added up. `made` is told how many there are."""
    with engine.begin() as connection:
        for setting in ("enable_seqscan = on", "enable_hashjoin = on", "statement_timeout = 0"):
            connection.exec_driver_sql(f"SET LOCAL {setting}")
        connection.exec_driver_sql(_PEOPLE)
        connection.exec_driver_sql(_CAMPAIGNS)
        for n, name in enumerate((*PROVIDERS, RARE_PROVIDER), start=1):
            connection.execute(_PROVIDER, {"n": n, "name": name, "cost": n / 10_000})
        for first in range(1, emails + 1, _PART):
            last = min(emails, first + _PART - 1)
            asked = {"types": list(TYPES), "rare_type": RARE_TYPE, "emails": emails}
            connection.execute(_EMAILS, {**asked, "first": first, "last": last})
            made(last)
        connection.execute(_ATTEMPTS)
        connection.execute(_DUE)
    _analyze(engine)


def make_sums(engine: Engine, emails: int, since: str = "2025-01-01Z") -> int:
    """Of a year, or the rest of it, in which so many were sent in a whole one; returns the rows of statistics."""
    with engine.begin() as connection:
        for setting in (
            "enable_seqscan = on",
            "enable_hashjoin = on",
            "statement_timeout = 0",
            "work_mem = '256MB'",
        ):
            connection.exec_driver_sql(f"SET LOCAL {setting}")
        connection.exec_driver_sql("SELECT setseed(0.5)")
        asked = {"types": list(TYPES), "groups": list(GROUPS), "emails": emails, "since": since}
        connection.execute(_SUMS, asked)
        for statement in _LONGER:
            connection.execute(statement)
        made: int = connection.exec_driver_sql("SELECT count(*) FROM email_stats").scalar_one()
    _analyze(engine)
    return made


def _analyze(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.exec_driver_sql("VACUUM ANALYZE")
        for _ in range(_VACUUMS):  # where somebody looked on, nothing is known to be seen by all
            if connection.exec_driver_sql(_SEEN_BY_ALL).scalar_one():
                break
            connection.exec_driver_sql("VACUUM email_jobs")
