"""/v1/campaigns and /v1/halts."""

from __future__ import annotations

from typing import Any

import pytest

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
    world.sql("UPDATE email_jobs SET status = 'sent', sent_at = mm_now() WHERE id = :id", id=ids[0])
    progress = shown(caller, spring)["progress"]
    assert (progress["total"], progress["waiting"], progress["sent"]) == (5, 4, 1)
    assert progress["statuses"] == {"queued": 4, "sent": 1}
    assert progress["seconds_left"] == pytest.approx(4 / (1 / 300))
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
