"""People sign in and out, and set their passwords."""

from __future__ import annotations

import itertools
import statistics
import time
from typing import Any

import pytest
from argon2 import PasswordHasher
from werkzeug.test import TestResponse

from api import keys
from api.routes.sessions import TRIES_FROM_ADDRESS, TRIES_OF_ACCOUNT
from tests.integration.api.test_access import PASSWORD
from tests.integration.api.world import EMAIL, Caller, World, fields

_addresses = (f"198.51.{n // 250}.{n % 250 + 1}" for n in itertools.count())


def sign_in(world: World, email: str, password: str = PASSWORD, address: str | None = None) -> TestResponse:
    return world.app.test_client().post(
        "/v1/sessions",
        json={"email": email, "password": password},
        headers={"User-Agent": "Browser/1 (of a test)"},
        environ_overrides={"REMOTE_ADDR": address or next(_addresses)},
    )


def session(world: World, email: str) -> Caller:
    made = sign_in(world, email).get_json()
    return Caller(world.app, made["user_id"], "", made["token"])


@pytest.fixture
def email(member: Caller) -> str:
    return member.has_password(PASSWORD)


def lines(caller: Caller) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = caller.get("/v1/audit-log").get_json()["data"]
    return found


def test_whoever_signs_in_may_do_all_that_the_user_may(world: World, member: Caller, email: str) -> None:
    answer = sign_in(world, email.upper(), address="198.51.100.7")
    made = answer.get_json()
    assert (answer.status_code, made["token"][:8]) == (201, "mx_sess_")
    assert (made["program"], made["came_from"]) == ("Browser/1 (of a test)", "198.51.100.7")
    person = Caller(world.app, member.user_id, "", made["token"])
    assert person.post("/v1/emails", EMAIL).status_code == 202
    assert person.post("/v1/keys", {"scopes": ["emails:send"]}).status_code == 201
    assert person.get("/v1/users").status_code == 403
    [row] = world.sql("SELECT key, scopes FROM api_keys WHERE id = :id", id=made["id"])
    assert made["token"] not in row.key
    assert set(row.scopes) == set(keys.SCOPES) - {"users:write"}


def test_an_operator_who_signs_in_may_see_users(world: World, operator: Caller) -> None:
    person = session(world, operator.has_password(PASSWORD))
    assert person.get("/v1/users").status_code == 200


def test_a_session_ends_by_itself_and_is_no_api_key(world: World, member: Caller, email: str) -> None:
    person = session(world, email)
    assert [s["program"] for s in member.get("/v1/sessions").get_json()["data"]] == ["Browser/1 (of a test)"]
    assert [k["public_id"] for k in member.get("/v1/keys").get_json()["data"]] == [member.public_id]
    [row] = world.sql("SELECT id, public_id FROM api_keys WHERE user_id = :id AND kind = 'session'",
                      id=member.user_id)  # fmt: skip
    assert member.get(f"/v1/keys/{row.id}").status_code == 404
    assert member.post(f"/v1/keys/{row.id}/rotate", {}).status_code == 404
    with world.later("481 minutes"):
        ended = person.get("/v1/emails")
        assert (ended.status_code, "expired" in ended.get_json()["detail"]) == (401, True)
        assert member.get("/v1/sessions").get_json()["data"] == []


def test_a_token_is_of_its_own_kind(world: World, member: Caller) -> None:
    key = keys.parse(member.key)
    assert key is not None
    dressed_up = keys.ApiKey(key.public_id, key.secret, keys.SESSION).reveal()
    assert Caller(world.app, member.user_id, "", dressed_up).get("/v1/emails").status_code == 401


def test_unknown_users_and_wrong_passwords_get_the_same_answer(world: World, email: str) -> None:
    world.user()  # whose stored hash is no hash at all
    answers = [
        sign_in(world, email, "not the password"),
        sign_in(world, "nobody@example.com", PASSWORD),
        sign_in(world, "no address at all", PASSWORD),
    ]
    told = [{**a.get_json(), "request_id": ""} for a in answers]
    assert [a.status_code for a in answers] == [401] * 3
    assert told[0] == told[1] == told[2]
    assert told[0]["type"] == "/problems/wrong-credentials"
    assert len({tuple(sorted(h for h, _ in a.headers if h != "X-Request-Id")) for a in answers}) == 1


