"""Replays: past emails of the ledger, or another service's log, under other conditions."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.integration.api.world import Caller, World, fields
from wiring.bootstrap import new_id

REPLAY = "/v1/routing/replay"
SINCE = datetime(2029, 3, 1, tzinfo=UTC)
WEEK = {"since": SINCE.isoformat(), "until": (SINCE + timedelta(days=7)).isoformat()}


def ids(at: datetime, count: int) -> list[UUID]:
    """As RFC 9562 has them for that time."""
    milliseconds = int(at.timestamp() * 1000)
    return [
        UUID(int=(milliseconds << 80) | (7 << 76) | (2 << 62) | random.getrandbits(60)) for _ in range(count)
    ]


def sent(
    world: World, owner: Caller, provider: str, count: int, delivered: int, *, day: int = 0,
    domain: str = "firm.example", cost: str = "0.001", email_type: str = "transactional",
) -> None:  # fmt: skip
    """Emails of a past day that a provider accepted, and told of as delivered or bounced."""
    at = SINCE + timedelta(days=day, hours=1)
    provider_id = world.sql("SELECT id FROM providers WHERE name = :name AND user_id = :u", name=provider,
                            u=owner.user_id)[0].id  # fmt: skip
    for n, email in enumerate(ids(at, count)):
        attempt = new_id()
        world.sql(
            """
            WITH job AS (
                INSERT INTO email_jobs (id, user_id, recipient, subject, content_hash, envelope, email_type, lane,
                    on_unknown, options, tags, metadata, status, created_at, provider_used)
                VALUES (:id, :user, :to, 's', '', CAST(:envelope AS jsonb), :type, 'transactional', 'hold',
                    CAST(:options AS jsonb), '{}', '{}', :status, :at, :provider))
            , attempt AS (
                INSERT INTO delivery_attempts (id, job_id, provider_id, run, token, round, recipients, estimated_cost,
                    currency, decision, opened_at, settled_at, outcome, latency_ms)
                VALUES (:attempt, :id, :provider, :attempt, 1, 0, 1, :cost, 'USD', '{}', :at, :at, 'accepted', 120))
            INSERT INTO email_status (id, email_job_id, status, attempt_id, detail)
            VALUES (:note, :id, :status, :attempt, CAST(:detail AS jsonb))
            """,
            id=email, user=owner.user_id, to=f"a@{domain}", type=email_type, at=at + timedelta(seconds=n),
            provider=provider_id, attempt=attempt, note=new_id(), cost=cost,
            status="delivered" if n < delivered else "bounced",
            detail=json.dumps({"event": "delivered" if n < delivered else "bounced"}),
            envelope=json.dumps({"from": {"email": "shop@example.com", "name": ""}, "reply_to": [], "headers": [],
                                 "recipients": [{"email": f"a@{domain}", "name": "", "kind": "to"}]}),
            options=json.dumps({"pinned": [], "excluded": [], "max_cost": None, "track_opens": None,
                                "track_clicks": None}),
        )  # fmt: skip


def account(owner: Caller, name: str, cost: str) -> None:
    answer = owner.post("/v1/providers", {"name": name, "kind": "memory", "base_cost": cost})
    assert answer.status_code == 201, answer.text


@pytest.fixture
def shop(world: World) -> Caller:
    """A user of whom two providers have carried a hundred and fifty emails each."""
    owner = world.user()
    account(owner, "cheap", "0.0002")
    account(owner, "dear", "0.001")
    sent(world, owner, "cheap", 150, 120)
    sent(world, owner, "dear", 150, 149, day=1)
    return owner


def replayed(owner: Caller, **asked: Any) -> Any:
    answer = owner.post(REPLAY, asked)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def test_another_policy_is_laid_beside_what_happened(shop: Caller) -> None:
    found = replayed(shop, **WEEK, policy="cheapest")
    assert found["traffic"] == {
        "since": "2029-03-01T00:00:00Z", "until": "2029-03-08T00:00:00Z", "found": 300, "replayed": 300,
        "sampled": False,
    }  # fmt: skip
    assert found["cost"]["happened"] == pytest.approx(0.3)
    assert found["cost"]["would"]["mean"] == pytest.approx(300 * 0.0002, rel=0.1)
    assert found["cost_per_1000"]["difference"]["mean"] == pytest.approx(-0.8, rel=0.1)
    assert found["delivered"]["happened"] == pytest.approx(269 / 300, abs=1e-6)
    delivered = found["delivered"]["would"]
    assert delivered["low"] < 0.8 < delivered["high"]
    assert found["seconds"]["happened"] == pytest.approx(0.12)
    reliable = replayed(shop, **WEEK, policy="most_reliable")
    assert reliable["delivered"]["would"]["low"] > delivered["high"]
    assert {s["provider"]: round(s["would_emails"]) for s in reliable["providers"]}["dear"] > 280


def test_other_prices_and_other_providers(shop: Caller) -> None:
    only = replayed(shop, **WEEK, providers=["dear"])
    assert only["cost"]["would"]["mean"] == pytest.approx(0.3, rel=0.01)
    tiers = [{"up_to": 100, "per_recipient": "0.003"}, {"per_recipient": "0.001"}]
    asked = {"provider": "dear", "tiers": tiers}
    dearer = replayed(shop, **WEEK, providers=["dear"], prices=[asked])
    assert dearer["cost"]["would"]["mean"] == pytest.approx(0.5, rel=0.02)
    later = replayed(shop, **WEEK, providers=["dear"], prices=[{**asked, "recipients_before": 100}])
    assert later["cost"]["would"]["mean"] == pytest.approx(0.3, rel=0.02)


def test_what_was_seen_too_rarely_is_not_known(world: World, shop: Caller) -> None:
    account(shop, "new", "0.0001")
    found = replayed(shop, **WEEK, providers=["new"])
    assert found["delivered"]["would"] is None
    assert found["delivered"]["unknown"] == "new at other: 0 of the 100 observations that it takes"
    assert found["cells"] == [
        {
            "provider": "new", "mailbox_group": "other", "emails": 300, "observations": 0, "delivered": None,
            "unknown": "0 of the 100 observations that it takes",
        }
    ]  # fmt: skip
    assert found["cost"]["would"]["mean"] == pytest.approx(0.03, rel=0.02)


def test_of_many_emails_a_sample_is_replayed_and_said_to_be_one(shop: Caller) -> None:
    found = replayed(shop, **WEEK, limit=100, providers=["dear"])
    assert found["traffic"]["found"] == 300
    assert found["traffic"]["sampled"]
    assert 60 < found["traffic"]["replayed"] < 140
    assert found["cost"]["would"]["mean"] == pytest.approx(0.001 * 3 * found["traffic"]["replayed"], rel=0.01)


def test_a_period_without_emails_says_nothing(member: Caller) -> None:
    found = replayed(member, **WEEK)
    assert (found["traffic"]["found"], found["cost"]["would"]) == (0, None)


def test_nobody_elses_emails_or_providers_are_replayed(shop: Caller, member: Caller) -> None:
    assert replayed(member, **WEEK)["traffic"]["found"] == 0
    assert fields(member.post(REPLAY, {**WEEK, "providers": ["cheap"]})) == {"/providers/0"}


def test_the_same_question_has_the_same_answer_and_changes_nothing(world: World, shop: Caller) -> None:
    before = world.count("email_jobs", shop)
    assert replayed(shop, **WEEK) == replayed(shop, **WEEK)
    assert world.count("email_jobs", shop) == before


def test_in_lines_it_tells_how_far_it_is(shop: Caller) -> None:
    answer = shop.post(REPLAY, WEEK, headers={"Accept": "application/x-ndjson"})
    assert answer.content_type == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.get_data(as_text=True).splitlines()]
    assert [line["done"] for line in lines[:-1]] == [50, 100, 150, 200, 250, 300]
    assert lines[-1]["result"] == replayed(shop, **WEEK)


def test_one_replay_at_a_time(world: World, shop: Caller) -> None:
    assert world.deps.replaying.acquire(blocking=False)
    answer = shop.post(REPLAY, WEEK)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    world.deps.replaying.release()
    assert fields(shop.post(REPLAY, {**WEEK, "providers": ["nobody"]})) == {"/providers/0"}
    assert shop.post(REPLAY, WEEK).status_code == 200, "one that was refused holds nothing"


# -- another service's log -----------------------------------------------------------------------------------


def log(count: int = 200, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "at": (SINCE + timedelta(seconds=n)).isoformat(), "domain": "firm.example", "provider": "theirs",
            "delivered": n % 10 > 0, "seconds": 0.5, "cost": "0.002", **more,
        }
        for n in range(count)
    ]  # fmt: skip


def test_another_services_log_is_replayed_by_what_we_know_and_it_tells(world: World, member: Caller) -> None:
    account(member, "ours", "0.0005")
    blind = replayed(member, log=log())
    assert blind["cost"]["happened"] == pytest.approx(0.4)
    assert blind["cost"]["would"]["mean"] == pytest.approx(0.1, rel=0.02)
    assert blind["delivered"]["would"] is None
    told = replayed(member, log=log(), known_as={"theirs": "ours"})
    assert told["delivered"]["would"]["mean"] == pytest.approx(0.9, abs=0.02)
    assert told["delivered"]["happened"] == pytest.approx(0.9)
    assert told["seconds"]["would"]["mean"] == pytest.approx(0.5, rel=0.1)


def test_a_log_may_be_a_sample(member: Caller) -> None:
    account(member, "ours", "0.0005")
    found = replayed(member, log=log(100), sample_of=1000)
    assert found["traffic"]["found"] == 1000
    assert found["cost"]["would"]["mean"] == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {""}),
        ({"since": WEEK["since"]}, {""}),
        ({**WEEK, "until": WEEK["since"]}, {""}),
        ({**WEEK, "until": "2029-12-01T00:00:00Z"}, {""}),
        ({**WEEK, "log": log(1)}, {""}),
        ({**WEEK, "known_as": {"a": "b"}}, {""}),
        ({**WEEK, "policy": "best"}, {"/policy"}),
        ({**WEEK, "limit": 10}, {"/limit"}),
        ({**WEEK, "policies": {"nobody": "cheapest"}}, {"/policies/nobody"}),
        ({**WEEK, "email_types": ["nobody"]}, {"/email_types/0"}),
        (
            {**WEEK, "providers": ["x"], "prices": [{"provider": "y", "tiers": [{"per_recipient": "1"}]}]},
            {"/providers/0", "/prices/0/provider"},
        ),
        ({"log": log(1, domain="no domain", recipients=0)}, {"/log/0/domain", "/log/0/recipients"}),
        ({"log": log(1, email_type="nobody")}, {"/log/0/email_type"}),
        ({"log": log(3), "sample_of": 2}, {""}),
        ({"log": []}, {"/log"}),
    ],
)
def test_every_wrong_field_is_named(member: Caller, body: dict[str, Any], wrong: set[str]) -> None:
    answer = member.post(REPLAY, body)
    assert (answer.status_code, fields(answer)) == (422, wrong)
