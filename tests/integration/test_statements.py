"""Prepared statements and the text form of arrays, against a real server."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from db.repositories import claims, delivery, inbound, intake, quotas
from db.statements import Prepared
from db.uow import open_engine

ECHO = Prepared(
    "echo",
    """SELECT t, n, b, u
       FROM unnest(:texts, :numbers, :flags, :ids) WITH ORDINALITY AS e(t, n, b, u, place) ORDER BY place""",
    texts="text[]",
    numbers="float[]",
    flags="bool[]",
    ids="uuid[]",
)
PERCENT = Prepared("percent", "SELECT '100%' || :word", word="text")

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@pytest.fixture
def engine(database_url: str) -> Engine:
    return open_engine(database_url)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.one_of(st.none(), texts), max_size=8))
@example(
    [
        '"',
        "\\",
        '\\"',
        "{",
        "}",
        ",",
        "NULL",
        "null",
        "",
        " ",
        "a'b",
        "%s",
        "$1",
        "\n",
        "{a,b}",
        "\\x00",
        None,
    ]
)
def test_what_goes_in_comes_out(engine: Engine, words: list[str | None]) -> None:
    numbers = [None if word is None else len(word) / 3 for word in words]
    flags = [None if word is None else len(word) % 2 == 0 for word in words]
    ids = [None if word is None else uuid4() for word in words]
    with engine.connect() as connection:
        rows = ECHO(connection, texts=words, numbers=numbers, flags=flags, ids=ids).all()
    assert [tuple(row) for row in rows] == list(zip(words, numbers, flags, ids, strict=True))


def test_a_statement_is_prepared_once_per_connection_and_survives_a_rollback(engine: Engine) -> None:
    with engine.connect() as connection:
        assert PERCENT(connection, word="!").scalar() == "100%!"
        connection.rollback()
        assert PERCENT(connection, word="?").scalar() == "100%?"
        found = connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar()
        assert found == 1
    with engine.connect() as connection:
        connection.invalidate()  # a new connection knows nothing
        assert PERCENT(connection, word="").scalar() == "100%"


# A table outside and what was given inside: all that was given is read again for each row of the table.
_GIVEN_ROWS_READ_AGAIN = re.compile(
    r"^( +)->  Index Scan using .*\n(?: +(?:Index Cond|Filter): .*\n)*\1->  (?:Function|CTE) Scan",
    re.MULTILINE,
)


def _statements() -> list[Prepared]:
    modules = (claims, delivery, inbound, intake, quotas)
    return [value for module in modules for value in vars(module).values() if isinstance(value, Prepared)]


@pytest.mark.parametrize("statement", _statements(), ids=lambda s: s.name)
def test_no_statement_on_the_path_reads_a_whole_table_though_it_was_planned_on_an_empty_one(
    engine: Engine, statement: Prepared
) -> None:
    """A generic plan is kept while the table grows: it must find its rows by key."""
    with engine.connect() as connection:
        plan = "\n".join(connection.exec_driver_sql(statement.explain(connection)).scalars())
    assert not re.search(r"Seq Scan on (email_|delivery_|idempotency_|inbound_)", plan), plan
    assert not _GIVEN_ROWS_READ_AGAIN.search(plan), plan