def test_unknown_users_take_as_long_as_wrong_passwords(world: World) -> None:
    """A hash is tens of milliseconds; an answer without one would be ten times as quick."""

    def seconds(email: str) -> float:
        began = time.perf_counter()
        sign_in(world, email, "not the password")
        return time.perf_counter() - began

    known = [world.user().has_password(PASSWORD) for _ in range(7)]
    sign_in(world, "nobody@example.net", "x")  # the hash that nobody has is made once
    ratio = statistics.median(map(seconds, known)) / statistics.median(
        seconds(f"nobody{n}@example.net") for n in range(7)
    )
    assert 1 / 3 < ratio < 3


@pytest.mark.parametrize("known", [True, False])
def test_an_account_is_tried_so_often_whether_it_exists_or_not(
    world: World, member: Caller, known: bool
) -> None:
    email = member.has_password(PASSWORD) if known else f"no-{member.user_id}@example.com"
    statuses = [sign_in(world, email, "wrong").status_code for _ in range(TRIES_OF_ACCOUNT)]
    assert statuses == [401] * TRIES_OF_ACCOUNT
    answer = sign_in(world, email)
    assert (answer.status_code, answer.get_json()["type"]) == (429, "/problems/too-many-tries")
    assert 0 < int(answer.headers["Retry-After"]) <= 900
    assert member.get("/v1/emails").status_code == 200
    with world.later("15 minutes 1 second"):
        assert sign_in(world, email).status_code == (201 if known else 401)


def test_who_signs_in_begins_anew(world: World, email: str) -> None:
    for _ in range(3):
        for _ in range(TRIES_OF_ACCOUNT - 1):
            assert sign_in(world, email, "wrong").status_code == 401
        assert sign_in(world, email).status_code == 201


def test_an_address_tries_so_often_with_whatever_accounts(world: World, email: str) -> None:
    machine = [f"2001:db8:0:7::{n:x}" for n in range(1, TRIES_FROM_ADDRESS + 1)]  # it has a /64 to itself
    assert sign_in(world, email, address=machine[0]).status_code == 201  # what is right does not count
    for n, address in enumerate(machine):
        assert sign_in(world, f"guess{n}@example.com", address=address).status_code == 401
    assert sign_in(world, email, address="2001:db8:0:7::ffff").status_code == 429
    assert sign_in(world, email, address="2001:db8:0:8::1").status_code == 201


def test_a_hash_of_former_parameters_is_made_anew(world: World, member: Caller, email: str) -> None:
    former = PasswordHasher(time_cost=1, memory_cost=8192).hash(PASSWORD)
    world.sql("UPDATE users SET password_hash = :h WHERE id = :id", h=former, id=member.user_id)
    assert sign_in(world, email).status_code == 201
    [row] = world.sql("SELECT password_hash FROM users WHERE id = :id", id=member.user_id)
    assert row.password_hash.startswith("$argon2id$")
    assert row.password_hash != former
    assert not PasswordHasher().check_needs_rehash(row.password_hash)
    assert sign_in(world, email).status_code == 201


def test_signing_out_ends_this_session_only(world: World, member: Caller, email: str) -> None:
    here, there = session(world, email), session(world, email)
    assert [s["current"] for s in here.get("/v1/sessions").get_json()["data"]] == [False, True]
    assert here.delete("/v1/sessions/current").status_code == 204
    assert here.get("/v1/sessions").status_code == 401
    assert len(there.get("/v1/sessions").get_json()["data"]) == 1
    assert member.delete("/v1/sessions/current").status_code == 409


def test_a_session_can_be_ended_from_another(world: World, email: str) -> None:
    here, there = session(world, email), session(world, email)
    [other] = [s["id"] for s in here.get("/v1/sessions").get_json()["data"] if not s["current"]]
    assert here.delete(f"/v1/sessions/{other}").status_code == 204
    assert there.post("/v1/emails", EMAIL).status_code == 401
    assert here.delete(f"/v1/sessions/{other}").status_code == 404


