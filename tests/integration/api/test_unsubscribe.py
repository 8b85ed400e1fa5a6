"""The way out of marketing: headers that bear a link, and the page behind it (RFC 8058)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from api.app import create_app
from api.gathering import Gathering
from api.links import Signer
from domain.message import Submission
from domain.unsubscribe import link_in, token_of
from domain.upkeep import Retention
from tests.builders import new_id
from tests.integration.api.world import EMAIL, Caller, World

NEWS = {**EMAIL, "to": ["Ada <Ada@example.com>"], "email_type": "marketing"}
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def nowhere(world: World) -> World:
    """A service that has not been told under which address people reach it."""
    gathering = Gathering(world.deps.units, world.bell, new_id)
    deps = replace(world.deps, gathering=gathering, public_url=None)
    return replace(world, deps=deps, app=create_app(deps))


def headers(world: World, caller: Caller, body: dict[str, Any]) -> dict[str, str]:
    """Those that the accepted email carries."""
    answer = caller.post("/v1/emails", body)
    assert answer.status_code == 202, answer.text
    [row] = world.sql("SELECT envelope FROM email_jobs WHERE id = :id", id=answer.get_json()["id"])
    return dict(row.envelope["headers"])


def link(world: World, caller: Caller, body: dict[str, Any] = NEWS) -> str:
    """The path of an accepted email's link."""
    found = headers(world, caller, body)
    assert found["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = found["List-Unsubscribe"]
    assert url.startswith("<https://mail.example.com/u/")
    return url.removeprefix("<https://mail.example.com").removesuffix(">")


def listed(caller: Caller) -> list[tuple[str, str, str]]:
    found = caller.get("/v1/suppressions").get_json()["data"]
    return [(e["address"], e["scope"], e["cause"]) for e in found]


def press(world: World, path: str, **data: str) -> TestResponse:
    return world.app.test_client().post(path, data=data or ONE_CLICK)


def test_one_click_unsubscribes_without_a_key_a_cookie_or_a_redirect(world: World) -> None:
    caller = world.user()
    path = link(world, caller)
    for _ in range(2):  # mailbox hosts ask again
        answer = press(world, path)
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers
    assert listed(caller) == [("ada@example.com", "marketing", "unsubscribed")]
    assert caller.post("/v1/emails", NEWS).get_json()["status"] == "suppressed"
    assert caller.post("/v1/emails", {**EMAIL, "to": ["ada@example.com"]}).get_json()["status"] == "queued"


def test_the_one_click_header_stands_once(world: World) -> None:
    body = {**NEWS, "headers": {"list-unsubscribe-post": "List-Unsubscribe=One-Click", "X-Mine": "1"}}
    caller = world.user()
    answer = caller.post("/v1/emails", body)
    [row] = world.sql("SELECT envelope FROM email_jobs WHERE id = :id", id=answer.get_json()["id"])
    assert sorted(name for name, _ in row.envelope["headers"]) == [
        "List-Unsubscribe",
        "List-Unsubscribe-Post",
        "X-Mine",
    ]


def test_a_link_outlives_the_body_and_the_keys_of_the_service(world: World) -> None:
    caller = world.user()
    path = link(world, caller)
    world.sql("DELETE FROM email_queue")
    world.sql("UPDATE email_contents SET created_at = mm_now() - interval '400 days'")
    with world.deps.units() as unit:
        assert unit.upkeep.purge(Retention(bodies=30))
        unit.commit()
    assert world.sql("SELECT 1 FROM email_contents") == []
    others = replace(world.deps, links=Signer({"k9": b"n" * 32}, "k9"))
    answer = create_app(others).test_client().post(path, data=ONE_CLICK)
    assert answer.status_code == 200
    assert listed(caller) == [("ada@example.com", "marketing", "unsubscribed")]


def test_looking_at_the_page_changes_nothing(world: World) -> None:
    caller = world.user()
    page = world.app.test_client().get(link(world, caller))
    assert page.status_code == 200
    assert '<form method="post">' in page.text
    assert "ada@example.com" not in page.text.lower()
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert listed(caller) == []


def test_a_type_may_be_left_alone(world: World) -> None:
    caller = world.user()
    declared = {"name": "offers", "category": "marketing", "unsubscribe_scope": "type"}
    assert caller.post("/v1/email-types", declared).status_code == 201
    press(world, link(world, caller, {**NEWS, "email_type": "offers"}))
    assert listed(caller) == [("ada@example.com", "type:offers", "unsubscribed")]
    assert caller.post("/v1/emails", NEWS).get_json()["status"] == "queued"


def test_transactional_email_and_a_senders_own_way_out_are_left_alone(world: World) -> None:
    caller = world.user()
    assert "List-Unsubscribe" not in headers(world, caller, EMAIL)
    own = {"list-unsubscribe": "<https://shop.example.com/leave>"}
    assert headers(world, caller, {**NEWS, "headers": own}) == own


def test_a_link_is_of_one_recipient_of_one_email_of_one_sender(world: World) -> None:
    caller = world.user()
    path = link(world, caller)
    forged = [
        path[:-1] + ("A" if path[-1] != "A" else "B"),
        path[:-2],
        path + "A",
        "/u/" + token_of(b"x" * 32, new_id(), "ada@example.com"),
        "/u/%00",
        "/u/ü",
        "/u/x",
    ]
    for bad in forged:
        assert press(world, bad).status_code == 404
        assert world.app.test_client().get(bad).status_code == 404
    assert listed(caller) == []


@pytest.mark.parametrize("address", ["bob@example.com", "ada@example.org"])
def test_the_proof_is_of_the_address(world: World, address: str) -> None:
    caller = world.user()
    answer = caller.post("/v1/emails", NEWS).get_json()
    [row] = world.sql("SELECT link_secret FROM users WHERE id = :id", id=caller.user_id)
    path = "/u/" + token_of(bytes(row.link_secret), UUID(answer["id"]), address)
    assert press(world, path).status_code == 404


def test_every_user_has_a_secret_of_their_own(world: World) -> None:
    for _ in range(2):
        world.user()
    rows = world.sql("SELECT link_secret FROM users")
    assert len({bytes(r.link_secret) for r in rows}) == len(rows)
    assert {len(r.link_secret) for r in rows} == {32}


# -- the link in the body ------------------------------------------------------------------------------------


def sent(world: World, email_id: str) -> Submission:
    """What a worker reads of an accepted email."""
    with world.deps.units() as unit:
        (found,) = unit.delivery.load([UUID(email_id)]).values()
    return found.submission


def accepted(caller: Caller, **fields: Any) -> str:
    answer = caller.post("/v1/emails", {**NEWS, **fields})
    assert answer.status_code == 202, answer.text
    found: str = answer.get_json()["id"]
    return found


TEMPLATE = {
    "name": "news",
    "subject": "News",
    "html": '<style>a { color: red }</style><p>Bye: <a href="{{ unsubscribe_url }}">leave</a></p>',
}


def test_the_body_of_marketing_has_the_link_of_its_recipient(world: World) -> None:
    caller = world.user()
    bodies = {"text": "Leave: {{unsubscribe_url}}", "html": "<a href='{{unsubscribe_url}}'>x</a>"}
    first, second = (
        sent(world, accepted(caller, to=[to], **bodies)) for to in ("a@example.com", "b@example.com")
    )
    links = [link_in(s.message.headers) for s in (first, second)]
    assert links[0] != links[1]
    for submission, url in zip((first, second), links, strict=True):
        assert submission.message.text == f"Leave: {url}"
        assert submission.message.html == f"<a href='{url}'>x</a>"
    assert press(world, str(links[0]).removeprefix("https://mail.example.com")).status_code == 200
    assert [address for address, *_ in listed(caller)] == ["a@example.com"]


def test_bodies_with_a_link_are_kept_once_for_all_recipients(world: World) -> None:
    caller = world.user()
    for n in range(3):
        accepted(caller, to=[f"r{n}@example.com"], text="Leave: {{unsubscribe_url}}")
    [row] = world.sql("SELECT count(*) AS n FROM email_contents WHERE user_id = :id", id=caller.user_id)
    assert row.n == 1


def test_templates_name_the_link_without_being_given_it(world: World) -> None:
    caller = world.user()
    made = caller.post("/v1/templates", TEMPLATE)
    assert made.status_code == 201, made.text
    template = made.get_json()
    parts = {name: part for name, part in TEMPLATE.items() if name != "name"}
    added = caller.post(f"/v1/templates/{template['id']}/versions", parts).get_json()
    assert added["variables"] == []
    submission = sent(world, accepted(caller, template="news", subject=None, text=None))
    url = link_in(submission.message.headers)
    assert f'href="{url}"' in str(submission.message.html)
    assert str(url) in str(submission.message.text), "the text that is made of it has it too"
    shown = caller.post(f"/v1/templates/{template['id']}/preview", {"variables": {}})
    assert shown.status_code == 200, shown.text


def test_a_link_of_the_senders_own_goes_before_ours(world: World) -> None:
    caller = world.user()
    own = {"List-Unsubscribe": "<mailto:out@example.com>, <https://shop.example/out?a=1&b=2>"}
    submission = sent(world, accepted(caller, headers=own, html="<a href='{{unsubscribe_url}}'>x</a>"))
    assert submission.message.html == "<a href='https://shop.example/out?a=1&amp;b=2'>x</a>"


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"email_type": "transactional", "text": "{{unsubscribe_url}}"}, "/text"),
        ({"email_type": "transactional", "html": "{{unsubscribe_url}}"}, "/html"),
        (
            {"headers": {"List-Unsubscribe": "<mailto:out@example.com>"}, "html": "{{unsubscribe_url}}"},
            "/html",
        ),
    ],
)
def test_where_no_link_would_be_that_is_said(world: World, fields: dict[str, Any], pointer: str) -> None:
    answer = world.user().post("/v1/emails", {**NEWS, **fields})
    assert answer.status_code == 422
    assert [(e["pointer"], e["code"]) for e in answer.get_json()["errors"]] == [
        (pointer, "no_unsubscribe_link")
    ]


