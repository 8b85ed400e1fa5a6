from __future__ import annotations

import redis
import sqlalchemy as sa


def test_each_test_gets_a_migrated_database_of_its_own(database_url: str) -> None:
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        tables = set(sa.inspect(connection).get_table_names())
    assert {"users", "email_jobs", "email_queue", "alembic_version"} <= tables


def test_the_application_is_no_superuser(database_url: str) -> None:
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        name, powers = connection.execute(
            sa.text(
                "SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = current_user"
            )
        ).one()
    assert (name, powers) == ("mailmux", False)


def test_redis_is_empty_and_never_evicts(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=True) as connection:
        assert connection.dbsize() == 0
        assert connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