def test_another_password_ends_all_other_sessions(world: World, member: Caller, email: str) -> None:
    here, there = session(world, email), session(world, email)
    new = "purple monkey dishwasher"
    assert here.put("/v1/password", {"current_password": PASSWORD, "new_password": new}).status_code == 204
    assert [one.get("/v1/emails").status_code for one in (here, there, member)] == [200, 401, 200]
    assert sign_in(world, email).status_code == 401
    assert sign_in(world, email, new).status_code == 201


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"current_password": "wrong", "new_password": "purple monkey dishwasher"}, {"/current_password"}),
        ({"current_password": PASSWORD, "new_password": "short"}, {"/new_password"}),
        ({"current_password": PASSWORD, "new_password": "aaaaaaaaaaaaaaaa"}, {"/new_password"}),
        ({"current_password": PASSWORD, "new_password": "x" * 257}, {"/new_password"}),
        ({"current_password": "", "new_password": 7, "more": 1},
         {"/current_password", "/new_password", "/more"}),
    ],
)  # fmt: skip
def test_a_password_is_not_changed_for_nothing(
    world: World, email: str, body: dict[str, Any], wrong: set[str]
) -> None:
    here, there = session(world, email), session(world, email)
    answer = here.put("/v1/password", body)
    assert (answer.status_code, fields(answer)) == (422, wrong)
    assert PASSWORD not in answer.text
    assert there.get("/v1/emails").status_code == 200


def test_a_stolen_session_cannot_guess_the_password(world: World, email: str) -> None:
    person = session(world, email)
    body = {"current_password": "wrong", "new_password": "purple monkey dishwasher"}
    statuses = [person.put("/v1/password", body).status_code for _ in range(TRIES_OF_ACCOUNT + 1)]
    assert statuses == [422] * TRIES_OF_ACCOUNT + [429]


def first_password(world: World, token: str, password: str = PASSWORD) -> TestResponse:
    return world.app.test_client().post(
        "/v1/password",
        json={"token": token, "password": password},
        environ_overrides={"REMOTE_ADDR": next(_addresses)},
    )


def test_a_link_sets_a_password_once(world: World, operator: Caller) -> None:
    user = operator.post("/v1/users", {"email": "bo@new.example"}).get_json()
    assert sign_in(world, "bo@new.example").status_code == 401
    former = operator.post(f"/v1/users/{user['id']}/password-link").get_json()["token"]
    token = operator.post(f"/v1/users/{user['id']}/password-link").get_json()["token"]
    assert fields(first_password(world, former)) == {"/token"}
    assert fields(first_password(world, token, "short")) == {"/password"}
    assert first_password(world, token).status_code == 204
    assert first_password(world, token).status_code == 422
    bo = session(world, "bo@new.example")
    assert bo.get("/v1/emails").status_code == 200
    [row] = world.sql("SELECT * FROM users WHERE id = :id", id=user["id"])
    assert token not in str(row)


def test_a_link_ends_sessions_and_holds_for_a_day(world: World, operator: Caller) -> None:
    email = operator.has_password(PASSWORD)
    person = session(world, email)
    path = f"/v1/users/{operator.user_id}/password-link"
    token = operator.post(path).get_json()["token"]
    with world.later("24 hours 1 second"):
        assert first_password(world, token).status_code == 422
    assert first_password(world, token, "purple monkey dishwasher").status_code == 204
    assert person.get("/v1/emails").status_code == 401
    assert sign_in(world, email, "purple monkey dishwasher").status_code == 201


