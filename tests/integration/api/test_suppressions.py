"""/v1/suppressions, and what becomes of emails to those who are on the list."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.api.world import EMAIL, Caller, World


def suppress(caller: Caller, *entries: dict[str, Any]) -> Any:
    answer = caller.post("/v1/suppressions", {"entries": list(entries)})
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def listed(caller: Caller, **query: Any) -> list[dict[str, Any]]:
    answer = caller.get("/v1/suppressions", query_string=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.get_json()["data"]
    return found


def send(caller: Caller, **more: Any) -> dict[str, Any]:
    answer = caller.post("/v1/emails", {**EMAIL, **more})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def test_entries_are_added_found_and_taken_off(world: World) -> None:
    caller = world.user()
    entries = ({"address": "Ada@Example.COM"}, {"address": "bob@exämple.de", "scope": "marketing"})
    assert suppress(caller, *entries) == {"added": 2, "known": 0}
    assert suppress(caller, {"address": "ada@example.com"}) == {"added": 0, "known": 1}
    assert {e["address"] for e in listed(caller)} == {"bob@xn--exmple-cua.de", "ada@example.com"}
    [ada] = listed(caller, address="ADA@example.com", scope="all", cause="manual")
    assert caller.get(f"/v1/suppressions/{ada['id']}").get_json() == ada
    assert caller.delete(f"/v1/suppressions/{ada['id']}").status_code == 204
    assert caller.delete(f"/v1/suppressions/{ada['id']}").status_code == 404
    assert listed(caller, address="ada@example.com") == []


def test_all_wrong_fields_are_named_and_nothing_is_added(world: World) -> None:
    caller = world.user()
    entries = [{"address": "ada@example.com"}, {"address": "x", "scope": "type:"}, {"cause": "mood"}]
    answer = caller.post("/v1/suppressions", {"entries": entries})
    assert {e["pointer"] for e in answer.get_json()["errors"]} == {
        "/entries/1/address", "/entries/1/scope", "/entries/2/address", "/entries/2/cause",
    }  # fmt: skip
    assert listed(caller) == []


def test_an_email_to_somebody_on_the_list_is_accounted_for_and_not_queued(world: World) -> None:
    caller = world.user()
    suppress(caller, {"address": "ada@example.com"})
    made = send(caller, to=["Ada <ADA@example.com>"])
    assert made["status"] == "suppressed"
    email = caller.get(f"/v1/emails/{made['id']}").get_json()
    assert (email["status"], "manual" in email["status_reason"]) == ("suppressed", True)
    assert [line["status"] for line in email["timeline"]] == ["queued", "suppressed"]
    assert [r["status"] for r in email["recipients"]] == ["suppressed"]
    assert world.sql("SELECT 1 FROM email_queue WHERE job_id = :id", id=made["id"]) == []
    assert caller.post(f"/v1/emails/{made['id']}/cancel").status_code == 409


def test_the_others_of_an_email_get_it(world: World) -> None:
    caller = world.user()
    suppress(caller, {"address": "ada@example.com"})
    made = send(caller, to=["bob@example.com"], cc=["Ada <ada@example.com>"])
    assert made["status"] == "queued"
    email = caller.get(f"/v1/emails/{made['id']}").get_json()
    found = {r["email"]: (r["kind"], r["status"]) for r in email["recipients"]}
    assert found == {"bob@example.com": ("to", "queued"), "ada@example.com": ("cc", "suppressed")}
    [row] = world.sql("SELECT envelope FROM email_jobs WHERE id = :id", id=made["id"])
    assert [r["email"] for r in row.envelope["recipients"]] == ["bob@example.com"]


@pytest.mark.parametrize(
    ("scope", "email_type", "status"),
    [
        ("marketing", "transactional", "queued"),
        ("marketing", "marketing", "suppressed"),
        ("type:transactional", "transactional", "suppressed"),
        ("type:transactional", "marketing", "queued"),
    ],
)
def test_only_what_the_scope_says_is_stopped(world: World, scope: str, email_type: str, status: str) -> None:
    caller = world.user()
    suppress(caller, {"address": "ada@example.com", "scope": scope})
    assert send(caller, to=["ada@example.com"], email_type=email_type)["status"] == status


def test_a_batch_goes_to_those_who_are_not_on_the_list(world: World) -> None:
    caller, other = world.user(), world.user()
    suppress(caller, {"address": "ada@example.com"})
    batch = {"defaults": EMAIL, "emails": [{"to": ["ada@example.com"]}, {"to": ["bob@example.com"]}]}
    headers = {"Idempotency-Key": "k"}
    first = caller.post("/v1/emails/batch", batch, headers=headers).get_json()
    assert [r["status"] for r in first["results"]] == ["suppressed", "queued"]
    assert caller.post("/v1/emails/batch", batch, headers=headers).get_json() == first
    theirs = other.post("/v1/emails/batch", batch).get_json()
    assert [r["status"] for r in theirs["results"]] == ["queued", "queued"]


def test_an_entry_ends_when_it_says(world: World) -> None:
    caller = world.user()
    [row] = world.sql("SELECT mm_now() + interval '1 hour' AS at")
    suppress(caller, {"address": "ada@example.com", "expires_at": row.at.isoformat()})
    assert send(caller, to=["ada@example.com"])["status"] == "suppressed"
    with world.later("61 minutes"):
        assert send(caller, to=["ada@example.com"])["status"] == "queued"
