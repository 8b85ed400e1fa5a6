"""An address wherever it stands in the database: how it is found in texts, and blotted out of them, table by table.

What is gone through is every table that the models declare, but for those in which an account keeps its own set-up; so
a table that comes later is gone through too. A table is walked by its primary key, some rows at a time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ARRAY, Column, Connection, LargeBinary, String, Table, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB

from db.models import Base

BLOT: Final = "[erased]"
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]

# What users and operators set up for themselves, and what the house notes of itself: no recipient is in it.
KEPT: Final = frozenset(
    {
        "users", "api_keys", "sign_in_tries", "erasures", "erased_contents",
        "providers", "provider_prices", "budgets", "provider_quota", "quota_slots", "provider_performance",
        "provider_performance_history", "sender_domains", "warm_ups", "mailbox_hosts", "homes", "learner",
        "routing_rules", "routing_rule_fallbacks", "email_types", "email_templates", "email_template_versions",
        "webhook_endpoints", "domains", "worker_runs", "upkeep_duties", "email_queue", "emails_by_status",
        "blobs",
        "suppressions", "soft_bounces",  # these have a step of their own
    }
)  # fmt: skip

# Whose a row is, where it does not say so itself.
_OWNERS: Final[Mapping[str, str]] = {
    "email_status": "(SELECT j.user_id FROM email_jobs j WHERE j.id = t.email_job_id)",
    "delivery_attempts": "(SELECT j.user_id FROM email_jobs j WHERE j.id = t.job_id)",
    "webhook_messages": "(SELECT e.user_id FROM webhook_endpoints e WHERE e.id = t.endpoint_id)",
    "inbound_events": "coalesce((SELECT j.user_id FROM email_jobs j WHERE j.id = t.job_id), "
    "(SELECT p.user_id FROM providers p WHERE p.id = t.provider_id))",
}
# Rows that go as a whole: what was told of the address alone, what answered for it, and what is left of erased emails.
_GOES: Final[Mapping[str, str]] = {
    "inbound_events": "lower(t.event->>'recipient') = :address",
    "idempotency_keys": "{hit} OR (t.response->>'id') IS NOT NULL AND NOT EXISTS "
    "(SELECT FROM email_jobs j WHERE CAST(j.id AS text) = t.response->>'id')",
    "webhook_messages": "t.job_id IS NOT NULL AND NOT EXISTS (SELECT FROM email_jobs j WHERE j.id = t.job_id)",
}


def pattern(address: str) -> str:
    """A regular expression (PostgreSQL's, regardless of case) of the address as it stands in texts, JSON, forms and
    HTML; not as part of another one.
    """
    local, _, domain = address.rpartition("@")
    at = r"(?:@|%40|\\+u0040|&#64;|&#x40;|&commat;)"
    begins = r"(?:(?<![[:alnum:]._+-])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrtbf]))"
    return rf"{begins}{_escaped(local)}{at}{_escaped(domain)}(?![[:alnum:]-]|\.[[:alnum:]])"


def _escaped(part: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9]", lambda m: "\\" + m[0], part)
    return plain.replace(r"\+", r"(?:\+|%2[Bb]|\\+u002[Bb])")


def walked() -> Sequence[Table]:
    """The tables that are gone through, in the order of their names."""
    return [
        table for name, table in sorted(Base.metadata.tables.items()) if name not in KEPT and _texts(table)
    ]


def _texts(table: Table) -> list[Column[Any]]:
    return [
        c
        for c in table.columns
        if isinstance(c.type, String | JSONB)
        or (isinstance(c.type, ARRAY) and isinstance(c.type.item_type, String))
    ]


@dataclass(frozen=True, slots=True)
class Part:
    """What a step of a walk did. `after`: the key of the last row; None: the table is at its end."""

    changed: int
    after: list[str] | None


def blot(
    connection: Connection,
    table: Table,
    address: str,
    user_id: str | None,
    after: Sequence[str] | None,
    rows: int,
) -> Part:
    """Blot an address out of the next `rows` rows of a table. `user_id` None: of everybody's."""
    owned = "user_id" in table.columns
    if user_id is not None and not owned and table.name not in _OWNERS:
        return Part(0, None)
    values: dict[str, Any] = {
        "pattern": pattern(address),
        "like": like(address),
        "address": address,
        "rows": rows,
    }
    if user_id is not None:
        values["user"] = user_id
    for place, value in enumerate(after or ()):
        values[f"after{place}"] = value
    found = connection.execute(text(_statement(table, user_id is not None, after is not None)), values).one()
    return Part(found.changed, list(found.last) if found.seen == rows else None)


def _statement(table: Table, of_user: bool, onwards: bool) -> str:
    keys, columns = list(table.primary_key.columns), _texts(table)
    key = ", ".join(f"t.{c.name}" for c in keys)
    shown = ", ".join(_written(c) for c in keys)
    hit = " OR ".join(
        f"(lower(t.{_name(c)}::text) LIKE :like AND t.{_name(c)}::text ~* :pattern)" for c in columns
    )
    owner = "t.user_id" if "user_id" in table.columns else _OWNERS.get(table.name, "NULL")
    where = ["true"]
    if onwards:
        where.append(f"({key}) > ({', '.join(_read(c, f'after{n}') for n, c in enumerate(keys))})")
    mine = f"({owner}) = CAST(:user AS uuid)" if of_user else "true"
    goes = _GOES.get(table.name, "false").format(hit=f"({hit})")
    cells = ", ".join(f"{_name(c)} = {_blotted(table, c)}" for c in columns)
    same = " AND ".join(f"t.{c.name} = p.k{n}" for n, c in enumerate(keys))
    picked = ", ".join(f"t.{c.name} AS k{n}" for n, c in enumerate(keys))
    order = ", ".join(f"k{n} DESC" for n in range(len(keys)))
    return f"""
        WITH part AS MATERIALIZED (
            SELECT {picked}, ARRAY[{shown}] AS shown, {mine} AND ({goes}) AS goes, {mine} AND ({hit}) AS hit
            FROM {table.name} t WHERE {" AND ".join(where)} ORDER BY {key} LIMIT :rows
        ), gone AS (
            DELETE FROM {table.name} t USING part p WHERE {same} AND p.goes RETURNING 1
        ), blotted AS (
            UPDATE {table.name} t SET {cells} FROM part p WHERE {same} AND p.hit AND NOT p.goes RETURNING 1
        )
        SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM blotted) AS changed,
            (SELECT count(*) FROM part) AS seen, (SELECT shown FROM part ORDER BY {order} LIMIT 1) AS last
    """  # noqa: S608  # names of our own tables and columns


def _blotted(table: Table, column: Column[Any]) -> str:
    """The cell without the address. One that has to be unique gets another name altogether."""
    name = f"t.{_name(column)}"
    unique = column.primary_key or any(i.unique and column.name in i.columns for i in table.indexes)
    if unique:
        return f"CASE WHEN {name}::text ~* :pattern THEN 'erased-' || CAST(gen_random_uuid() AS text) ELSE {name} END"
    kind = column.type.compile(_DIALECT)
    changed = f"CAST(regexp_replace({name}::text, :pattern, '{BLOT}', 'gi') AS {kind})"
    return f"CASE WHEN {name}::text ~* :pattern THEN {changed} ELSE {name} END"


def _name(column: Column[Any]) -> str:
    return f'"{column.name}"'


def _written(column: Column[Any]) -> str:
    if isinstance(column.type, LargeBinary):
        return f"encode(t.{column.name}, 'hex')"
    return f"t.{column.name}::text"


def _read(column: Column[Any], name: str) -> str:
    if isinstance(column.type, LargeBinary):
        return f"decode(:{name}, 'hex')"
    return f"CAST(:{name} AS {column.type.compile(_DIALECT)})"


def like(address: str) -> str:
    """A part of the address that no notation changes, so that the expression is tried on few texts."""
    local, _, domain = address.rpartition("@")
    part = local if re.fullmatch(r"[a-z0-9._-]{3,}", local) else domain
    return "%" + re.sub(r"([%_\\])", r"\\\1", part) + "%"
