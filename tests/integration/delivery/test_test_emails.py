"""Emails of test keys on their way: magic addresses, and nothing of it in quotas, health, learning or other lists."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import insert

from db import models
from domain.attempt import Outcome
from providers import magic, memory
from routing.snapshot import Snapshot
from tests.builders import USER, a_submission, new_id
from tests.integration.delivery.conftest import House
from workers.fleet import known
from workers.inbound import apply_events
from workers.mind import mind_of


def an_account(house: House) -> UUID:
    """An account of test keys beside the user's, with its provider."""
    account = new_id()
    house.adapters["test"] = memory.MemoryProvider("test", memory.Config(magic=True))
    with house.units() as unit:
        assert unit.accounts.add_test_account(account, USER)
        unit.accounts.add_test_provider(new_id(), account, "")
        unit.commit()
    return account


def tried(house: House, account: UUID, address: str, **more: Any) -> UUID:
    """A test email after its first try, and after the events that came of it."""
    email = a_submission(user_id=account, test=True, to=(address,), **more)
    (job,) = house.accept(email)
    house.drain()
    apply_events(house.units, house.bell, house.clock, structlog.get_logger("test"))
    return job


FATES = {
    "delivered": ("delivered", ["delivered"]),
    "anybody": ("delivered", ["delivered"]),
    "silent": ("sent", []),
    "bounced": ("bounced", ["bounced"]),
    "softbounced": ("bounced", ["bounced"]),
    "deferred": ("delivered", ["deferred", "delivered"]),
    "complained": ("complained", ["complained", "delivered"]),
    "unsubscribed": ("delivered", ["delivered", "unsubscribed"]),
    "opened": ("delivered", ["delivered", "opened"]),
    "clicked": ("delivered", ["clicked", "delivered", "opened"]),
    "rejected": ("failed", []),
    "suppressed": ("suppressed", []),
    "unknown": ("unknown", []),
    "unavailable": ("deferred", []),
    "ratelimited": ("deferred", []),
}


def test_the_address_says_what_becomes_of_the_email(house: House) -> None:
    account = an_account(house)
    found = {}
    for word in FATES:
        job = tried(house, account, f"{word.title()}+7@example.com")
        told = house.all("SELECT event->>'type' AS type FROM inbound_events WHERE job_id = :id", id=job)
        found[word] = house.job(job).status, sorted(t.type for t in told)
    assert found == FATES


def test_every_word_is_in_the_table_above() -> None:
    assert FATES.keys() - {"anybody"} == {*magic.EVENTS, *magic.ANSWERS}


def test_a_test_email_goes_to_no_other_provider_and_a_live_one_not_to_the_test_provider(house: House) -> None:
    account = an_account(house)
    real = house.provider("real")
    tried(house, account, "delivered@example.com")
    assert (len(real.calls), len(house.adapters["test"].calls)) == (0, 1)
    house.accept(a_submission())
    house.drain()
    assert (len(real.calls), len(house.adapters["test"].calls)) == (1, 1)


def test_no_rule_or_type_keeps_a_test_email_from_its_provider(house: House) -> None:
    account = an_account(house)
    house.provider("real")
    with house.engine.begin() as connection:
        connection.exec_driver_sql(
            """INSERT INTO routing_rules (id, email_type, default_provider)
               SELECT gen_random_uuid(), 'transactional', id FROM providers WHERE name = 'real'"""
        )
    job = tried(house, account, "delivered@example.com")
    assert house.job(job).status == "delivered"


def test_without_its_provider_a_test_email_waits_and_goes_to_no_other(house: House) -> None:
    account = an_account(house)
    real = house.provider("real")
    with house.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE providers SET deleted_at = mm_now() WHERE test")
    job = tried(house, account, "delivered@example.com")
    assert (house.job(job).status, len(real.calls)) != ("sent", 1)
    assert real.calls == ()


def test_bounces_and_complaints_come_on_the_test_list_alone(house: House) -> None:
    account = an_account(house)
    for word in ("bounced", "complained", "suppressed"):
        tried(house, account, f"{word}@example.com")
    listed = house.all("SELECT user_id, address FROM suppressions")
    assert {row.user_id for row in listed} == {account}
    assert {row.address for row in listed} == {
        f"{w}@example.com" for w in ("bounced", "complained", "suppressed")
    }


def test_it_is_no_news_of_any_providers_health(house: House) -> None:
    account = an_account(house)
    for _ in range(10):
        tried(house, account, "unavailable@example.com")
    with house.units() as unit:
        unit.upkeep.measure_providers()
        unit.commit()
    assert house.all("SELECT 1 FROM provider_performance_history") == []
    assert house.all("SELECT 1 FROM provider_performance") == []
    assert not list(house.redis.scan_iter("*breaker*"))
    assert house.all("SELECT 1 FROM provider_quota") == []
    job = tried(house, account, "delivered@example.com")
    assert house.job(job).status == "delivered"


def test_nobody_learns_of_test_providers(house: House) -> None:
    an_account(house)
    house.provider("real")
    with house.units() as unit:
        rows = unit.routes.providers()
        mind = mind_of(Snapshot(tuple(known(row, {}) for row in rows)), unit.learning.types(), {}, {})
    assert [p.name for p in mind.roster.providers] == ["real"]


def test_it_costs_nothing(house: House) -> None:
    job = tried(house, an_account(house), "delivered@example.com")
    (line,) = house.ledger(job)
    assert (line.outcome, line.estimated_cost) == (Outcome.ACCEPTED, 0)


def test_webhooks_of_test_keys_say_that_it_was_a_test(house: House) -> None:
    account = an_account(house)
    endpoints = {owner: new_id() for owner in (USER, account)}
    with house.engine.begin() as connection:
        for owner, endpoint in endpoints.items():
            row = {"id": endpoint, "user_id": owner, "url": "https://a.example/", "secret": ""}
            connection.execute(insert(models.WebhookEndpoint), row)
    tried(house, account, "delivered@example.com")
    with house.units() as unit:
        told = unit.webhooks.take(endpoints[account], 10, 60)
        others = unit.webhooks.take(endpoints[USER], 10, 60)
    assert [(t.payload or {}).get("type") for t in told] == ["email.sent", "email.delivered"]
    assert all(t.payload and t.payload["data"]["test"] is True for t in told)
    assert others == []
