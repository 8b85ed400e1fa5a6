"""/v1/campaigns and /v1/halts."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from domain.intake import Sender
from tests.builders import new_id
from tests.integration.api.world import EMAIL, Caller, World


def campaign(caller: Caller, **more: Any) -> str:
    answer = caller.post("/v1/campaigns", {"name": "spring", **more})
    assert answer.status_code == 201, answer.text
    found: str = answer.get_json()["id"]
    return found


def batch(caller: Caller, campaign_id: str, count: int, **more: Any) -> list[str]:
    body = {
        "defaults": {**EMAIL, "campaign_id": campaign_id, **more},
        "emails": [{"to": [f"user{n}@example.com"]} for n in range(count)],
    }
    answer = caller.post("/v1/emails/batch", body)
    assert answer.status_code == 202, answer.text
    return [r["id"] for r in answer.get_json()["results"]]


def shown(caller: Caller, campaign_id: str) -> dict[str, Any]:
    found: dict[str, Any] = caller.get(f"/v1/campaigns/{campaign_id}").get_json()
    return found


def due(world: World, campaign_id: str) -> list[float]:
    """Seconds until each email is due, in their order."""
    rows = world.sql(
        "SELECT EXTRACT(epoch FROM q.due_at - mm_now()) AS s FROM email_queue q JOIN email_jobs j ON j.id = q.job_id "
        "WHERE j.campaign_id = :id ORDER BY j.id",
        id=campaign_id,
    )
    return [float(row.s) for row in rows]


def test_a_campaign_tells_how_far_it_is(world: World) -> None:
    caller = world.user()
    spring = campaign(caller)
    ids = batch(caller, spring, 5)
    sent = "UPDATE email_jobs SET status = 'sent', sent_at = mm_now() - interval '20 seconds' WHERE id = :id"
    world.sql(sent, id=ids[0])
    progress = shown(caller, spring)["progress"]
    assert (progress["total"], progress["waiting"], progress["sent"]) == (5, 4, 1)
    assert progress["statuses"] == {"queued": 4, "sent": 1}
    assert progress["seconds_left"] == pytest.approx(4 * 20, rel=0.3)
    assert progress["per_minute_lately"] == pytest.approx(3, rel=0.3)
    listed = caller.get("/v1/emails", query_string={"campaign_id": spring}).get_json()["data"]
    assert {e["campaign_id"] for e in listed} == {spring}
    assert len(listed) == 5


def test_emails_of_no_campaign_of_the_callers_are_refused(world: World) -> None:
    caller, other = world.user(), world.user()
    cancelled = campaign(caller)
    caller.post(f"/v1/campaigns/{cancelled}/cancel")
    for wrong in (campaign(other), str(new_id()), cancelled):
        answer = caller.post("/v1/emails", {**EMAIL, "campaign_id": wrong})
        assert answer.status_code == 422
        assert [e["pointer"] for e in answer.get_json()["errors"]] == ["/campaign_id"]


def test_a_throttle_gives_each_email_its_place_in_time(world: World) -> None:
    caller = world.user()
    spring = campaign(caller, per_minute=60)
    batch(caller, spring, 3)
    batch(caller, spring, 2)
    assert due(world, spring) == pytest.approx([0, 1, 2, 3, 4], abs=0.9)


def test_paused_it_is_halted_and_resumed_it_is_due_again_at_its_pace(world: World) -> None:
    caller = world.user()
    spring = campaign(caller, per_minute=60)
    batch(caller, spring, 3)
    path = f"/v1/campaigns/{spring}"
    paused = caller.post(f"{path}/pause").get_json()
    assert (paused["status"], paused["status_reason"]) == ("paused", "by its owner")
    assert caller.post(f"{path}/pause").status_code == 200
    assert world.sql("SELECT 1 FROM halts WHERE value = :id", id=spring)
    world.sql(
        "UPDATE email_queue SET due_at = mm_now() + interval '10 minutes'"
    )  # as the workers put them off
    resumed = caller.post(f"{path}/resume").get_json()
    assert (resumed["status"], resumed["emails"]) == ("active", 3)
    assert due(world, spring) == pytest.approx([0, 1, 2], abs=0.9)
    assert world.sql("SELECT 1 FROM halts WHERE value = :id", id=spring) == []


def test_another_pace_holds_for_what_waits_and_resuming_an_active_one_hurries_nothing(world: World) -> None:
    caller = world.user()
    spring = campaign(caller, per_minute=60)
    batch(caller, spring, 4)
    path = f"/v1/campaigns/{spring}"
    world.sql("UPDATE email_queue SET due_at = due_at + interval '3 s'")
    assert caller.post(f"{path}/resume").get_json()["emails"] == 0
    assert due(world, spring) == pytest.approx([3, 4, 5, 6], abs=0.9)
    assert caller.patch(path, {"per_minute": 6}).get_json()["per_minute"] == 6
    assert due(world, spring) == pytest.approx([0, 10, 20, 30], abs=0.9)
    assert caller.patch(path, {"name": "summer"}).status_code == 200
    assert due(world, spring)[1:] == pytest.approx([10, 20, 30], abs=0.9)
    assert caller.patch(path, {"per_minute": None}).status_code == 200
    assert due(world, spring) == pytest.approx([0, 0, 0, 0], abs=0.9)


def unplaced(world: World, campaign_id: str) -> list[bool]:
    rows = world.sql(
        "SELECT NOT q.placed AS so FROM email_queue q JOIN email_jobs j ON j.id = q.job_id "
        "WHERE j.campaign_id = :id ORDER BY j.id",
        id=campaign_id,
    )
    return [row.so for row in rows]


def test_what_is_planned_or_rescheduled_gets_its_place_when_it_is_due(world: World) -> None:
    caller = world.user()
    spring = campaign(caller, per_minute=60)
    [row] = world.sql("SELECT mm_now() + interval '1 day' AS soon, mm_now() + interval '2 days' AS later")
    planned = batch(caller, spring, 2, send_at=row.soon.isoformat())
    batch(caller, spring, 2)
    assert due(world, spring) == pytest.approx([86_400, 86_400, 0, 1], abs=0.9), (
        "the planned ones took no place"
    )
    assert unplaced(world, spring) == [True, True, False, False]
    world.sql("UPDATE email_queue SET placed = true")
    caller.post(f"/v1/emails/{planned[0]}/reschedule", {"send_at": row.later.isoformat()})
    assert unplaced(world, spring) == [True, False, False, False]
    world.sql("UPDATE email_queue SET placed = true")
    moved = caller.post("/v1/emails/reschedule", {"send_at": row.soon.isoformat(), "campaign_id": spring})
    assert moved.get_json()["rescheduled"] == 1
    assert unplaced(world, spring) == [True, False, False, False]


def test_what_is_planned_for_later_is_not_hurried_by_a_resume(world: World) -> None:
    caller = world.user()
    spring = campaign(caller)
    [row] = world.sql("SELECT mm_now() + interval '1 day' AS at")
    batch(caller, spring, 1, send_at=row.at.isoformat())
    caller.post(f"/v1/campaigns/{spring}/pause")
    assert caller.post(f"/v1/campaigns/{spring}/resume").get_json()["emails"] == 0
    assert due(world, spring)[0] > 86_000


def test_cancelled_it_is_taken_back_for_good(world: World) -> None:
    caller = world.user()
    spring = campaign(caller)
    ids = batch(caller, spring, 3)
    world.sql("DELETE FROM email_queue WHERE job_id = :id", id=ids[0])
    world.sql("UPDATE email_jobs SET status = 'sent' WHERE id = :id", id=ids[0])
    done = caller.post(f"/v1/campaigns/{spring}/cancel").get_json()
    assert (done["status"], done["emails"]) == ("cancelled", 2)
    assert shown(caller, spring)["progress"]["statuses"] == {"sent": 1, "cancelled": 2}
    assert caller.post(f"/v1/campaigns/{spring}/resume").status_code == 409


def test_it_is_deleted_when_nothing_of_it_waits_and_its_emails_stay(world: World) -> None:
    caller, other = world.user(), world.user()
    spring = campaign(caller)
    (waiting,) = batch(caller, spring, 1)
    path = f"/v1/campaigns/{spring}"
    assert other.delete(path).status_code == 404
    refused = caller.delete(path)
    assert (refused.status_code, refused.get_json()["detail"]) == (
        409, "1 emails of the campaign are not at their end: cancel it first",
    )  # fmt: skip
    caller.post(f"{path}/cancel")
    assert caller.delete(path).status_code == 204
    assert caller.get(path).status_code == 404
    assert caller.get(f"/v1/emails/{waiting}").get_json()["campaign_id"] == spring
    assert world.sql("SELECT * FROM halts WHERE value = :id", id=spring) == []
    late = caller.post("/v1/emails", {**EMAIL, "campaign_id": spring})
    assert late.status_code == 422


def test_an_email_that_is_being_accepted_is_waited_for_before_its_campaign_is_deleted(world: World) -> None:
    """Else it would belong to none, and go without a pace."""
    caller = world.user()
    spring = UUID(campaign(caller, per_minute=60))
    sender = Sender(caller.user_id)
    with world.deps.units() as accepting:
        assert spring in accepting.intake.survey({sender}, (), (), (spring,)).campaigns
        with world.deps.units() as meanwhile:
            meanwhile.connection.exec_driver_sql("SET LOCAL lock_timeout = '100ms'")
            with pytest.raises(OperationalError, match="lock timeout"):
                meanwhile.campaigns.delete(caller.user_id, spring, new_id())
        with world.deps.units() as pausing:  # that does not have to wait
            pausing.connection.exec_driver_sql("SET LOCAL lock_timeout = '100ms'")
            assert pausing.campaigns.lock(caller.user_id, spring) is not None


def test_nobody_is_kept_waiting_while_the_emails_of_a_campaign_are_gone_through_to_delete_it(
    world: World,
) -> None:
    caller = world.user()
    spring = UUID(campaign(caller))
    now = new_id()
    with world.deps.units() as unit:
        asked: list[tuple[str, Any]] = []

        def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
            asked.append((statement, parameters))

        event.listen(unit.connection, "before_cursor_execute", note)
        assert unit.campaigns.delete(caller.user_id, spring, now) == 0
    lock = next(place for place, (statement, _) in enumerate(asked) if "FOR UPDATE" in statement)
    counts = [
        (place, values["after"]) for place, (statement, values) in enumerate(asked) if "count(" in statement
    ]
    (before, everything), (after, lately) = counts
    assert before < lock < after
    assert everything == UUID(int=0)
    assert 0 < (now.int >> 80) - (lately.int >> 80) <= 60_000, "ms"


def test_all_wrong_fields_are_named(world: World) -> None:
    body = {"name": "", "per_minute": 0, "spend_cap": 5, "max_bounces": 2, "min_sent": "1"}
    answer = world.user().post("/v1/campaigns", body)
    assert {e["pointer"] for e in answer.get_json()["errors"]} == {f"/{name}" for name in body}


def test_a_user_halts_their_own_and_an_operator_everybodys(world: World) -> None:
    member, operator = world.user(), world.user("operator")
    own = member.post("/v1/halts", {"kind": "type", "value": "marketing", "reason": "wrong price"})
    assert (own.status_code, own.get_json()["user_id"]) == (201, str(member.user_id))
    again = member.post("/v1/halts", {"kind": "type", "value": "marketing"})
    assert again.get_json()["id"] == own.get_json()["id"]
    for others in (
        {"kind": "lane", "value": "bulk"},
        {"kind": "type", "value": "x", "everybody": True},
        {"kind": "user", "user_id": str(operator.user_id)},
    ):
        assert member.post("/v1/halts", others).status_code == 403
    lane = operator.post("/v1/halts", {"kind": "lane", "value": "bulk"}).get_json()
    assert lane["user_id"] is None
    assert [h["id"] for h in member.get("/v1/halts").get_json()["data"]] == [own.get_json()["id"]]
    assert {h["id"] for h in operator.get("/v1/halts").get_json()["data"]} >= {
        lane["id"],
        own.get_json()["id"],
    }
    assert member.delete(f"/v1/halts/{lane['id']}").status_code == 404
    for mine in (lane["id"], own.get_json()["id"]):
        assert operator.delete(f"/v1/halts/{mine}").status_code == 204


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "type"},
        {"kind": "user", "value": "x"},
        {"kind": "lane", "value": "fast"},
        {"kind": "user", "everybody": True},
        {"kind": "user", "user_id": "00000000-0000-0000-0000-000000000000"},
    ],
)
def test_what_cannot_be_halted_is_refused(world: World, body: dict[str, Any]) -> None:
    assert world.user("operator").post("/v1/halts", body).status_code == 422
