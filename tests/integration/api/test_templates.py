"""Templates through HTTP: made, versioned, published, previewed, and used by emails."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from api.app import create_app
from api.deps import Limits
from tests.integration.api.world import EMAIL, Caller, World, fields
from wiring.bootstrap import SystemClock

PARTS: dict[str, Any] = {"subject": "Order {{ number }}", "html": "<p>Dear {{ name }}</p>"}
PLAIN = {name: EMAIL[name] for name in ("from", "to")}


def template(owner: Caller, name: str = "order", **changes: Any) -> str:
    answer = owner.post("/v1/templates", {"name": name, **PARTS, **changes})
    assert answer.status_code == 201, answer.text
    return str(answer.get_json()["id"])


def content(world: World, email_id: str) -> Any:
    [row] = world.sql(
        "SELECT j.subject, c.text, c.html FROM email_jobs j JOIN email_contents c"
        " ON (c.user_id, c.hash) = (j.user_id, j.content_hash) WHERE j.id = :id",
        id=email_id,
    )
    return row


def test_an_email_is_committed_with_what_its_template_says(world: World, member: Caller) -> None:
    template(member)
    answer = member.post(
        "/v1/emails", PLAIN | {"template": "order", "variables": {"number": 7, "name": "A & B"}}
    )
    assert answer.status_code == 202, answer.text
    said = content(world, answer.get_json()["id"])
    assert (said.subject, said.text) == ("Order 7", "Dear A & B\n")
    assert "<p>Dear A &amp; B</p>" in said.html


def test_all_missing_variables_are_named_and_nothing_is_accepted(world: World, member: Caller) -> None:
    template(member)
    answer = member.post("/v1/emails", PLAIN | {"template": "order"})
    assert (answer.status_code, fields(answer)) == (422, {"/variables/number", "/variables/name"})
    assert world.count("email_jobs", member) == 0


def test_they_are_named_together_with_all_else_that_is_wrong(member: Caller) -> None:
    template(member)
    answer = member.post("/v1/emails", {"from": "nobody", "to": [], "template": "order", "email_type": "odd"})
    assert fields(answer) == {"/from", "/to", "/email_type", "/variables/number", "/variables/name"}


def test_accepted_emails_keep_the_version_that_was_published_then(world: World, member: Caller) -> None:
    template_id = template(member, subject="One", html="<p>1</p>")
    first = member.post("/v1/emails", PLAIN | {"template": "order"}).get_json()["id"]
    versions = f"/v1/templates/{template_id}/versions"
    draft = member.post(versions, {"subject": "Two", "text": "2 {{ a }}", "publish": False})
    assert (draft.get_json()["version"], draft.get_json()["variables"]) == (2, ["a"])

    def subject_of(**more: Any) -> str:
        sent = member.post("/v1/emails", PLAIN | {"template": template_id} | more)
        return str(content(world, sent.get_json()["id"]).subject)

    assert subject_of() == "One"
    assert subject_of(template_version=2, variables={"a": 1}) == "Two"
    member.post(f"/v1/templates/{template_id}/publish", {"version": 2})
    assert subject_of(variables={"a": 1}) == "Two"
    assert member.delete(f"/v1/templates/{template_id}").status_code == 204
    assert content(world, first).subject == "One"
    gone = member.post("/v1/emails", PLAIN | {"template": template_id})
    assert (gone.status_code, fields(gone)) == (422, {"/template"})


def test_a_repeated_request_is_answered_alike_though_the_template_is_gone(member: Caller) -> None:
    template_id = template(member)
    body = PLAIN | {"template": template_id, "variables": {"number": 1, "name": "A"}}
    first = member.post("/v1/emails", body, headers={"Idempotency-Key": "k"})
    member.delete(f"/v1/templates/{template_id}")
    again = member.post("/v1/emails", body, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.get_json()) == (202, first.get_json())
    assert again.headers["Idempotent-Replayed"] == "true"


def test_a_batch_renders_each_entry_and_stores_equal_bodies_once(world: World, member: Caller) -> None:
    template(member, subject="For {{ name }}", html="<p>The same for all</p>")
    people = [{"to": [f"p{n}@example.org"], "variables": {"name": f"P{n}"}} for n in range(20)]
    answer = member.post(
        "/v1/emails/batch",
        {"defaults": {"from": EMAIL["from"], "template": "order"}, "emails": [*people, {"to": ["x@y.example"]}],
         "mode": "permissive"},
    )  # fmt: skip
    results = answer.get_json()["results"]
    assert [r["status"] for r in results] == ["queued"] * 20 + ["rejected"]
    assert [e["pointer"] for e in results[-1]["errors"]] == ["/emails/20/variables/name"]
    assert content(world, results[3]["id"]).subject == "For P3"
    assert world.count("email_contents", member) == 1


@pytest.mark.parametrize(
    "line", ["a\r\nBcc: evil@example.com", "a\nb", "a\0b", "=?utf-8?q?a=0AX:_y?=", "a\u2028b\x85c", "a\x1bb"]
)
def test_a_variable_cannot_add_a_header(world: World, member: Caller, line: str) -> None:
    template(member, subject="For {{ name }} here", html="<p>{{ name }}</p>")
    answer = member.post("/v1/emails", PLAIN | {"template": "order", "variables": {"name": line}})
    if answer.status_code == 202:  # not every odd character ends a line
        subject = content(world, answer.get_json()["id"]).subject
        assert not any(sign in subject for sign in "\r\n\0\x1b")
        assert "=?" not in subject
    else:
        assert answer.status_code == 422
    if "\r" in line or "\n" in line or "\0" in line or "=?" in line:
        assert answer.status_code == 422


@pytest.mark.parametrize("part", ["subject", "text"])
def test_a_template_cannot_smuggle_what_is_no_text(member: Caller, part: str) -> None:
    parts: dict[str, Any] = {"html": None, "text": "x", "subject": "s", part: "a{{ '\\0' }}b"}
    template(member, **parts)
    answer = member.post("/v1/emails", PLAIN | {"template": "order"})
    assert (answer.status_code, fields(answer)) == (422, {"/template"})


@pytest.mark.parametrize("parts", [{"subject": "{{ x }}"}, {"text": "{{ x }}"}, {"subject": "{{ x * 999 }}"}])
def test_what_comes_out_empty_or_too_long_is_refused_as_it_is_without_a_template(
    member: Caller, parts: dict[str, Any]
) -> None:
    template(member, **({"html": None, "text": "x", "subject": "s"} | parts))
    x = "y" if "*" in parts.get("subject", "") else ""
    answer = member.post("/v1/emails", PLAIN | {"template": "order", "variables": {"x": x}})
    assert (answer.status_code, fields(answer)) == (422, {"/template"})


def test_a_part_that_comes_out_empty_is_left_out(world: World, member: Caller) -> None:
    template(member, html="<p>a</p>", text="{{ x }}", subject="s")
    answer = member.post("/v1/emails", PLAIN | {"template": "order", "variables": {"x": ""}})
    assert answer.status_code == 202
    assert content(world, answer.get_json()["id"]).text is None


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"subject": "Mine"}, {"/subject"}),
        ({"text": "Mine"}, {"/text"}),
        ({"html": "Mine"}, {"/html"}),
        ({"template": "absent"}, {"/template"}),
        ({"template_version": 9}, {"/template_version"}),
        ({"template_version": "1"}, {"/template_version"}),
        ({"variables": []}, {"/variables"}),
    ],
)
def test_a_template_and_what_it_gives_are_not_mixed(
    member: Caller, changes: dict[str, Any], wrong: set[str]
) -> None:
    template(member, subject="s", html="<p>h</p>")
    answer = member.post("/v1/emails", PLAIN | {"template": "order"} | changes)
    assert (answer.status_code, fields(answer)) == (422, wrong)


def test_variables_without_a_template_are_refused(member: Caller) -> None:
    answer = member.post("/v1/emails", EMAIL | {"variables": {}, "template_version": 1})
    assert (answer.status_code, fields(answer)) == (422, {"/variables", "/template_version"})


def test_templates_of_others_do_not_exist(world: World, member: Caller) -> None:
    theirs = template(world.user())
    for ref in (theirs, "order"):
        answer = member.post("/v1/emails", PLAIN | {"template": ref})
        assert (answer.status_code, fields(answer)) == (422, {"/template"})


def test_an_unpublished_template_sends_nothing(member: Caller) -> None:
    template_id = template(member, publish=False)
    assert member.get(f"/v1/templates/{template_id}").get_json()["published_version"] is None
    answer = member.post("/v1/emails", PLAIN | {"template": "order"})
    assert [e["code"] for e in answer.get_json()["errors"]] == ["unpublished_template"]


def test_a_preview_shows_what_would_be_sent(member: Caller) -> None:
    template_id = template(member, publish=False)
    path = f"/v1/templates/{template_id}/preview"
    shown = member.post(path, {"variables": {"number": 1, "name": "A"}}).get_json()
    assert (shown["version"], shown["subject"], shown["text"]) == (1, "Order 1", "Dear A\n")
    missing = member.post(path, {})
    assert (missing.status_code, fields(missing)) == (422, {"/variables/number", "/variables/name"})
    assert fields(member.post(path, {"version": 5})) == {"/version"}


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"subject": "{{ a", "html": "{% if %}"}, {"/subject", "/html"}),
        ({"html": None}, {"/mjml"}),
        ({"mjml": "<mjml></mjml>"}, {"/mjml"}),
        ({"name": "../etc", "subject": ""}, {"/name", "/subject"}),
        ({"name": "01900000-0000-7000-8000-00000000aaaa"}, {"/name"}),
        ({"html": "x" * 500_001}, {"/html"}),
    ],
)
def test_wrong_templates_are_refused_with_every_mistake(
    member: Caller, changes: dict[str, Any], wrong: set[str]
) -> None:
    answer = member.post("/v1/templates", {"name": "t", **PARTS, **changes})
    assert (answer.status_code, fields(answer)) == (422, wrong)


def test_a_name_is_given_once(member: Caller) -> None:
    template(member)
    other = template(member, "other")
    assert member.post("/v1/templates", {"name": "order", **PARTS}).status_code == 409
    assert member.patch(f"/v1/templates/{other}", {"name": "order"}).status_code == 409
    assert member.patch(f"/v1/templates/{other}", {"name": "new"}).get_json()["name"] == "new"


def test_versions_are_listed_newest_first(member: Caller) -> None:
    path = f"/v1/templates/{template(member)}/versions"
    for n in (2, 3):
        member.post(path, {"subject": f"v{n}", "text": "t"})
    page = member.get(path, query_string={"limit": 2}).get_json()
    assert ([v["version"] for v in page["data"]], page["has_more"]) == ([3, 2], True)
    rest = member.get(path, query_string={"before": 2}).get_json()
    assert [v["version"] for v in rest["data"]] == [1]
    assert member.get(f"{path}/3").get_json()["subject"] == "v3"
    assert member.get(f"{path}/99999999999").status_code == 404


def test_templates_are_listed_in_pages(member: Caller) -> None:
    made = [template(member, f"t{n}") for n in range(3)]
    first = member.get("/v1/templates", query_string={"limit": 2}).get_json()
    second = member.get("/v1/templates", query_string={"cursor": first["next_cursor"]}).get_json()
    assert [t["id"] for t in first["data"] + second["data"]] == made[::-1]
    assert not second["has_more"]


def test_an_email_without_a_template_asks_for_none(world: World, member: Caller) -> None:
    """Its way is as it was: no statement more."""
    from sqlalchemy import event

    seen: list[str] = []
    member.post("/v1/emails", EMAIL)

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(world.engine, "before_cursor_execute", note)
    member.post("/v1/emails", EMAIL)
    event.remove(world.engine, "before_cursor_execute", note)
    assert not [s for s in seen if "template" in s]


def test_a_request_has_so_much_time_for_its_templates(world: World, member: Caller) -> None:
    costly = "{% for i in range(20000) %}{% for k in range(60) %}{% endfor %}{% endfor %}x"
    member.post("/v1/templates", {"name": "costly", "subject": "s", "text": costly})
    entry = {"from": EMAIL["from"], "to": EMAIL["to"], "template": "costly"}
    hurried = replace(
        member, app=create_app(replace(world.deps, clock=SystemClock(), limits=Limits(render_seconds=0.01)))
    )
    assert hurried.post("/v1/emails", entry).status_code == 202, "one is always rendered"
    answer = hurried.post("/v1/emails/batch", {"emails": [entry, entry, entry]})
    assert answer.status_code == 422
    told = {(e["pointer"], e["code"]) for e in answer.get_json()["errors"]}
    assert told == {(f"/emails/{n}/template", "template_too_costly") for n in (1, 2)}
