"""Keys that are limited by sender, network and rate."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
import redis

from api.app import create_app
from api.deps import Limits
from db.throttle import RedisThrottle
from tests.builders import new_id
from tests.integration.api.world import EMAIL, Caller, World, fields
from wiring.bootstrap import SystemClock


def limited(world: World, member: Caller, **limits: Any) -> Caller:
    answer = member.post("/v1/keys", {"scopes": ["emails:send", "emails:read", "keys:write"], **limits})
    assert answer.status_code == 201, answer.text
    made = answer.get_json()
    assert {name: made[name] for name in limits} == limits
    return Caller(world.app, member.user_id, made["public_id"], made["key"])


def test_another_sender_is_refused_for_each_email(world: World, member: Caller) -> None:
    key = limited(world, member, senders=["example.com", "ada@other.example"])
    assert key.post("/v1/emails", EMAIL).status_code == 202
    wrong = key.post("/v1/emails", {**EMAIL, "from": "eve@other.example"})
    assert (wrong.status_code, fields(wrong)) == (422, {"/from"})
    batch = {"defaults": EMAIL, "emails": [{}, {"from": "ada@other.example"}, {"from": "eve@other.example"}]}
    assert fields(key.post("/v1/emails/batch", batch)) == {"/emails/2/from"}
    assert member.post("/v1/emails", {**EMAIL, "from": "eve@other.example"}).status_code == 202


def test_it_is_refused_from_elsewhere_and_a_proxy_is_believed_only_where_it_is_trusted(
    world: World, member: Caller
) -> None:
    here = limited(world, member, networks=["127.0.0.0/8"])
    there = limited(world, member, networks=["203.0.113.0/24"])
    assert here.get("/v1/emails").status_code == 200
    forwarded = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
    for headers in ({}, forwarded):
        refused = there.get("/v1/emails", headers=headers)
        assert (refused.status_code, refused.get_json()["type"]) == (403, "/problems/address-not-allowed")
        assert "203.0.113" not in refused.text
    app = create_app(replace(world.deps, limits=Limits(trusted_proxies=(ip_network("127.0.0.0/8"),))))
    assert replace(there, app=app).get("/v1/emails", headers=forwarded).status_code == 200
    mapped = {"environ_base": {"REMOTE_ADDR": "::ffff:127.0.0.1"}, "headers": forwarded}
    assert replace(there, app=app).get("/v1/emails", **mapped).status_code == 200
    forged = {"X-Forwarded-For": "203.0.113.9, 198.51.100.1"}
    assert replace(there, app=app).get("/v1/emails", headers=forged).status_code == 403


def test_beyond_its_rate_it_waits_for_the_next_minute_and_is_told_so(
    world: World, member: Caller, redis_url: str
) -> None:
    throttle = RedisThrottle(redis.Redis.from_url(redis_url), SystemClock(), prefix=str(new_id()))
    app = create_app(replace(world.deps, throttle=throttle.take))
    key = replace(limited(world, member, per_minute=3), app=app)
    answers = [key.get("/v1/emails") for _ in range(9)]
    assert [a.status_code for a in answers[:3]] == [200] * 3
    last = answers[-1]
    assert (last.status_code, last.get_json()["type"]) == (429, "/problems/key-rate-exceeded")
    assert (last.headers["RateLimit-Limit"], last.headers["RateLimit-Remaining"]) == ("3", "0")
    assert 1 <= int(last.headers["Retry-After"]) <= 60
    assert last.headers["RateLimit-Reset"] == last.headers["Retry-After"]
    assert "RateLimit-Limit" not in replace(member, app=app).get("/v1/emails").headers


def test_without_redis_nobody_is_held_up(world: World, member: Caller) -> None:
    throttle = RedisThrottle(redis.Redis.from_url("redis://127.0.0.1:1"), SystemClock())
    key = limited(world, member, per_minute=1)
    key = replace(key, app=create_app(replace(world.deps, throttle=throttle.take)))
    assert [key.get("/v1/emails").status_code for _ in range(3)] == [200] * 3


def test_a_key_makes_none_that_is_limited_to_more(world: World, member: Caller) -> None:
    key = limited(world, member, senders=["example.com"], networks=["127.0.0.0/8"], per_minute=60)
    wide = {
        "scopes": ["emails:send"],
        "senders": ["other.example"],
        "networks": ["0.0.0.0/0"],
        "per_minute": 61,
    }
    assert fields(key.post("/v1/keys", wide)) == {"/senders", "/networks", "/per_minute"}
    made = key.post("/v1/keys", {"scopes": ["emails:send"]}).get_json()
    assert (made["senders"], made["networks"], made["per_minute"]) == (["example.com"], ["127.0.0.0/8"], 60)
    rotated = key.post(f"/v1/keys/{made['id']}/rotate", {}).get_json()
    assert rotated["senders"] == ["example.com"]


def test_the_first_key_of_a_new_user_is_limited_as_the_key_that_made_it(
    world: World, operator: Caller
) -> None:
    body = {"scopes": ["users:write"], "networks": ["127.0.0.0/8"], "per_minute": 60}
    made = operator.post("/v1/keys", body).get_json()
    key = replace(operator, key=made["key"])
    user = key.post("/v1/users", {"email": f"{new_id()}@example.com"})
    assert user.status_code == 201, user.text
    fresh = replace(operator, key=user.get_json()["key"])
    [first] = fresh.get("/v1/keys").get_json()["data"]
    assert (first["networks"], first["per_minute"]) == (["127.0.0.0/8"], 60)
    assert fresh.get("/v1/keys", environ_base={"REMOTE_ADDR": "203.0.113.9"}).status_code == 403


@pytest.mark.parametrize("name", ["senders", "networks", "per_minute"])
def test_wrong_limits_are_named(member: Caller, name: str) -> None:
    wrong = {"senders": ["no address@"], "networks": ["10.0.0.1/8"], "per_minute": 0}[name]
    answer = member.post("/v1/keys", {"scopes": ["emails:send"], name: wrong})
    where = f"/{name}" if name == "per_minute" else f"/{name}/0"
    assert fields(answer) == {where}
