"""The migrations: up, down, up again, and nothing in the models that they do not make."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from db.models import Base
from tests.conftest import Databases
from wiring.migrate import migrations_folder

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