def test_who_is_locked_out_does_nothing_more(
    world: World, member: Caller, operator: Caller, email: str
) -> None:
    person = session(world, email)
    link = operator.post(f"/v1/users/{member.user_id}/password-link").get_json()["token"]
    test = member.post("/v1/keys", {"scopes": ["emails:read"], "test": True}).get_json()["key"]
    assert member.post("/v1/emails", EMAIL).status_code == 202
    path = f"/v1/users/{member.user_id}/lock-out"
    assert operator.post(path).status_code == 204
    all_of_them = (member, person, Caller(world.app, member.user_id, "", test))
    assert [one.get("/v1/emails").status_code for one in all_of_them] == [401] * 3
    assert member.post("/v1/emails", EMAIL).status_code == 401
    assert sign_in(world, email).status_code == 401
    assert first_password(world, link).status_code == 422
    [line, *_] = operator.get("/v1/audit-log", query_string={"target": str(member.user_id)}).get_json()[
        "data"
    ]
    assert line["action"] == "POST /v1/users/<uuid:user_id>/lock-out"
    again = operator.post(f"/v1/users/{member.user_id}/password-link").get_json()["token"]
    assert first_password(world, again).status_code == 204
    assert session(world, email).get("/v1/emails").status_code == 200


@pytest.mark.parametrize("what", ["session", "key"])
def test_who_is_locked_out_while_signing_in_or_making_a_key_is_out(
    world: World, member: Caller, operator: Caller, email: str, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    mint = keys.mint

    def lock_out_and_mint(kind: str) -> keys.ApiKey:
        """After who asks was proved, and before what comes of it is written."""
        assert operator.post(f"/v1/users/{member.user_id}/lock-out").status_code == 204
        return mint(kind)

    monkeypatch.setattr(keys, "mint", lock_out_and_mint)
    if what == "session":
        answer = sign_in(world, email)
    else:
        answer = member.post("/v1/keys", {"scopes": ["emails:read"]})
    assert answer.status_code == 401
    standing = "SELECT id FROM api_keys WHERE user_id = :id AND revoked_at IS NULL"
    assert world.sql(standing, id=member.user_id) == []


def test_nobody_locks_themselves_out_and_members_nobody(
    world: World, member: Caller, operator: Caller
) -> None:
    assert operator.post(f"/v1/users/{operator.user_id}/lock-out").status_code == 409
    assert operator.get("/v1/users").status_code == 200
    answer = member.post(f"/v1/users/{operator.user_id}/lock-out")
    assert (answer.status_code, answer.get_json()["type"]) == (403, "/problems/operators-only")


def test_only_operators_make_links(world: World, member: Caller) -> None:
    answer = member.post(f"/v1/users/{member.user_id}/password-link")
    assert (answer.status_code, answer.get_json()["type"]) == (403, "/problems/operators-only")


def test_signing_in_and_out_is_in_the_audit_log(world: World, member: Caller, email: str) -> None:
    person = session(world, email)
    [mine] = person.get("/v1/sessions").get_json()["data"]
    person.put("/v1/password", {"current_password": PASSWORD, "new_password": "purple monkey dishwasher"})
    person.delete("/v1/sessions/current")
    sign_in(world, email, "wrong")
    told = [(line["action"], line["api_key_id"], line["fields"]) for line in lines(member)]
    assert told == [
        ("DELETE /v1/sessions/current", mine["id"], []),
        ("PUT /v1/password", mine["id"], ["current_password", "new_password"]),
        ("POST /v1/sessions", mine["id"], []),
    ]


def test_a_refused_try_is_logged_without_what_was_given(
    world: World, member: Caller, email: str, capfd: pytest.CaptureFixture[str]
) -> None:
    sign_in(world, email, "a secret try")
    logged = "".join(capfd.readouterr())
    assert "sign_in_refused" in logged
    assert str(member.user_id) in logged
    assert "a secret try" not in logged
    assert email not in logged


def test_sessions_that_ended_go_after_a_day(world: World, member: Caller, email: str) -> None:
    from db.repositories.retention import purge
    from domain.upkeep import Retention

    session(world, email)
    for later, left in (("31 hours", 1), ("33 hours", 0)):
        with world.later(later), world.engine.begin() as connection:
            purge(connection, Retention())
        [row] = world.sql("SELECT count(*) FROM api_keys WHERE user_id = :id AND kind = 'session'",
                          id=member.user_id)  # fmt: skip
        assert row.count == left
    assert member.get("/v1/keys").get_json()["data"]
