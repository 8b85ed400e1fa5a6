"""The preview of a routing decision: what would be decided, with nothing sent."""

from __future__ import annotations

from tests.integration.api.world import EMAIL, Caller, fields

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
