"""Emails that still wait: taken back by a filter, or sent at another time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.api.world import EMAIL, Caller, World, fields


def in_hours(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def accepted(owner: Caller, **said: Any) -> str:
    answer = owner.post("/v1/emails", {**EMAIL, **said})
    assert answer.status_code == 202, answer.text
    return str(answer.get_json()["id"])


def status(owner: Caller, email_id: str) -> str:
    return str(owner.get(f"/v1/emails/{email_id}").get_json()["status"])


def test_a_filter_takes_back_what_waits_and_nothing_else(world: World, member: Caller) -> None:
    sale = [accepted(member, tags=["sale"]), accepted(member, tags=["sale"], send_at=in_hours(1))]
    other, held, working = accepted(member), accepted(member, tags=["sale"]), accepted(member, tags=["sale"])
    world.sql("UPDATE email_queue SET held = true WHERE job_id = :id", id=held)
    world.sql("UPDATE email_jobs SET status = 'unknown' WHERE id = :id", id=held)
    world.sql("UPDATE email_queue SET run = job_id, token = 1 WHERE job_id = :id", id=working)
    stranger = world.user()
    theirs = accepted(stranger, tags=["sale"])

    counted = member.post("/v1/emails/cancel", {"tag": "sale", "dry_run": True}).get_json()
    assert counted == {"cancelled": 2, "has_more": False}
    assert [status(member, i) for i in sale] == ["queued", "scheduled"]

    taken = member.post("/v1/emails/cancel", {"tag": "sale"}).get_json()
    assert taken == {"cancelled": 2, "has_more": False}
    assert [status(member, i) for i in sale] == ["cancelled", "cancelled"]
    assert [status(member, i) for i in (other, held, working)] == ["queued", "unknown", "sending"]
    assert status(stranger, theirs) == "queued"
    timeline = member.get(f"/v1/emails/{sale[0]}").get_json()["timeline"]
    assert [(t["status"], t["reason"]) for t in timeline][-1] == ("cancelled", "cancelled by request")
    assert member.post("/v1/emails/cancel", {"tag": "sale"}).get_json()["cancelled"] == 0


def test_emails_are_found_by_their_metadata(member: Caller) -> None:
    mine = accepted(member, metadata={"order": "7:a", "shop": "x"})
    accepted(member, metadata={"order": "8"})
    found = member.get("/v1/emails", query_string={"metadata": "order:7:a"}).get_json()["data"]
    assert [e["id"] for e in found] == [mine]
    wrong = member.get("/v1/emails", query_string={"metadata": "order"})
    assert (wrong.status_code, fields(wrong)) == (422, {"metadata"})


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({}, {""}),
        ({"dry_run": "yes", "status": "odd"}, {"/dry_run", "/status"}),
        ({"x": 1}, {"/x"}),
    ],
)
def test_all_emails_are_not_taken_back_at_once(member: Caller, said: dict[str, Any], wrong: set[str]) -> None:
    answer = member.post("/v1/emails/cancel", said)
    assert (answer.status_code, fields(answer)) == (422, wrong)


def test_a_scheduled_email_gets_another_time(world: World, member: Caller) -> None:
    email_id, later = accepted(member, send_at=in_hours(1)), in_hours(5)
    answer = member.post(f"/v1/emails/{email_id}/reschedule", {"send_at": later})
    assert (answer.status_code, answer.get_json()["status"]) == (200, "scheduled")
    [row] = world.sql(
        "SELECT j.send_at, q.due_at FROM email_jobs j JOIN email_queue q ON q.job_id = j.id WHERE j.id = :id",
        id=email_id,
    )
    assert row.send_at == row.due_at == datetime.fromisoformat(later)
    timeline = member.get(f"/v1/emails/{email_id}").get_json()["timeline"]
    assert [(t["status"], t["reason"]) for t in timeline][-1] == ("scheduled", "rescheduled by request")


@pytest.mark.parametrize("hours", [-1, 24 * 400, 3])
def test_a_time_that_it_cannot_have_is_refused(member: Caller, hours: float) -> None:
    email_id = accepted(member, send_at=in_hours(1), expires_at=in_hours(2))
    answer = member.post(f"/v1/emails/{email_id}/reschedule", {"send_at": in_hours(hours)})
    assert (answer.status_code, fields(answer)) == (422, {"/send_at"})


def test_what_is_not_scheduled_any_more_keeps_its_time(world: World, member: Caller) -> None:
    queued, due = accepted(member), accepted(member, send_at=in_hours(1))
    for email_id in (queued, due):
        with world.later("2 hours"):
            answer = member.post(f"/v1/emails/{email_id}/reschedule", {"send_at": in_hours(9)})
        assert (answer.status_code, answer.get_json()["type"]) == (409, "/problems/conflict")
