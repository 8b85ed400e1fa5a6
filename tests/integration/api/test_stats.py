"""Statistics as they are asked for: by days of a time zone, by one dimension, with what else it would have cost."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from tests.builders import new_id
from tests.integration.api.world import Caller, World, fields

ZERO: dict[str, Any] = {
    "sent": 0, "recipients": 0, "not_sent": 0, "unknown": 0, "delivered": 0, "bounced": 0, "hard_bounced": 0,
    "soft_bounced": 0, "complained": 0, "opened": 0, "clicked": 0, "latency_p50_ms": None, "latency_p95_ms": None,
    "spend": {}, "cheapest": {}, "single": [],
}  # fmt: skip
MARCH = {"since": "2026-03-01", "until": "2026-03-31"}


def account(caller: Caller, name: str, cost: str, **more: Any) -> UUID:
    answer = caller.post("/v1/providers", {"name": name, "kind": "memory", "base_cost": cost, **more})
    assert answer.status_code == 201, answer.text
    return UUID(answer.get_json()["id"])


def put(
    world: World,
    caller: Caller,
    provider: UUID,
    slot: str,
    dimension: str = "all",
    value: str = "",
    **counts: Any,
) -> None:
    """Sums of a quarter hour, as they are added up."""
    counts = {"accepted": 1, "recipients": 1, **counts}
    adding = ", ".join(f"{name} = s.{name} + excluded.{name}" for name in counts if "latency" not in name)
    world.sql(
        f"INSERT INTO email_stats AS s "
        f"(user_id, dimension, grain, slot, value, provider_id, currency, {', '.join(counts)}) "
        f"SELECT :user, :dimension, grain, at, :value, :provider, 'USD', {', '.join(f':{name}' for name in counts)} "
        "FROM (VALUES (15), (120), (1440)) AS g(grain) CROSS JOIN LATERAL "
        "date_bin(grain * interval '1 minute', CAST(:slot AS timestamptz), timestamptz 'epoch') AS at "
        "ON CONFLICT (user_id, dimension, grain, slot, value, provider_id, currency) "
        f"DO UPDATE SET {adding}",
        user=caller.user_id,
        dimension=dimension,
        slot=datetime.fromisoformat(slot),
        value=value,
        provider=provider,
        **counts,
    )


def asked(caller: Caller, **query: Any) -> Any:
    answer = caller.get("/v1/stats", query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def test_without_emails_everything_is_nothing(member: Caller) -> None:
    found = asked(member, **MARCH)
    assert (found["total"], found["groups"]) == (ZERO, [])
    shown = asked(member)
    days = datetime.fromisoformat(shown["until"]) - datetime.fromisoformat(shown["since"])
    assert days.days == 29


def test_everything_is_counted_with_latency_and_money(world: World, member: Caller) -> None:
    one, two = account(member, "one", "0.001"), account(member, "two", "0.002")
    bad: dict[str, Any] = {"hard_bounced": 3, "soft_bounced": 2, "complained": 1, "not_sent": 4, "unknown": 2}
    good: dict[str, Any] = {"accepted": 90, "recipients": 90, "delivered": 80, "opened": 40, "clicked": 9}
    put(world, member, one, "2026-03-01T10:00Z", **good, **bad, spend="0.092", latency_12=90)
    put(world, member, two, "2026-03-02T10:30Z", accepted=10, recipients=10, spend="0.02", latency_20=10)
    found = asked(member, **MARCH)["total"]
    assert (found["sent"], found["recipients"], found["delivered"], found["bounced"]) == (100, 100, 80, 5)
    assert (found["hard_bounced"], found["soft_bounced"], found["complained"]) == (3, 2, 1)
    assert (found["opened"], found["clicked"], found["not_sent"], found["unknown"]) == (40, 9, 4, 2)
    assert 64 <= found["latency_p50_ms"] <= 91 < 1024 <= found["latency_p95_ms"] <= 1449
    assert found["spend"] == {"USD": "0.112"}
    assert found["cheapest"] == {"USD": "0.1"}
    assert [(s["provider"], s["cost"], s["within_quota"]) for s in found["single"]] == [
        ("one", "0.1", True),
        ("two", "0.2", True),
    ]


@pytest.mark.parametrize(
    ("zone", "days"),
    [
        ("UTC", {"2026-03-01": 2, "2026-03-02": 1}),
        ("Asia/Kolkata", {"2026-03-01": 1, "2026-03-02": 2}),  # + 5:30
        ("America/St_Johns", {"2026-03-01": 2, "2026-03-02": 1}),  # - 3:30
        ("Pacific/Kiritimati", {"2026-03-02": 3}),  # + 14
    ],
)
def test_days_are_those_of_the_time_zone(
    world: World, member: Caller, zone: str, days: dict[str, int]
) -> None:
    one = account(member, "one", "0.001")
    for slot in ("2026-03-01T18:00Z", "2026-03-01T18:30Z", "2026-03-02T03:30Z"):
        put(world, member, one, slot)
    found = asked(member, since="2026-03-01", until="2026-03-02", timezone=zone, group_by="day")
    assert {group["day"]: group["sent"] for group in found["groups"]} == days
    assert found["total"]["sent"] == sum(days.values())


ZONES = (
    "UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Eucla", "Australia/Lord_Howe",
    "Pacific/Chatham", "Pacific/Auckland", "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/New_York",
    "America/St_Johns",
)  # fmt: skip


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    ("since", "until"),
    [("2026-03-02", "2026-04-20"), ("2026-03-29", "2026-03-29"), ("2026-04-05", "2026-04-06")],
)
def test_a_days_sums_are_those_of_its_quarters_wherever_it_begins(
    world: World, member: Caller, zone: str, since: str, until: str
) -> None:
    """Over the weeks in which clocks change."""
    one, two = account(member, "one", "0.001"), account(member, "two", "0.002")
    chance = random.Random(7)
    sent: Counter[tuple[str, str]] = Counter()
    rows = []
    for quarter in range(0, 55 * 96, 5):
        slot = datetime(2026, 2, 27, tzinfo=UTC) + timedelta(minutes=15 * quarter)
        provider, count = chance.choice((one, two)), chance.randint(1, 9)
        rows.append({"slot": slot, "provider": str(provider), "count": count})
        day = slot.astimezone(ZoneInfo(zone)).date().isoformat()
        if since <= day <= until:
            sent[day, str(provider)] += count
    for grain in (15, 120, 1440):
        world.sql(
            """INSERT INTO email_stats (user_id, dimension, grain, slot, value, provider_id, currency, accepted,
                recipients, spend, latency_10)
            SELECT :user, 'all', :grain, date_bin(:grain * interval '1 minute', slot, timestamptz 'epoch'), '',
                provider, 'USD', sum(sent), sum(sent), sum(sent) * 0.001, sum(sent)
            FROM unnest(CAST(:slots AS timestamptz[]), CAST(:providers AS uuid[]), CAST(:counts AS int[]))
                AS x(slot, provider, sent) GROUP BY 4, 6""",
            user=member.user_id,
            grain=grain,
            slots=[row["slot"] for row in rows],
            providers=[row["provider"] for row in rows],
            counts=[row["count"] for row in rows],
        )
    period = {"since": since, "until": until, "timezone": zone}
    found = asked(member, **period, group_by=["day", "provider"])
    assert {(g["day"], g["provider_id"]): g["sent"] for g in found["groups"]} == sent
    assert all(Decimal(g["spend"]["USD"]) * 1000 == g["sent"] for g in found["groups"])
    assert all(32 <= g["latency_p50_ms"] <= 46 for g in found["groups"])
    for total in (found["total"], asked(member, **period)["total"]):
        assert (total["sent"], total["recipients"]) == (sum(sent.values()),) * 2
    of_one = asked(member, **period, group_by="day", provider="one")
    assert {g["day"]: g["sent"] for g in of_one["groups"]} == {
        day: count for (day, provider), count in sent.items() if provider == str(one)
    }


def test_a_zone_whose_days_begin_within_a_quarter_hour_is_refused(member: Caller) -> None:
    long_ago = {"since": "1971-03-01", "until": "1971-03-31"}  # 44 minutes and 30 seconds behind, then
    for zone, days, status in (
        ("Africa/Monrovia", long_ago, 422),
        ("Africa/Monrovia", MARCH, 200),
        ("Asia/Kathmandu", MARCH, 200),
        ("Nowhere/At_all", MARCH, 422),
    ):
        answer = member.get("/v1/stats", query_string={**days, "timezone": zone})
        assert answer.status_code == status, zone
        assert status == 200 or fields(answer) == {"timezone"}


def test_groups_are_by_day_then_the_largest_first(world: World, member: Caller) -> None:
    one, two = account(member, "one", "0.001"), account(member, "two", "0.002")
    for provider, slot, group, count in (
        (one, "2026-03-02T10:00Z", "google", 5),
        (one, "2026-03-01T10:00Z", "google", 1),
        (two, "2026-03-01T10:00Z", "yahoo", 7),
        (two, "2026-03-01T10:30Z", "google", 2),
    ):
        put(world, member, provider, slot, "mailbox_group", group, accepted=count, recipients=count)
        put(world, member, provider, slot, accepted=count, recipients=count)
    found = asked(member, **MARCH, group_by=["day", "mailbox_group"])
    assert [(g["day"], g["mailbox_group"], g["sent"]) for g in found["groups"]] == [
        ("2026-03-01", "yahoo", 7),
        ("2026-03-01", "google", 3),
        ("2026-03-02", "google", 5),
    ]
    at_google = asked(member, **MARCH, group_by="provider", mailbox_group="google")
    assert [(g["provider"], g["provider_id"], g["sent"]) for g in at_google["groups"]] == [
        ("one", str(one), 6),
        ("two", str(two), 2),
    ]
    assert at_google["total"]["cheapest"] == {"USD": "0.008"}
    assert asked(member, **MARCH, mailbox_group="google", provider="two")["total"]["sent"] == 2
    assert asked(member, **MARCH, provider="nobody")["total"]["sent"] == 0


def test_campaigns_are_shown_with_their_names(world: World, member: Caller) -> None:
    one = account(member, "one", "0.001")
    campaign = member.post("/v1/campaigns", {"name": "spring"}).get_json()["id"]
    put(world, member, one, "2026-03-01T10:00Z", "campaign", campaign)
    (group,) = asked(member, **MARCH, group_by="campaign")["groups"]
    assert (group["campaign_id"], group["campaign"], group["sent"]) == (campaign, "spring", 1)
    assert asked(member, **MARCH, campaign_id=campaign)["total"]["sent"] == 1
    assert asked(member, **MARCH, campaign_id=str(new_id()))["total"]["sent"] == 0


def test_what_it_would_have_cost_reckons_with_tiers_months_and_quotas(world: World, member: Caller) -> None:
    tiered = account(member, "tiered", "1")
    account(member, "free", "0", quota={"daily": 10})
    tiers = [{"up_to": 100, "per_recipient": "0.01"}, {"per_recipient": "0.001"}]
    lists = [{"valid_from": "2020-01-01T00:00:00Z", "tiers": tiers}]
    member.put(f"/v1/providers/{tiered}/prices", {"prices": lists})
    put(world, member, tiered, "2026-02-10T10:00Z", accepted=50, recipients=50)
    put(world, member, tiered, "2026-03-10T10:00Z", accepted=200, recipients=200)
    total = asked(member, since="2026-02-01", until="2026-03-31")["total"]
    # 50 at 0.01; 100 at 0.01 and 100 at 0.001. Ten of each day are free.
    assert {s["provider"]: (s["cost"], s["within_quota"]) for s in total["single"]} == {
        "tiered": ("1.6", True),
        "free": ("0", False),
    }
    assert total["cheapest"] == {"USD": "1.49"}
    half = asked(member, since="2026-03-10", until="2026-03-10")["total"]
    assert {s["provider"]: s["cost"] for s in half["single"]} == {"tiered": "1.1", "free": "0"}


def test_no_split_is_named_where_all_quotas_together_are_too_small(world: World, member: Caller) -> None:
    one = account(member, "one", "0.001", quota={"monthly": 5})
    put(world, member, one, "2026-03-01T10:00Z", accepted=9, recipients=9)
    assert asked(member, **MARCH)["total"]["cheapest"] is None


def test_statistics_of_others_are_not_shown(world: World, member: Caller) -> None:
    other = world.user()
    theirs = account(other, "theirs", "0.001")
    put(world, other, theirs, "2026-03-01T10:00Z")
    assert asked(member, **MARCH, group_by="provider")["total"]["sent"] == 0
    assert asked(member, **MARCH, provider="theirs")["total"]["sent"] == 0


def test_all_that_is_wrong_with_a_question_is_named(member: Caller) -> None:
    wrong = {"since": "spring", "timezone": "here", "group_by": "hour", "mailbox_group": "pigeons", "x": "1"}
    answer = member.get("/v1/stats", query_string=wrong)
    assert answer.status_code == 422
    assert fields(answer) == {"since", "timezone", "group_by", "mailbox_group", "x"}
    for query, where in (
        ({"email_type": "a", "group_by": "campaign"}, {""}),
        ({"since": "2026-03-02", "until": "2026-03-01"}, {"since"}),
        ({"since": "2025-01-01", "until": "2026-03-01"}, {"since"}),
        ({"until": "0001-01-01"}, {"until"}),
        ({"until": "9999-12-31"}, {"until"}),
    ):
        answer = member.get("/v1/stats", query_string=query)
        assert (answer.status_code, fields(answer)) == (422, where), query
