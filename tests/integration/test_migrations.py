"""The migrations: up, down, up again, and nothing in the models that they do not make."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from db.models import Base
from db.repositories.selection import FOLLOWED
from domain.lifecycle import Status
from tests.conftest import Databases
from wiring.migrate import migrations_folder, upgrade
from wiring.secret import Secret

OWN = {"alembic_version"}


@pytest.fixture
def migrated(databases: Databases):
    """An empty database, and Alembic's configuration for it."""
    with databases.empty() as url:
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            config = Config()
            config.set_main_option("script_location", str(migrations_folder()))
            config.attributes["connection"] = connection
            yield connection, config
        engine.dispose()


def tables(connection: sa.Connection) -> set[str]:
    return set(sa.inspect(connection).get_table_names()) - OWN


def test_they_make_exactly_what_the_models_declare(migrated):
    connection, config = migrated
    command.upgrade(config, "head")
    assert tables(connection) == set(Base.metadata.tables)
    command.check(config)  # raises where the models have something more


def test_they_go_down_to_nothing_and_up_again(migrated):
    connection, config = migrated
    command.upgrade(config, "head")
    command.downgrade(config, "base")
    assert tables(connection) == set()
    left = "SELECT count(*) FROM pg_proc WHERE proname = 'mm_now'"
    assert connection.scalar(sa.text(left)) == 0
    assert connection.scalar(sa.text("SELECT count(*) FROM pg_class WHERE relname = 'claim_tokens'")) == 0
    command.upgrade(config, "head")
    assert tables(connection) == set(Base.metadata.tables)


def test_they_form_one_line(migrated):
    _, config = migrated
    assert len(ScriptDirectory.from_config(config).get_heads()) == 1


def test_each_is_committed_before_the_next_and_what_fails_goes_on_from_there(databases: Databases):
    """A migration that goes through all emails holds no lock that one before it took."""
    with databases.empty() as url:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        upgrade(Secret(url), "0080")
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE campaign_counts ()"))  # in the way of 0082
        with pytest.raises(sa.exc.ProgrammingError, match="campaign_counts"):
            upgrade(Secret(url))
        with engine.begin() as connection:
            assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "0081"
            assert "lookup_cursors" in tables(connection)
            connection.execute(sa.text("DROP TABLE campaign_counts"))
        upgrade(Secret(url))
        upgrade(Secret(url))
        with engine.connect() as connection:
            assert tables(connection) == set(Base.metadata.tables)


def test_the_email_types_that_everybody_has_are_there_from_the_start(migrated):
    connection, config = migrated
    command.upgrade(config, "head")
    rows = connection.execute(sa.text("SELECT name, lane, on_unknown FROM email_types ORDER BY name")).all()
    assert [tuple(r) for r in rows] == [
        ("marketing", "bulk", "hold"),
        ("transactional", "transactional", "hold"),
    ]


def test_the_tables_refuse_what_must_never_be(migrated):
    connection, config = migrated
    command.upgrade(config, "head")
    connection.commit()
    for nonsense in (
        "INSERT INTO email_queue (job_id, user_id, lane, due_at, run) VALUES"
        " (gen_random_uuid(), gen_random_uuid(), 'bulk', mm_now(), gen_random_uuid())",
        "INSERT INTO provider_quota (id, provider_id, daily_quota, reset_at) VALUES"
        " (gen_random_uuid(), gen_random_uuid(), -1, mm_now())",
    ):
        with pytest.raises(sa.exc.IntegrityError, match="check constraint"):
            connection.execute(sa.text(nonsense))
        connection.rollback()


