"""Who changed what can be read afterwards: never the values, and by nobody else than whom it concerns."""

from __future__ import annotations

from typing import Any

from db.repositories.retention import purge
from domain.upkeep import Retention
from tests.integration.api.world import EMAIL, Caller, World, fields


def lines(caller: Caller, **query: Any) -> list[dict[str, Any]]:
    answer = caller.get("/v1/audit-log", query_string=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.get_json()["data"]
    return found


def test_what_is_made_changed_and_deleted_is_written_down_without_values(member: Caller) -> None:
    made = member.post("/v1/providers", {"name": "one", "kind": "memory", "base_cost": "1"},
                       headers={"X-Request-Id": "req-1"}).get_json()["id"]  # fmt: skip
    member.patch(f"/v1/providers/{made}", {"credentials": {}, "base_cost": "2"})
    member.delete(f"/v1/providers/{made}")
    told = [(line["action"], line["target"], line["fields"]) for line in lines(member)]
    one = "/v1/providers/<uuid:provider_id>"
    assert told == [
        (f"DELETE {one}", made, []),
        (f"PATCH {one}", made, ["base_cost", "credentials"]),
        ("POST /v1/providers", made, ["base_cost", "kind", "name"]),
    ]
    first = lines(member)[-1]
    assert (first["user_id"], first["by"], first["request_id"]) == (str(member.user_id), "api", "req-1")
    assert first["api_key_id"] is not None


def test_what_was_refused_or_only_read_and_emails_leave_no_line(world: World, member: Caller) -> None:
    member.post("/v1/providers", {"name": ""})
    member.get("/v1/providers")
    member.post("/v1/emails", EMAIL)
    member.post("/v1/routing/preview", EMAIL)
    assert lines(member) == []


def test_a_member_sees_their_own_and_an_operator_all(world: World, member: Caller) -> None:
    other, operator = world.user(), world.user("operator")
    mine, theirs = member.provider("one"), other.provider("two")
    assert [line["target"] for line in lines(member)] == [str(mine)]
    assert member.get("/v1/audit-log", query_string={"user_id": str(other.user_id)}).status_code == 403
    assert {line["target"] for line in lines(operator)} >= {str(mine), str(theirs)}
    assert [line["target"] for line in lines(operator, user_id=str(other.user_id))] == [str(theirs)]
    assert [line["user_id"] for line in lines(operator, target=str(mine))] == [str(member.user_id)]
    assert lines(member, target=str(theirs)) == []


def test_lines_come_in_pages_and_nonsense_is_named(member: Caller) -> None:
    for n in range(3):
        member.provider(f"p{n}")
    first = member.get("/v1/audit-log", query_string={"limit": 2}).get_json()
    rest = member.get("/v1/audit-log", query_string={"limit": 2, "cursor": first["next_cursor"]}).get_json()
    assert (len(first["data"]), len(rest["data"]), rest["has_more"]) == (2, 1, False)
    assert fields(member.get("/v1/audit-log", query_string={"target": "x", "limit": 0})) == {
        "target",
        "limit",
    }


def test_lines_go_with_their_retention(world: World, member: Caller) -> None:
    member.provider("one")
    for later, left in (("399 days", 1), ("401 days", 0)):
        with world.later(later), world.engine.begin() as connection:
            purge(connection, Retention())
        assert len(lines(member)) == left
