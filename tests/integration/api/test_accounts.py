"""/v1/keys and /v1/users."""

from __future__ import annotations

from typing import Any

import pytest

from api import keys
from tests.integration.api.world import EMAIL, Caller, World, fields


def made(caller: Caller, *scopes: str, **more: Any) -> dict[str, Any]:
    answer = caller.post("/v1/keys", {"scopes": list(scopes or ("emails:read",)), **more})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def with_key(caller: Caller, key: str) -> Caller:
    return Caller(caller.app, caller.user_id, "", key)


def test_a_key_is_shown_once_and_does_what_it_may(world: World) -> None:
    caller = world.user()
    key = made(caller, "emails:read", name="reports")
    shown = caller.get(f"/v1/keys/{key['id']}").get_json()
    assert shown == {name: value for name, value in key.items() if name != "key"}
    new = with_key(caller, key["key"])
    assert new.get("/v1/emails").status_code == 200
    assert new.post("/v1/emails", EMAIL).status_code == 403
    [row] = world.sql("SELECT key FROM api_keys WHERE id = :id", id=key["id"])
    assert key["key"] not in row.key


def test_a_key_cannot_give_what_it_has_not(world: World) -> None:
    caller = world.user()
    weak = world.key(caller.user_id, ["keys:write", "emails:read"])
    answer = weak.post("/v1/keys", {"scopes": ["emails:read", "emails:send"]})
    assert answer.status_code == 422
    assert "emails:send" in answer.get_json()["errors"][0]["detail"]
    strong = made(caller, "emails:send")
    assert weak.post(f"/v1/keys/{strong['id']}/rotate", {}).status_code == 403


def test_a_revoked_key_is_no_key_at_once(world: World) -> None:
    caller = world.user()
    key = made(caller, "emails:send")
    new = with_key(caller, key["key"])
    assert new.post("/v1/emails", EMAIL).status_code == 202
    assert caller.delete(f"/v1/keys/{key['id']}").status_code == 204
    assert new.post("/v1/emails", EMAIL).status_code == 401
    assert caller.get(f"/v1/keys/{key['id']}").get_json()["revoked_at"] is not None


def test_a_rotated_key_stands_until_its_overlap_ends(world: World) -> None:
    caller = world.user()
    old = made(caller, "emails:read", name="reports")
    fresh = caller.post(f"/v1/keys/{old['id']}/rotate", {"overlap_hours": 2}).get_json()
    assert (fresh["name"], fresh["scopes"]) == ("reports", ["emails:read"])
    both = with_key(caller, old["key"]), with_key(caller, fresh["key"])
    assert [one.get("/v1/emails").status_code for one in both] == [200, 200]
    with world.later("121 minutes"):
        assert [one.get("/v1/emails").status_code for one in both] == [401, 200]
        assert caller.post(f"/v1/keys/{old['id']}/rotate", {}).status_code == 409


def test_rotated_without_an_overlap_the_former_key_is_gone(world: World) -> None:
    caller = world.user()
    old = made(caller)
    assert caller.post(f"/v1/keys/{old['id']}/rotate", {"overlap_hours": 0}).status_code == 201
    assert with_key(caller, old["key"]).get("/v1/emails").status_code == 401


def test_a_key_that_would_end_sooner_is_not_prolonged_by_a_rotation(world: World) -> None:
    caller = world.user()
    [row] = world.sql("SELECT mm_now() + interval '1 hour' AS at")
    old = made(caller, expires_at=row.at.isoformat())
    path = f"/v1/keys/{old['id']}/rotate"
    assert fields(caller.post(path, {"overlap_hours": 24})) == {"/expires_at"}, "nothing lives longer unasked"
    fresh = caller.post(path, {"overlap_hours": 24, "expires_at": None}).get_json()
    assert fresh["expires_at"] is None
    assert caller.get(f"/v1/keys/{old['id']}").get_json()["expires_at"] == old["expires_at"]


def test_a_key_that_ends_makes_none_that_outlives_it(world: World) -> None:
    operator = world.user("operator")
    [row] = world.sql("SELECT mm_now() + interval '1 day' AS day, mm_now() + interval '2 days' AS later")
    old = made(operator, "keys:write", "users:write", "emails:read", expires_at=row.day.isoformat())
    brief = with_key(operator, old["key"])
    beyond = {"scopes": ["emails:read"], "expires_at": row.later.isoformat()}
    assert fields(brief.post("/v1/keys", beyond)) == {"/expires_at"}
    assert brief.post("/v1/keys", {"scopes": ["emails:read"]}).get_json()["expires_at"] == old["expires_at"]
    for expires_at in (None, row.later.isoformat()):
        answer = brief.post(f"/v1/keys/{old['id']}/rotate", {"expires_at": expires_at})
        assert fields(answer) == {"/expires_at"}
    first = brief.post("/v1/users", {"email": f"{old['id']}@new.example"}).get_json()["key"]
    [listed] = with_key(operator, first).get("/v1/keys").get_json()["data"]
    assert listed["expires_at"] == old["expires_at"]
    assert operator.signed_in().post("/v1/keys", {"scopes": ["emails:read"]}).get_json()["expires_at"] is None


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, ["/scopes"]),
        ({"scopes": []}, ["/scopes"]),
        ({"scopes": ["emails:read", "no"], "name": 1}, ["/name", "/scopes/1"]),
        ({"scopes": ["emails:read"], "expires_at": "2001-01-01T00:00:00Z"}, ["/expires_at"]),
    ],
)
def test_all_wrong_fields_are_named(world: World, body: dict[str, Any], wrong: list[str]) -> None:
    answer = world.user().post("/v1/keys", body)
    assert answer.status_code == 422
    assert sorted(e["pointer"] for e in answer.get_json()["errors"]) == wrong


def test_an_operator_adds_users_who_come_with_a_key(world: World) -> None:
    operator = world.user("operator")
    answer = operator.post("/v1/users", {"email": "Ada@New.example"})
    user = answer.get_json()
    assert (answer.status_code, user["email"], user["role"]) == (201, "Ada@new.example", "member")
    ada = Caller(world.app, operator.user_id, "", user["key"])
    assert ada.get("/v1/emails").status_code == 200
    assert ada.get("/v1/users").status_code == 403
    assert operator.post("/v1/users", {"email": "ada@new.example"}).status_code == 409
    assert operator.post("/v1/users", {"email": "nobody"}).status_code == 422
    promoted = operator.patch(f"/v1/users/{user['id']}", {"role": "operator"}).get_json()
    assert promoted["role"] == "operator"
    listed = operator.get("/v1/users", query_string={"limit": 1}).get_json()
    assert [u["id"] for u in listed["data"]] == [user["id"]]
    assert operator.get(answer.headers["Location"]).get_json() == promoted
    assert operator.get(f"/v1/users/{operator.public_id}").status_code == 404


def test_members_see_no_users_whatever_their_key_may(world: World) -> None:
    member = world.user("member", keys.SCOPES)
    for answer in (
        member.get("/v1/users"),
        member.post("/v1/users", {"email": "x@new.example"}),
        member.patch(f"/v1/users/{member.user_id}", {"role": "operator"}),
    ):
        assert (answer.status_code, answer.get_json()["type"]) == (403, "/problems/operators-only")


def test_somebody_stays_operator(world: World) -> None:
    operator = world.user("operator")
    world.sql("UPDATE users SET role = 'member' WHERE id <> :id", id=operator.user_id)
    assert operator.patch(f"/v1/users/{operator.user_id}", {"role": "member"}).status_code == 409
