"""Lists and statistics find their rows by indexes: the short form of `mailmux bench volume`."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from api.schemas.stats import StatsFilter
from bench.volume import GOAL_LIST, LISTS, STATS, YEAR, ask, asking_stats, listing
from bench.volume_data import USER, make_emails
from db.repositories.emails import EmailQuery
from db.uow import SqlUnitOfWork, open_engine
from domain.lifecycle import Status

BY = {
    "recipient": "ix_email_jobs_recipients",
    "recipient, in cc": "ix_email_jobs_recipients",
    "tag, of one in 50,000": "ix_email_jobs_tags",
    "tag, of none": "ix_email_jobs_tags",
    "metadata, of one email": "ix_email_jobs_metadata",
    "metadata, of none": "ix_email_jobs_metadata",
    "status, waiting": "ix_email_queue_user",
    "campaign": "ix_email_jobs_campaign",
}


@pytest.fixture
def engine(database_url: str) -> Engine:
    engine = open_engine(database_url, deadline=120)
    make_emails(engine, 20_000)
    return engine


def test_no_list_and_no_statistics_read_a_whole_table(engine: Engine) -> None:
    found = {what: ask(engine, what, GOAL_LIST, listing(query)) for what, query in LISTS.items()}
    assert {what: asked.whole_tables for what, asked in found.items() if asked.whole_tables} == {}
    assert {what: name for what, name in BY.items() if name not in found[what].indexes} == {}
    for what, more in STATS.items():
        query = StatsFilter.model_validate({**YEAR, **more})
        assert ask(engine, what, GOAL_LIST, asking_stats(query)).whole_tables == []
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
