"""Lists and statistics find their rows by indexes: the short form of `mailmux bench volume`."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from api.schemas.stats import StatsFilter
from bench.volume import GOAL_LIST, LISTS, STATS, YEAR, ask, asking_stats, listing
from bench.volume_data import PROVIDERS, USER, make_emails, make_sums
from db.repositories.selection import FOLLOWED, EmailQuery
from db.uow import SqlUnitOfWork, open_engine
from domain.lifecycle import Status
from domain.stats import BLOCK_MINUTES, SLOT_MINUTES, Dimension

BY = {
    "recipient": "ix_email_jobs_recipients",
    "recipient, in cc": "ix_email_jobs_recipients",
    "tag, of one in 50,000": "ix_email_jobs_tags",
    "tag, of none": "ix_email_jobs_tags",
    "metadata, of one email": "ix_email_jobs_metadata",
    "metadata, of none": "ix_email_jobs_metadata",
    "status, waiting": "ix_email_queue_user",
    "status, frequent": "pk_emails_by_status",
    "status, of one in 50,000": "pk_emails_by_status",
    "status, of none": "pk_emails_by_status",
    "campaign": "ix_email_jobs_campaign",
}
# A page may cost so many rows of indexes and tables. These conditions alone have no index: the page is found by walking
# back in time, past what others have.
MOST_ROWS, WALKS = 500, {"provider", "provider, of one in 50,000", "tag, of one in twenty"}
# The index holds what these ask for: it may be read to its end, and the table is not.
IN_INDEX = {"email_type", "email_type, of one in 50,000", "email_type, of none", "lane"}
# Half a day at most is moved to the day before or after, by blocks and the slots of one.
EDGE_BLOCKS, EDGE_SLOTS = 720 // BLOCK_MINUTES, BLOCK_MINUTES // SLOT_MINUTES
MOST_VALUES, OTHER_ROWS = 8, 500  # OTHER: what the user's months have cost, names, price lists
COUNTED = text("SELECT count(*) FROM email_jobs WHERE status = :status")


@pytest.fixture
def engine(database_url: str) -> Engine:
    engine = open_engine(database_url, deadline=120)
    make_emails(engine, 20_000)
    return engine


def test_no_list_and_no_statistics_read_a_whole_table(engine: Engine) -> None:
    found = {what: ask(engine, what, GOAL_LIST, listing(query)) for what, query in LISTS.items()}
    assert {what: asked.whole_tables for what, asked in found.items() if asked.whole_tables} == {}
    assert {what: name for what, name in BY.items() if name not in found[what].indexes} == {}
    walks = {what: asked.rows for what, asked in found.items() if asked.rows > MOST_ROWS}
    assert set(walks) <= WALKS | IN_INDEX, walks
    assert {what: found[what].table_rows for what in IN_INDEX if found[what].table_rows > MOST_ROWS} == {}
    engine.dispose()


def test_no_statistics_read_more_than_what_their_days_are_made_of(engine: Engine) -> None:
    """Of ten days of sums: so many rows of each account and value for each day, in whichever zone it begins."""
    make_sums(engine, 500_000, since="2025-12-22Z")
    days = 10 * len(PROVIDERS)
    for what, more in STATS.items():
        query = StatsFilter.model_validate({**YEAR, **more, "since": "2025-12-22"})
        asked = ask(engine, what, GOAL_LIST, asking_stats(query))
        values = 1 if query.dimension is Dimension.ALL else MOST_VALUES
        moved = query.timezone != "UTC" and "day" in query.group_by
        assert asked.whole_tables == [], what
        assert asked.rows <= days * (1 + moved * (EDGE_BLOCKS + EDGE_SLOTS)) * values + OTHER_ROWS, what
        assert asked.rows > days, "there is nothing to read"
    engine.dispose()


def test_emails_are_followed_by_the_statuses_that_few_have_and_by_no_other(engine: Engine) -> None:
    reading = text("""
        SELECT status, (SELECT array_agg(f.status) FROM emails_by_status f WHERE f.job_id = j.id) AS followed
        FROM email_jobs j WHERE id = :id
    """)
    with engine.connect() as connection:
        job = connection.scalar(text("SELECT id FROM email_jobs WHERE status = 'sent' LIMIT 1"))
        for before in Status:
            for after in Status:
                for status in (before, after):
                    change = text("UPDATE email_jobs SET status = :status WHERE id = :id")
                    connection.execute(change, {"status": status, "id": job})
                row = connection.execute(reading, {"id": job}).one()
                assert (row.status, row.followed) == (after, [after] if after in FOLLOWED else None)
        connection.execute(text("UPDATE email_jobs SET status = 'failed' WHERE id = :id"), {"id": job})
        connection.execute(text("DELETE FROM email_jobs WHERE id = :id"), {"id": job})
        assert (
            connection.scalar(text("SELECT count(*) FROM emails_by_status WHERE job_id = :id"), {"id": job})
            == 0
        )
        kept = {status: connection.scalar(COUNTED, {"status": status}) for status in FOLLOWED}
        listed = "SELECT status, count(*) FROM emails_by_status GROUP BY 1"
        assert dict(connection.execute(text(listed)).all()) == {s: n for s, n in kept.items() if n}
    engine.dispose()


def test_a_change_of_status_touches_no_index_of_emails(engine: Engine) -> None:
    """As the hot path's writes are measured: an index on the status would cost each email all of its indexes again."""
    with engine.connect() as connection:
        job = connection.scalar(text("SELECT id FROM email_jobs WHERE status = 'sent' LIMIT 1"))
        for status in ("delivered", "bounced", "unknown", "sent"):
            change = text("UPDATE email_jobs SET status = :status WHERE id = :id")
            connection.execute(change, {"status": status, "id": job})
        counts = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'email_jobs'"
        assert connection.execute(text(counts)).one() == (4, 4)
    engine.dispose()


