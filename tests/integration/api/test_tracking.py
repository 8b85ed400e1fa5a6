"""Links by which opens and clicks are noticed: what they answer, what is kept, and that they lead nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from api.app import create_app
from api.gathering import Gathering
from domain.tracking import Kind, key_of, token_of
from tests.builders import new_id
from tests.integration.api.world import EMAIL, Caller, World, fields

TARGET = "https://shop.example/offer?a=1&b=//evil.example/"
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}
TRACKED = {**EMAIL, "html": "<p>x</p>", "track": {"opens": True, "clicks": True}}


@pytest.fixture
def sent(world: World, member: Caller) -> UUID:
    """A tracked email of the member, as it is once a provider has taken it."""
    email = UUID(member.post("/v1/emails", TRACKED).get_json()["id"])
    carried(world, member, email)
    return email


def carried(world: World, caller: Caller, email: UUID, outcome: str = "accepted") -> None:
    provider = caller.provider(f"p-{new_id()}")
    world.sql(
        """INSERT INTO delivery_attempts (id, job_id, provider_id, run, token, round, recipients, estimated_cost,
               currency, decision, outcome, settled_at)
           VALUES (:id, :email, :provider, :id, 1, 0, 1, 0, 'USD', '{}', :outcome, mm_now())""",
        id=new_id(),
        email=email,
        provider=provider,
        outcome=outcome,
    )


def link(world: World, owner: UUID, email: UUID, kind: Kind = Kind.CLICKED, address: str = TARGET) -> str:
    [row] = world.sql("SELECT link_secret FROM users WHERE id = :id", id=owner)
    key = key_of(bytes(row.link_secret), email)
    return "/t/" + token_of(key, kind, owner, email, "" if kind is Kind.OPENED else address)


def follow(
    world: World, path: str, headers: Mapping[str, str] = BROWSER, method: str = "GET"
) -> TestResponse:
    return world.app.test_client().open(path, method=method, headers=dict(headers))


def kept(world: World, email: UUID) -> list[dict[str, Any]]:
    rows = world.sql(
        """SELECT e.event FROM inbound_events e JOIN delivery_attempts a ON a.id = e.attempt_id
           WHERE a.job_id = :email ORDER BY e.received_at, e.id""",
        email=email,
    )
    return [row.event for row in rows]


def test_a_link_leads_to_its_address_and_the_click_is_kept(world: World, member: Caller, sent: UUID) -> None:
    answer = follow(world, link(world, member.user_id, sent))
    assert (answer.status_code, answer.headers["Location"], answer.data) == (302, TARGET, b"")
    assert (answer.headers["Cache-Control"], answer.headers["Referrer-Policy"]) == (
        "no-store, max-age=0",
        "no-referrer",
    )
    assert "Set-Cookie" not in answer.headers
    [event] = kept(world, sent)
    assert (event["type"], event["click_url"], event["recipient"]) == ("clicked", TARGET, "ada@example.org")
    assert "machine" not in event


def test_the_image_is_one_and_the_opening_is_kept(world: World, member: Caller, sent: UUID) -> None:
    answer = follow(world, link(world, member.user_id, sent, Kind.OPENED))
    assert (answer.status_code, answer.content_type, answer.data[:6]) == (200, "image/gif", b"GIF89a")
    assert [event["type"] for event in kept(world, sent)] == ["opened"]


@pytest.mark.parametrize(
    "change", ["signature", "address", "other account", "other email", "garbage", "kind"]
)
def test_what_we_did_not_make_is_an_unknown_page_and_no_redirect(
    world: World, member: Caller, sent: UUID, change: str
) -> None:
    good = link(world, member.user_id, sent)
    stranger = world.user()
    forged = {
        "signature": good[:3] + ("A" if good[3] != "A" else "B") + good[4:],
        "address": good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"),
        "other account": "/t/"
        + token_of(key_of(b"x" * 32, sent), Kind.CLICKED, member.user_id, sent, TARGET),
        "other email": good[:3] + link(world, stranger.user_id, sent)[3:25] + good[25:],
        "garbage": "/t/https:evil.example",
        "kind": good[:3] + link(world, member.user_id, sent, Kind.OPENED)[3:],
    }[change]
    answer = follow(world, forged)
    if change == "kind":  # it is the image's link, and leads nowhere
        assert (answer.status_code, "Location" in answer.headers) == (200, False)
        return
    assert (answer.status_code, "Location" in answer.headers) == (404, False)
    assert answer.content_type.startswith("text/html")
    assert kept(world, sent) == []


@pytest.mark.parametrize(
    ("method", "headers", "machine"),
    [
        ("HEAD", BROWSER, "head"),
        ("GET", {**BROWSER, "Sec-Purpose": "prefetch;prerender"}, "prefetch"),
        ("GET", {**BROWSER, "X-Moz": "prefetch"}, "prefetch"),
        ("GET", {"User-Agent": ""}, "no_user_agent"),
        ("GET", {"User-Agent": "Mozilla/5.0"}, "privacy_proxy"),
        ("GET", {"User-Agent": "curl/8.5.0"}, "user_agent"),
        ("GET", {"User-Agent": "Mozilla/5.0 (compatible; bingbot/2.0)"}, "user_agent"),
        ("GET", {"User-Agent": "Mozilla/5.0 (Windows NT 5.1) (via ggpht.com GoogleImageProxy)"}, None),
        ("GET", BROWSER, None),
    ],
)
def test_signs_of_a_program_are_kept_with_the_event(
    world: World, member: Caller, sent: UUID, method: str, headers: dict[str, str], machine: str | None
) -> None:
    answer = follow(world, link(world, member.user_id, sent), headers, method)
    assert (answer.status_code, answer.headers["Location"]) == (302, TARGET)
    [event] = kept(world, sent)
    assert event.get("machine") == machine


def test_the_same_link_is_kept_once_a_minute(world: World, member: Caller, sent: UUID) -> None:
    path = link(world, member.user_id, sent)
    for _ in range(3):
        follow(world, path)
    with world.later("61 seconds"):
        follow(world, path)
    assert len(kept(world, sent)) == 2


def test_of_several_recipients_nobody_is_named(world: World, member: Caller) -> None:
    email = UUID(member.post("/v1/emails", {**TRACKED, "cc": ["bob@example.org"]}).get_json()["id"])
    carried(world, member, email)
    follow(world, link(world, member.user_id, email))
    assert "recipient" not in kept(world, email)[0]


def test_links_outlive_the_email_and_other_encryption_keys(world: World, member: Caller, sent: UUID) -> None:
    path = link(world, member.user_id, sent)
    for table, column in (("email_queue", "job_id"), ("delivery_attempts", "job_id"), ("email_jobs", "id")):
        world.sql(f"DELETE FROM {table} WHERE {column} = :id", id=sent)
    answer = follow(world, path)
    assert (answer.status_code, answer.headers["Location"]) == (302, TARGET)


def test_an_email_that_was_never_sent_tells_nothing(world: World, member: Caller) -> None:
    email = UUID(member.post("/v1/emails", TRACKED).get_json()["id"])
    assert follow(world, link(world, member.user_id, email)).status_code == 302
    carried(world, member, email, "not_sent")
    assert follow(world, link(world, member.user_id, email)).status_code == 302
    assert kept(world, email) == []


def test_without_a_public_address_a_provider_has_to_do_it(world: World) -> None:
    gathering = Gathering(world.deps.units, world.bell, new_id)
    nowhere = create_app(replace(world.deps, gathering=gathering, public_url=None))
    owner = world.user()
    caller = replace(owner, app=nowhere)
    answer = caller.post("/v1/emails", TRACKED)
    assert (answer.status_code, fields(answer)) == (422, {"/track/opens", "/track/clicks"})
    assert {e["code"] for e in answer.get_json()["errors"]} == {"cannot_track"}
    owner.provider("does-it-itself")  # of the kind memory, which carries every wish
    assert caller.post("/v1/emails", TRACKED).status_code == 202
    [row] = world.sql("SELECT options FROM email_jobs WHERE user_id = :id", id=owner.user_id)
    assert "links" not in row.options


def test_with_one_the_email_is_ours_to_track_only_where_that_is_asked_for(
    world: World, member: Caller
) -> None:
    asked = member.post("/v1/emails", TRACKED).get_json()["id"]
    for body in (EMAIL, {**EMAIL, "html": "<p>x</p>"}, {**TRACKED, "track": {"opens": False}}):
        member.post("/v1/emails", body)
    rows = world.sql("SELECT id, options FROM email_jobs WHERE user_id = :id", id=member.user_id)
    assert [str(row.id) for row in rows if "links" in row.options] == [asked]


def test_an_email_without_html_is_sent_though_nothing_of_it_can_be_noticed(
    world: World, member: Caller
) -> None:
    member.post("/v1/emails", {**EMAIL, "track": {"opens": True, "clicks": False}})
    [row] = world.sql("SELECT options FROM email_jobs WHERE user_id = :id", id=member.user_id)
    assert (row.options["track_opens"], row.options["track_clicks"]) == (None, False)