def test_what_test_keys_have_reaches_nobody_where_they_are_taken_away(migrated):
    connection, config = migrated
    command.upgrade(config, "0075")
    user, test, job, key = (f"01900000-0000-7000-8000-00000000000{n}" for n in range(4))
    connection.execute(
        sa.text(f"""
        INSERT INTO users (id, email, password_hash, test_of)
        VALUES ('{user}', 'ada@example.com', '-', NULL), ('{test}', 'test', '', '{user}');
        INSERT INTO email_jobs (id, user_id, recipient, subject, content_hash, envelope, email_type, lane, on_unknown,
            options, tags, metadata, status)
        VALUES ('{job}', '{test}', 'a@b.example', 's', '', '{{"recipients": []}}', 'transactional', 'transactional',
            'hold', '{{}}', '{{}}', '{{}}', 'queued');
        INSERT INTO email_queue (job_id, user_id, lane, due_at) VALUES ('{job}', '{test}', 'transactional', mm_now());
        INSERT INTO api_keys (id, user_id, key, public_id, name, scopes)
        VALUES ('{key}', '{test}', '-', 'abc', 'k', '{{emails:send}}')
    """)
    )
    command.downgrade(config, "0070")
    assert connection.scalar(sa.text("SELECT count(*) FROM email_queue")) == 0
    assert connection.scalar(sa.text("SELECT status FROM email_jobs")) == "cancelled"
    assert connection.scalar(sa.text("SELECT revoked_at IS NOT NULL FROM api_keys"))


def _an_email(n: int, status: str) -> str:
    return f"""
        INSERT INTO email_jobs (id, user_id, recipient, subject, content_hash, envelope, email_type, lane, on_unknown,
            options, tags, metadata, status)
        VALUES ('01900000-0000-7000-8000-0000000000{n:02}', '01900000-0000-7000-8000-000000000000', 'a@b.example', 's',
            '', '{{"recipients": []}}', 'transactional', 'transactional', 'hold', '{{}}', '{{}}', '{{}}', '{status}')
    """


_A_USER = """
    INSERT INTO users (id, email, password_hash)
    VALUES ('01900000-0000-7000-8000-000000000000', 'ada@example.com', '-')
"""


def test_emails_of_before_are_found_by_their_status(migrated):
    connection, config = migrated
    command.upgrade(config, "0050")
    connection.execute(sa.text(_A_USER))
    for n, status in enumerate(Status):
        connection.execute(sa.text(_an_email(n, status)))
    command.upgrade(config, "0051")
    found = connection.scalars(sa.text("SELECT status FROM emails_by_status ORDER BY status")).all()
    assert found == sorted(FOLLOWED)


def test_sums_of_half_hours_become_those_of_quarters_and_come_back(migrated):
    connection, config = migrated
    command.upgrade(config, "0082")
    connection.execute(sa.text(_A_USER))
    connection.execute(
        sa.text("""
        INSERT INTO email_stats
            (user_id, dimension, grain, slot, value, provider_id, currency, accepted, spend, latency_5)
        SELECT '01900000-0000-7000-8000-000000000000', 'all', grain, CAST(slot AS timestamptz), '',
            '01900000-0000-7000-8000-000000000001', 'USD', sent, sent * 0.5, sent
        FROM (VALUES (30, '2026-03-01 10:30Z', 1), (30, '2026-03-01 11:00Z', 2), (30, '2026-03-01 12:30Z', 4),
            (1440, '2026-03-01Z', 7)) x(grain, slot, sent)
    """)
    )
    reading = sa.text("""
        SELECT grain, to_char(slot, 'HH24:MI') AS slot, accepted, CAST(spend AS float) AS spend, latency_5
        FROM email_stats ORDER BY 1, 2
    """)
    before = connection.execute(reading).all()
    command.upgrade(config, "0050")
    assert [tuple(row) for row in connection.execute(reading)] == [
        (15, "10:30", 1, 0.5, 1),
        (15, "11:00", 2, 1.0, 2),
        (15, "12:30", 4, 2.0, 4),
        (120, "10:00", 3, 1.5, 3),
        (120, "12:00", 4, 2.0, 4),
        (1440, "00:00", 7, 3.5, 7),
    ]
    command.downgrade(config, "0082")
    assert connection.execute(reading).all() == before
