"""Every list that the API has finds its page by an index, however much there is of the thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import text

from bench.volume import explained, nodes_of, rows_read
from tests.conftest import Databases
from tests.integration.api.test_access import HOOK_ID, ROUTES, path_of, things
from tests.integration.api.world import Caller, World, make_world

OTHERS, MANY, SOME = 2000, 4000, 30
MOST_ROWS = 500  # that a page of 25 may cost, of indexes and tables together

# Of others one each; of the caller many where nobody says how many there may be, and else some.
_OTHERS = """
    INSERT INTO users (id, email, password_hash) SELECT mm_uuid7(), 'other-' || n || '@example.com', '-'
    FROM generate_series(1, :others) n;
    CREATE TEMP TABLE owners ON COMMIT DROP AS
        SELECT id AS owner, 1 AS first, 1 AS many, 1 AS few FROM users WHERE email LIKE 'other-%'
        UNION ALL SELECT CAST(:caller AS uuid), 2, :many, :some;
"""
_FILL: Mapping[str, str] = {
    "api_keys": """(id, user_id, key, public_id, scopes, kind, expires_at)
        SELECT mm_uuid7(), owner, '-', left(md5(owner || kind || n), 16), '{}', kind, mm_now() + interval '1 day'
        FROM owners, generate_series(first, few) n, unnest(ARRAY['key', 'session']) kind""",
    "suppressions": """(id, user_id, address, scope, cause)
        SELECT mm_uuid7(), owner, n || '@example.com', 'all', 'hard_bounce'
        FROM owners, generate_series(first, many) n""",
    "audit_log": """(id, user_id, by, action, target)
        SELECT mm_uuid7(), owner, 'api', 'x', gen_random_uuid() FROM owners, generate_series(first, many) n""",
    "campaigns": """(id, user_id, name)
        SELECT mm_uuid7(), owner, 'c' || n FROM owners, generate_series(first, many) n""",
    "blobs": """(user_id, hash, size)
        SELECT owner, decode(md5(CAST(n AS text)), 'hex'), 1 FROM owners, generate_series(first, many) n""",
    "attachments": """(id, user_id, hash, filename, content_type)
        SELECT mm_uuid7(), user_id, hash, 'in-plans', 'text/plain' FROM blobs""",
    "webhook_endpoints": """(id, user_id, url, secret)
        SELECT mm_uuid7(), owner, 'https://example.com', '-' FROM owners, generate_series(first, few) n""",
    "webhook_messages": """(id, endpoint_id, type, state)
        SELECT mm_uuid7(), e.id, 'email.sent', 'told'
        FROM owners JOIN webhook_endpoints e ON e.user_id = owner, generate_series(1, many) n
        WHERE many = 1 OR e.id = CAST(:endpoint AS uuid)""",
    "email_templates": """(id, user_id, template_name, template_body)
        SELECT mm_uuid7(), owner, 't' || n, '' FROM owners, generate_series(first, few) n""",
    "email_template_versions": """(template_id, version, subject)
        SELECT t.id, n, '' FROM email_templates t, generate_series(2, 5) n""",
    "domains": """(id, user_id, name)
        SELECT mm_uuid7(), owner, n || '.example.com' FROM owners, generate_series(first, few) n""",
    "providers": """(id, user_id, name, kind, api_key, config, base_cost)
        SELECT mm_uuid7(), owner, 'p' || n, 'memory', '', '{}', 0 FROM owners, generate_series(first, few) n""",
    "routing_rules": """(id, user_id, email_type, default_provider)
        SELECT mm_uuid7(), user_id, 'transactional', id FROM providers WHERE user_id IS NOT NULL""",
    "email_types": """(id, user_id, name, category, lane)
        SELECT mm_uuid7(), owner, 't' || n, 'marketing', 'bulk' FROM owners, generate_series(first, few) n""",
    "halts": """(id, user_id, kind, value)
        SELECT mm_uuid7(), owner, 'type', 't' || n FROM owners, generate_series(first, few) n""",
    "erasures": """(id, user_id, subject, done_at)
        SELECT mm_uuid7(), owner, 'x' || n, mm_now() FROM owners, generate_series(first, many) n""",
    "budgets": """(id, user_id, period, amount, currency)
        SELECT mm_uuid7(), owner, 'day', 1, 'USD' FROM owners, generate_series(first, few) n""",
    "email_jobs": """(id, user_id, recipient, subject, content_hash, envelope, email_type, lane, on_unknown, options,
            tags, metadata, status)
        SELECT mm_uuid7(), owner, n || '@example.com', 's', '', '{"recipients": []}', 'transactional', 'transactional',
            'hold', '{}', '{}', '{}', 'sent' FROM owners, generate_series(first, many) n""",
}  # fmt: skip
# What is asked for beside the newest: entries that are rare, or that nobody has.
NARROWED = {
    "/v1/suppressions": ({"cause": "complaint"}, {"scope": "marketing"}, {"address": "nobody@example.com"}),
    f"/v1/webhooks/{HOOK_ID}/messages": ({"state": "failed"}, {"state": "waiting"}),
    "/v1/audit-log": ({"target": "01900000-0000-7000-8000-000000000000"},),
}


@pytest.fixture(scope="module")
def full(databases: Databases) -> Iterator[tuple[World, Caller, tuple[Any, ...]]]:
    with databases.clone() as url:
        world = make_world(url)
        caller = world.user("operator")
        ids = things(caller)
        values = {
            "others": OTHERS, "many": MANY, "some": SOME, "caller": caller.user_id, "endpoint": ids[5],
        }  # fmt: skip
        with world.engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on")
            for statement in _OTHERS.split(";")[:-1]:
                connection.execute(text(statement), values)
            for table, rows in _FILL.items():
                connection.execute(text(f"INSERT INTO {table} {rows}"), values)
        with world.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
        yield world, caller, ids
        world.close()


def test_every_list_reads_a_page_of_it_by_an_index(full: tuple[World, Caller, tuple[Any, ...]]) -> None:
    world, caller, ids = full
    lists, wrong = [], []
    for method, rule in ROUTES:
        if method != "GET":
            continue
        for query in ({}, *NARROWED.get(rule, ())):
            plans: list[Any] = []
            with explained(world.engine, plans):
                answer = caller.get(path_of(rule, *ids), query_string=query)
            if not (answer.is_json and "has_more" in answer.get_json()):
                continue
            lists.append(rule)
            assert answer.status_code == 200, rule
            found = [node for plan in plans for node in nodes_of(plan)]
            whole = {node["Relation Name"] for node in found if node["Node Type"].endswith("Seq Scan")}
            rows = sum(map(rows_read, found))
            if whole or rows > MOST_ROWS:
                wrong.append((rule, query, rows, sorted(whole)))
    assert wrong == []
    assert len(set(lists)) >= 17, "a list was taken for something else"
    assert set(NARROWED) <= set(lists)
