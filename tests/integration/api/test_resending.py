"""Emails that are sent again, and emails that get another time by a filter."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from tests.integration.api.world import EMAIL, Caller, World, fields

LIST = "List-Unsubscribe"


def in_hours(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def accepted(owner: Caller, **said: Any) -> str:
    answer = owner.post("/v1/emails", {**EMAIL, **said})
    assert answer.status_code == 202, answer.text
    return str(answer.get_json()["id"])


def ended(world: World, owner: Caller, status: str = "failed", **said: Any) -> str:
    """An email whose delivery has ended so."""
    email_id = accepted(owner, **said)
    world.sql("DELETE FROM email_queue WHERE job_id = :id", id=email_id)
    world.sql("UPDATE email_jobs SET status = :status WHERE id = :id", id=email_id, status=status)
    return email_id


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def again(owner: Caller, email_id: str, **options: Any) -> Any:
    return owner.post(f"/v1/emails/{email_id}/resend", **options)


def column(world: World, name: str, ids: Sequence[str]) -> list[Any]:
    found = {
        str(i): value
        for i, value in world.sql(
            f"SELECT id, {name} FROM email_jobs WHERE id = ANY(:ids)", ids=list(map(UUID, ids))
        )
    }
    return [found[i] for i in ids]


@pytest.mark.parametrize("status", ["failed", "unknown"])
def test_a_new_email_takes_the_place_of_the_old_one(world: World, member: Caller, status: str) -> None:
    said = {
        "cc": ["bob@example.org"],
        "html": "<p>It is on its way.</p>",
        "tags": ["order"],
        "metadata": {"order": "7"},
        "headers": {"X-Order": "7"},
        "attachments": [{"filename": "a.txt", "content": "aGVsbG8="}],
    }
    old = ended(world, member, status, **said)
    answer = again(member, old)
    assert (answer.status_code, answer.get_json()["status"]) == (202, "queued")
    new = answer.get_json()["id"]
    assert answer.headers["Location"] == f"/v1/emails/{new}"
    for name in ("envelope", "options", "tags", "metadata", "content_hash", "subject", "email_type"):
        before, after = column(world, name, [old, new])
        assert before == after, name
    assert member.get(f"/v1/emails/{old}").get_json()["resent_as"] == new
    shown = member.get(f"/v1/emails/{new}").get_json()
    assert (shown["resend_of"], shown["resent_as"]) == (old, None)
    assert [a["filename"] for a in shown["attachments"]] == ["a.txt"]


def test_an_email_is_sent_again_once_and_its_successor_in_turn(world: World, member: Caller) -> None:
    old = ended(world, member)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: again(member, old), range(8)))
    assert sorted(a.status_code for a in answers) == [202] + [409] * 7
    [new] = [a.get_json()["id"] for a in answers if a.status_code == 202]
    assert {a.get_json()["resent_as"] for a in answers if a.status_code == 409} == {new}
    assert world.count("email_jobs", member) == 2
    world.sql("UPDATE email_jobs SET status = 'failed' WHERE id = :id", id=new)
    assert again(member, new).status_code == 202


def test_requests_that_share_a_transaction_send_an_email_again_once(world: World, member: Caller) -> None:
    olds = [ended(world, member, tags=["again"]) for _ in range(3)]
    with ThreadPoolExecutor(9) as pool, world.engine.connect() as other:
        other.execute(text("LOCK TABLE email_jobs IN EXCLUSIVE MODE"))
        pool.submit(accepted, member)
        until(lambda: world.deps.gathering._busy)
        one = [pool.submit(again, member, olds[0]) for _ in range(4)]
        some = [pool.submit(member.post, "/v1/emails/resend", {"tag": "again"}) for _ in range(4)]
        until(lambda: len(world.deps.gathering._waiting) == 8)
        other.rollback()
        assert sorted(a.result().status_code for a in one)[1:] == [409] * 3
        assert {a.result().status_code for a in some} == {200}
    assert world.count("email_jobs", member) == len(olds) + 1 + len(olds)
    resent = [member.get(f"/v1/emails/{old}").get_json()["resent_as"] for old in olds]
    assert len(set(resent)) == len(olds)
    assert None not in resent


def test_the_same_request_again_gets_the_same_answer(world: World, member: Caller) -> None:
    old, headers = ended(world, member), {"Idempotency-Key": "k-resend"}
    first, second = (again(member, old, headers=headers) for _ in range(2))
    assert first.get_json() == second.get_json()
    assert second.headers["Idempotent-Replayed"] == "true"
    other = again(member, ended(world, member), headers=headers)
    assert (other.status_code, other.get_json()["type"]) == (422, "/problems/idempotency-key-reused")


@pytest.mark.parametrize("status", ["sent", "delivered", "bounced", "cancelled", "suppressed", "expired"])
def test_what_did_not_fail_is_not_sent_again(world: World, member: Caller, status: str) -> None:
    answer = again(member, ended(world, member, status))
    assert answer.status_code == 409
    assert status in answer.get_json()["detail"]
    assert world.count("email_jobs", member) == 1


def test_what_cannot_or_need_not_be_sent_again_is_said(world: World, member: Caller) -> None:
    waiting, purged = accepted(member), ended(world, member, text="To be purged.")
    late = ended(world, member, expires_at=in_hours(1))
    retried = accepted(member, on_unknown="resend")
    world.sql("UPDATE email_jobs SET status = 'unknown' WHERE id = :id", id=retried)
    [hash_] = column(world, "content_hash", [purged])
    world.sql("DELETE FROM email_contents WHERE user_id = :u AND hash = :h", u=member.user_id, h=hash_)
    assert "queued" in again(member, waiting).get_json()["detail"]
    assert "purged" in again(member, purged).get_json()["detail"]
    assert "by itself" in again(member, retried).get_json()["detail"]
    with world.later("2 hours"):
        assert "expired" in again(member, late).get_json()["detail"]
    assert world.count("email_jobs", member) == 4


def test_emails_of_others_are_not_there(world: World, member: Caller) -> None:
    old = ended(world, member)
    stranger = world.user()
    assert again(stranger, old).status_code == 404
    counted = stranger.post("/v1/emails/resend", {"status": "failed", "dry_run": True}).get_json()
    assert counted["resent"] == 0


def test_somebody_who_left_meanwhile_is_not_written_to(world: World, member: Caller) -> None:
    old = ended(world, member)
    entry = {"address": "ada@example.org", "scope": "all"}
    assert member.post("/v1/suppressions", {"entries": [entry]}).status_code < 300
    assert again(member, old).get_json()["status"] == "suppressed"


def test_marketing_gets_a_link_of_its_own_to_unsubscribe_by(world: World, member: Caller) -> None:
    old = ended(world, member, email_type="marketing")
    new = again(member, old).get_json()["id"]
    links = [[v for n, v in e["headers"] if n == LIST] for e in column(world, "envelope", [old, new])]
    assert [len(of_one) for of_one in links] == [1, 1]
    assert links[0] != links[1]
    mine = ended(world, member, email_type="marketing", headers={LIST: "<mailto:leave@example.com>"})
    new = again(member, mine).get_json()["id"]
    assert column(world, "envelope", [new])[0]["headers"] == [[LIST, "<mailto:leave@example.com>"]]


def test_a_filter_sends_again_what_failed_and_nothing_twice(world: World, member: Caller) -> None:
    failed = [ended(world, member, tags=["sale"]) for _ in range(3)]
    unknown = ended(world, member, "unknown", tags=["sale"])
    ended(world, member, "sent", tags=["sale"])
    ended(world, member, tags=["other"])
    want = {"tag": "sale"}
    counted = member.post("/v1/emails/resend", {**want, "dry_run": True}).get_json()
    assert counted == {"resent": 3, "refused": [], "has_more": False, "next_cursor": None}
    assert world.count("email_jobs", member) == 6
    assert member.post("/v1/emails/resend", want).get_json()["resent"] == 3
    assert member.post("/v1/emails/resend", want).get_json()["resent"] == 0
    assert all(member.get(f"/v1/emails/{i}").get_json()["resent_as"] for i in failed)
    assert member.get(f"/v1/emails/{unknown}").get_json()["resent_as"] is None
    assert member.post("/v1/emails/resend", {**want, "status": "unknown"}).get_json()["resent"] == 1


def test_what_lost_its_body_or_a_file_is_not_meant_by_a_filter(world: World, member: Caller) -> None:
    file = {"filename": "a.txt", "content": "aGVsbG8="}
    bare, whole = (ended(world, member, tags=["x"], attachments=[file]) for _ in range(2))
    purged = ended(world, member, tags=["x"], text="To be purged.")
    world.sql("DELETE FROM email_attachments WHERE job_id = :id", id=bare)
    [hash_] = column(world, "content_hash", [purged])
    world.sql("DELETE FROM email_contents WHERE user_id = :u AND hash = :h", u=member.user_id, h=hash_)
    assert "purged" in again(member, bare).get_json()["detail"]
    counted = member.post("/v1/emails/resend", {"tag": "x", "dry_run": True}).get_json()
    assert counted["resent"] == 1
    done = member.post("/v1/emails/resend", {"tag": "x"}).get_json()
    assert (done["resent"], done["refused"]) == (1, [])
    assert member.get(f"/v1/emails/{whole}").get_json()["resent_as"]


def test_it_stays_in_its_campaign_unless_that_was_cancelled(world: World, member: Caller) -> None:
    made = member.post("/v1/campaigns", {"name": "spring"})
    assert made.status_code == 201, made.text
    campaign = made.get_json()["id"]
    old, other = (ended(world, member, campaign_id=campaign) for _ in range(2))
    new = again(member, old).get_json()["id"]
    assert member.get(f"/v1/emails/{new}").get_json()["campaign_id"] == campaign
    assert member.post(f"/v1/campaigns/{campaign}/cancel").status_code == 200
    late = again(member, other)
    assert (late.status_code, "cancelled: delete the campaign" in late.get_json()["detail"]) == (409, True)
    many = member.post("/v1/emails/resend", {"campaign_id": campaign}).get_json()
    assert [r["id"] for r in many["refused"]] == [other]


def test_without_its_campaign_when_that_was_deleted(world: World, member: Caller) -> None:
    campaign = member.post("/v1/campaigns", {"name": "spring", "per_minute": 1}).get_json()["id"]
    one, *others = (ended(world, member, campaign_id=campaign) for _ in range(3))
    assert member.delete(f"/v1/campaigns/{campaign}").status_code == 204
    answer = again(member, one)
    assert answer.status_code == 202, answer.text
    shown = member.get(f"/v1/emails/{answer.get_json()['id']}").get_json()
    assert (shown["status"], shown["campaign_id"], shown["resend_of"]) == ("queued", None, one)
    assert member.get(f"/v1/emails/{one}").get_json()["campaign_id"] == campaign, "what was stays as it was"
    many = member.post("/v1/emails/resend", {"campaign_id": campaign}).get_json()
    assert (many["resent"], many["refused"]) == (len(others), [])


def test_one_that_would_not_be_accepted_today_holds_nobody_up(world: World, member: Caller) -> None:
    assert member.post("/v1/email-types", {"name": "gone"}).status_code == 201
    dead, good = ended(world, member, email_type="gone", tags=["x"]), ended(world, member, tags=["x"])
    world.sql("DELETE FROM email_types WHERE user_id = :u", u=member.user_id)
    done = member.post("/v1/emails/resend", {"tag": "x"}).get_json()
    assert done["resent"] == 1
    assert [(r["id"], "gone" in r["detail"]) for r in done["refused"]] == [(dead, True)]
    assert member.get(f"/v1/emails/{good}").get_json()["resent_as"]
    alone = again(member, dead)
    assert (alone.status_code, "gone" in alone.get_json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({}, {""}),
        ({"status": "sent"}, {"/status"}),
        ({"tag": "x", "cursor": "?"}, {"/cursor"}),
    ],
)
def test_what_is_wrong_with_a_filter_is_said(member: Caller, said: dict[str, Any], wrong: set[str]) -> None:
    answer = member.post("/v1/emails/resend", said)
    assert (answer.status_code, fields(answer)) == (422, wrong)


def test_a_filter_gives_scheduled_emails_another_time(world: World, member: Caller) -> None:
    sale = [accepted(member, tags=["sale"], send_at=in_hours(h)) for h in (1, 2)]
    accepted(member, tags=["sale"])
    accepted(member, tags=["other"], send_at=in_hours(1))
    accepted(member, tags=["sale"], send_at=in_hours(1), expires_at=in_hours(3))
    want = {"tag": "sale", "send_at": in_hours(5)}
    counted = member.post("/v1/emails/reschedule", {**want, "dry_run": True}).get_json()
    assert counted == {"rescheduled": 2, "expire_before": 1, "has_more": False}
    assert column(world, "send_at", sale) != [datetime.fromisoformat(want["send_at"])] * 2
    assert member.post("/v1/emails/reschedule", want).get_json() == counted
    assert column(world, "send_at", sale) == [datetime.fromisoformat(want["send_at"])] * 2
    due = world.sql("SELECT due_at FROM email_queue WHERE job_id = ANY(:ids)", ids=list(map(UUID, sale)))
    assert [row.due_at for row in due] == [datetime.fromisoformat(want["send_at"])] * 2
    timeline = member.get(f"/v1/emails/{sale[0]}").get_json()["timeline"]
    assert (timeline[-1]["status"], timeline[-1]["reason"]) == ("scheduled", "rescheduled by request")
    assert member.post("/v1/emails/reschedule", want).get_json()["rescheduled"] == 0


@pytest.mark.parametrize("hours", [-1, 24 * 400])
def test_many_do_not_get_a_time_that_none_may_have(member: Caller, hours: float) -> None:
    answer = member.post("/v1/emails/reschedule", {"tag": "x", "send_at": in_hours(hours)})
    assert (answer.status_code, fields(answer)) == (422, {"/send_at"})
