"""The preview of a routing decision: what would be decided, with nothing sent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.api.world import EMAIL, Caller, World, fields

PREVIEW = "/v1/routing/preview"


def test_a_preview_says_what_would_be_decided_and_accepts_nothing(member: Caller) -> None:
    answer = member.post(PREVIEW, EMAIL)
    assert answer.status_code == 200, answer.text
    decision = answer.get_json()["decision"]
    assert (decision["chosen"], decision["reason"]) == (None, "NO_PROVIDER")
    assert decision["explanation"] == "No provider can carry it now."
    assert member.get("/v1/emails").get_json()["data"] == []


def test_a_preview_objects_to_what_accepting_would(member: Caller) -> None:
    answer = member.post(PREVIEW, EMAIL | {"email_type": "nobody-declared-it"})
    assert answer.status_code == 422
    assert fields(answer) == {"/email_type"}


# -- dry run -------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_be_sent_and_by_whom_and_sends_nothing(
    world: World, member: Caller
) -> None:
    member.post("/v1/templates", {"name": "dry", "subject": "Hello {{ name }}", "html": "<p>{{ name }}</p>"})
    body = {name: EMAIL[name] for name in ("from", "to")} | {"template": "dry", "variables": {"name": "Ada"}}
    before = world.sql("SELECT count(*) AS n FROM email_jobs")[0].n
    answer = member.post("/v1/emails", body, query_string={"dry_run": "true"})
    assert answer.status_code == 200, answer.text
    drawn = answer.get_json()
    assert (drawn["subject"], drawn["html"]) == (
        "Hello Ada",
        "<html><head></head><body><p>Ada</p></body></html>",
    )
    assert drawn["text"].strip() == "Ada"
    assert "explanation" in drawn["decision"]
    assert world.sql("SELECT count(*) AS n FROM email_jobs")[0].n == before


def test_a_dry_run_is_refused_for_what_sending_would_be_refused_for(member: Caller) -> None:
    body = {**EMAIL, "email_type": "undeclared"}
    dry, real = (member.post("/v1/emails", body, query_string=q) for q in ({"dry_run": "true"}, {}))
    assert (dry.status_code, real.status_code) == (422, 422)
    assert dry.get_json()["errors"] == real.get_json()["errors"]


def test_a_dry_run_uses_up_no_idempotency_key(member: Caller) -> None:
    key = {"Idempotency-Key": "dry"}
    assert member.post("/v1/emails", EMAIL, query_string={"dry_run": "true"}, headers=key).status_code == 200
    assert member.post("/v1/emails", {**EMAIL, "subject": "Other"}, headers=key).status_code == 202


def test_a_dry_run_says_which_email_the_key_would_bring_back(world: World, member: Caller) -> None:
    key, dry = {"Idempotency-Key": "same"}, {"dry_run": "true"}
    real = member.post("/v1/emails", EMAIL, headers=key).get_json()
    answer = member.post("/v1/emails", EMAIL, query_string=dry, headers=key)
    drawn = answer.get_json()
    assert (answer.status_code, answer.headers["Idempotent-Replayed"]) == (200, "true")
    assert (drawn["id"], drawn["status"], drawn["replayed"]) == (real["id"], real["status"], True)
    assert (drawn["subject"], drawn["decision"]) == (EMAIL["subject"], None)
    other = member.post("/v1/emails", {**EMAIL, "subject": "Other"}, query_string=dry, headers=key)
    assert (other.status_code, other.get_json()["type"]) == (
        422,
        member.post("/v1/emails", {**EMAIL, "subject": "Other"}, headers=key).get_json()["type"],
    )


def test_a_dry_run_shows_what_the_email_says_that_was_accepted_and_not_what_its_template_has_become(
    world: World, member: Caller
) -> None:
    key, dry = {"Idempotency-Key": "kept"}, {"dry_run": "true"}
    template = member.post("/v1/templates", {"name": "dry", "subject": "Old", "text": "old"}).get_json()
    body = {name: EMAIL[name] for name in ("from", "to")} | {"template": "dry"}
    real = member.post("/v1/emails", body, headers=key).get_json()
    changed = member.post(f"/v1/templates/{template['id']}/versions", {"subject": "New", "text": "new"})
    assert changed.status_code == 201, changed.text
    drawn = member.post("/v1/emails", body, query_string=dry, headers=key).get_json()
    assert (drawn["id"], drawn["subject"], drawn["text"], drawn["html"]) == (real["id"], "Old", "old", None)
    assert member.post("/v1/emails", body, query_string=dry).get_json()["subject"] == "New"


def test_a_dry_run_says_that_nobody_would_be_written_to(member: Caller) -> None:
    member.post("/v1/suppressions", {"entries": [{"address": "gone@example.com"}]})
    email = {**EMAIL, "to": ["gone@example.com"]}
    gone = member.post("/v1/emails", email, query_string={"dry_run": "true"}).get_json()
    assert (gone["status"], gone["id"], gone["replayed"]) == ("suppressed", None, False)


def test_what_is_no_dry_run_is_said_so(member: Caller) -> None:
    answer = member.post("/v1/emails", EMAIL, query_string={"dry_run": "perhaps"})
    assert (answer.status_code, answer.get_json()["errors"][0]["parameter"]) == (422, "dry_run")


def test_a_preview_renders_as_sending_does(member: Caller) -> None:
    body = {name: EMAIL[name] for name in ("from", "to")} | {"template": "nobody-wrote-it"}
    answer = member.post(PREVIEW, body)
    assert (answer.status_code, fields(answer)) == (422, {"/template"})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/emails/cancel", {"tag": "x"}),
        ("/v1/emails/{id}/cancel", None),
        ("/v1/emails/{id}/resend", None),
        ("/v1/campaigns", {"name": "spring"}),
    ],
)
def test_what_has_no_dry_run_by_a_parameter_does_nothing_for_it(
    member: Caller, path: str, body: dict[str, Any] | None
) -> None:
    email = member.post("/v1/emails", {**EMAIL, "tags": ["x"]}).get_json()["id"]
    answer = member.post(path.format(id=email), body, query_string={"dry_run": "true"})
    assert (answer.status_code, "nothing was done" in answer.get_json()["detail"]) == (400, True)
    assert member.get(f"/v1/emails/{email}").get_json()["status"] == "queued"
    assert member.get("/v1/campaigns").get_json()["data"] == []