def test_how_far_a_campaign_is_is_told_without_its_emails(engine: Engine) -> None:
    campaign = UUID(int=3)
    for adding_up in (False, True):
        if adding_up:
            with SqlUnitOfWork(engine) as unit:
                while not unit.upkeep.add_up_stats():
                    unit.commit()
                unit.commit()
        asked = ask(engine, "progress", GOAL_LIST, lambda unit: unit.campaigns.progress(campaign))
        assert set(asked.whole_tables) <= {"stats_due"}, "what waits to be added up is read as a whole"
        assert {"pk_campaign_counts", "pk_campaign_changes"} <= set(asked.indexes)
        assert "ix_email_jobs_campaign" not in asked.indexes
        with SqlUnitOfWork(engine) as unit:
            found = unit.campaigns.progress(campaign)
            sql = "SELECT status, count(*) FROM email_jobs WHERE campaign_id = :id GROUP BY 1"
            counted = {row[0]: row[1] for row in unit.connection.execute(text(sql), {"id": campaign})}
            paid = "SELECT sum(estimated_cost) FROM delivery_attempts a JOIN email_jobs j ON j.id = a.job_id"
            spent = unit.connection.scalar(text(f"{paid} WHERE campaign_id = :id"), {"id": campaign})
        assert (found["statuses"], found["spent"]) == (counted, spent)
    engine.dispose()


@pytest.mark.parametrize(
    ("query", "condition"),
    [
        (EmailQuery(tag="tag-3"), "'tag-3' = ANY(tags)"),
        (EmailQuery(tag="rare"), "'rare' = ANY(tags)"),
        (EmailQuery(tag="tag-3", status=Status.BOUNCED), "'tag-3' = ANY(tags) AND status = 'bounced'"),
        (EmailQuery(metadata='{"order": "o-4242"}'), "metadata->>'order' = 'o-4242'"),
    ],
)
def test_what_is_found_by_few_rows_is_what_a_walk_through_all_finds(
    engine: Engine, query: EmailQuery, condition: str
) -> None:
    with engine.connect() as connection:
        sql = f"SELECT id FROM email_jobs WHERE user_id = :user AND {condition} ORDER BY id DESC LIMIT 26"
        wanted = list(connection.execute(text(sql), {"user": USER}).scalars())
    with SqlUnitOfWork(engine) as unit:
        assert [row["id"] for row in unit.emails.list(USER, query, 26)] == wanted
    assert wanted
    engine.dispose()