# -- no way out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "own",
    [{}, {"List-Unsubscribe": "by a letter"}, {"List-Unsubscribe": "<mailto:nobody>"}, {"X-Leave": "<https://a.example>"}],
)  # fmt: skip
def test_marketing_that_nobody_can_leave_is_refused(nowhere: World, own: dict[str, str]) -> None:
    caller = nowhere.user()
    answer = caller.post("/v1/emails", {**NEWS, "headers": own})
    assert answer.status_code == 422, answer.text
    assert [(e["pointer"], e["code"]) for e in answer.get_json()["errors"]] == [
        ("/headers/List-Unsubscribe", "no_unsubscribe_link")
    ]
    assert (
        caller.post("/v1/emails", {**NEWS, "headers": own, "email_type": "transactional"}).status_code == 202
    )


@pytest.mark.parametrize("way", ["<https://shop.example/out?u=1>", "<mailto:out@shop.example?subject=out>"])
def test_a_way_out_of_the_senders_own_is_enough(nowhere: World, way: str) -> None:
    own = {"list-unsubscribe": way}
    assert headers(nowhere, nowhere.user(), {**NEWS, "headers": own}) == own


def test_a_header_that_names_no_address_is_refused_also_where_we_have_links(world: World) -> None:
    answer = world.user().post("/v1/emails", {**NEWS, "headers": {"List-Unsubscribe": "by a letter"}})
    assert [e["code"] for e in answer.get_json()["errors"]] == ["no_unsubscribe_link"]


@pytest.mark.parametrize("mode", ["strict", "permissive"])
def test_the_emails_of_a_batch_have_links_of_their_own(world: World, mode: str) -> None:
    body = {
        "mode": mode,
        "defaults": {**NEWS, "text": "Leave: {{unsubscribe_url}}"},
        "emails": [{"to": ["a@example.com"]}, {"to": ["b@example.com"]}],
    }
    answer = world.user().post("/v1/emails/batch", body)
    assert (answer.status_code, answer.get_json()["accepted"]) == (202, 2)
    assert len({sent(world, result["id"]).message.text for result in answer.get_json()["results"]}) == 2
