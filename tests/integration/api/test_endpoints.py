"""/v1/webhooks: where a user wants to be told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.api.world import EMAIL, Caller, World

URL = "https://app.example.com/in?x=1"


def made(caller: Caller, **more: Any) -> dict[str, Any]:
    answer = caller.post("/v1/webhooks", {"url": URL, **more})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/v1/webhooks/{answer.get_json()['id']}"
    found: dict[str, Any] = answer.get_json()
    return found


def messages(caller: Caller, webhook: str, **query: Any) -> list[dict[str, Any]]:
    answer = caller.get(f"/v1/webhooks/{webhook}/messages", query_string=query)
    found: list[dict[str, Any]] = answer.get_json()["data"]
    return found


def cancelled(caller: Caller) -> str:
    """An email with something that happened to it."""
    email: str = caller.post("/v1/emails", EMAIL).get_json()["id"]
    assert caller.post(f"/v1/emails/{email}/cancel").status_code == 200
    return email


def test_the_secret_is_shown_once_and_lies_sealed(world: World, member: Caller) -> None:
    webhook = made(member, types=["email.bounced", "email.bounced"], description="crm")
    assert webhook["secret"].startswith("whsec_")
    assert webhook["types"] == ["email.bounced"]
    shown = member.get(f"/v1/webhooks/{webhook['id']}").get_json()
    assert shown == {name: value for name, value in webhook.items() if name != "secret"}
    [row] = world.sql("SELECT secret FROM webhook_endpoints")
    assert webhook["secret"] not in row.secret


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example", "https://", "https://u:p@a.example/", "https://a.example/#f", "https://a b.example",
        "http://a.example/", "https://ä.example", "https://a.example:0/", "//a.example", "https://a.example/\\n",
    ],
)  # fmt: skip
def test_what_cannot_be_called_is_refused(member: Caller, url: str) -> None:
    answer = member.post("/v1/webhooks", {"url": url})
    assert answer.status_code == 422
    assert [e["pointer"] for e in answer.get_json()["errors"]] == ["/url"]


def test_all_wrong_fields_are_named(member: Caller) -> None:
    body = {"url": "x", "types": ["email.sent", "nope"], "description": "d" * 201, "more": 1}
    found = {e["pointer"] for e in member.post("/v1/webhooks", body).get_json()["errors"]}
    assert found == {"/url", "/types/1", "/description", "/more"}


def test_an_operators_receiver_may_do_without_https(operator: Caller) -> None:
    assert made(operator, url="http://crm.internal/in")["url"] == "http://crm.internal/in"


def test_changing_keeps_what_is_left_out(member: Caller) -> None:
    webhook = made(member, types=["email.sent"], description="crm")
    path = f"/v1/webhooks/{webhook['id']}"
    off = member.patch(path, {"enabled": False}).get_json()
    assert (off["enabled"], off["disabled_reason"], off["types"]) == (False, "by its owner", ["email.sent"])
    on = member.patch(path, {"enabled": True, "types": []}).get_json()
    assert (on["enabled"], on["disabled_reason"], on["types"], on["url"]) == (True, None, [], URL)
    assert member.patch(path, {"url": "http://a.example"}).status_code == 422


def test_a_rotated_secret_is_another_and_the_old_one_signs_for_a_while(member: Caller) -> None:
    webhook = made(member)
    fresh = member.post(f"/v1/webhooks/{webhook['id']}/rotate", {"overlap_hours": 2}).get_json()
    assert fresh["secret"] != webhook["secret"]
    assert fresh["old_secret_until"] is not None


def test_what_happens_to_emails_waits_for_the_webhook(world: World, member: Caller) -> None:
    webhook = made(member)
    email = cancelled(member)
    [message] = messages(member, webhook["id"])
    assert (message["type"], message["email_id"], message["state"]) == ("email.cancelled", email, "waiting")
    assert messages(member, webhook["id"], state="failed") == []


def test_a_test_message_is_queued(member: Caller) -> None:
    webhook = made(member, types=["email.bounced"])
    answer = member.post(f"/v1/webhooks/{webhook['id']}/test")
    assert answer.status_code == 202
    assert [m["id"] for m in messages(member, webhook["id"])] == [answer.get_json()["message_id"]]
    member.patch(f"/v1/webhooks/{webhook['id']}", {"enabled": False})
    assert member.post(f"/v1/webhooks/{webhook['id']}/test").status_code == 409


def test_a_range_is_told_again_even_what_came_before_the_webhook(world: World, member: Caller) -> None:
    email = cancelled(member)
    webhook = made(member)
    replay = f"/v1/webhooks/{webhook['id']}/replay"
    whole = {"since": "2000-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
    first = member.post(replay, whole)
    assert (first.status_code, first.get_json()["messages"], first.get_json()["has_more"]) == (202, 1, False)
    assert member.post(replay, whole).get_json()["messages"] == 0  # it waits already
    world.sql("UPDATE webhook_messages SET state = 'told', tries = 3, due_at = mm_now() - interval '1 hour'")
    assert member.post(replay, {**whole, "failed_only": True}).get_json()["messages"] == 0
    assert member.post(replay, {**whole, "types": ["email.bounced"]}).get_json()["messages"] == 0
    assert member.post(replay, whole).get_json()["messages"] == 1
    [message] = messages(member, webhook["id"])
    assert (message["email_id"], message["state"], message["tries"]) == (email, "waiting", 0)


def test_a_range_that_ends_before_it_begins_is_refused(member: Caller) -> None:
    body = {"since": "2030-01-01T00:00:00Z", "until": "2029-01-01T00:00:00Z"}
    answer = member.post(f"/v1/webhooks/{made(member)['id']}/replay", body)
    assert [e["pointer"] for e in answer.get_json()["errors"]] == ["/until"]


def test_deleted_means_nothing_is_left(world: World, member: Caller) -> None:
    webhook = made(member)
    cancelled(member)
    assert member.delete(f"/v1/webhooks/{webhook['id']}").status_code == 204
    assert member.get(f"/v1/webhooks/{webhook['id']}").status_code == 404
    left = world.sql("SELECT 1 FROM webhook_messages WHERE endpoint_id = :id", id=webhook["id"])
    assert left == []


def test_the_list_has_pages(member: Caller) -> None:
    ids = [made(member)["id"] for _ in range(3)]
    first = member.get("/v1/webhooks", query_string={"limit": 2}).get_json()
    rest = member.get("/v1/webhooks", query_string={"limit": 2, "cursor": first["next_cursor"]}).get_json()
    assert [w["id"] for w in first["data"] + rest["data"]] == ids[::-1]
    assert (first["has_more"], rest["has_more"]) == (True, False)


def test_there_is_a_most_of_one_user(world: World, member: Caller) -> None:
    world.sql(
        "INSERT INTO webhook_endpoints (id, user_id, url, secret) "
        "SELECT gen_random_uuid(), :user, 'https://a.example', '' FROM generate_series(1, 50)",
        user=member.user_id,
    )
    assert member.post("/v1/webhooks", {"url": URL}).status_code == 409
