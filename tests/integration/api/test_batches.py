"""POST /v1/emails/batch: a result per entry, strict and permissive."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from tests.integration.api.world import EMAIL, Caller, World

DEFAULTS = {name: value for name, value in EMAIL.items() if name != "to"}


def batch(*emails: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"defaults": DEFAULTS, "emails": list(emails)} | more


def to(number: int, **more: Any) -> dict[str, Any]:
    return {"to": [f"u{number}@example.com"], **more}


def count(world: World, member: Caller, table: str) -> int:
    with world.engine.connect() as connection:
        found = connection.execute(
            text(f"SELECT count(*) FROM {table} WHERE user_id = :u"), {"u": member.user_id}
        )
        return int(found.scalar_one())


def test_every_entry_is_an_email_of_its_own_with_one_content_for_all(world: World, member: Caller) -> None:
    answer = member.post("/v1/emails/batch", batch(to(1), to(2), to(3, subject="Another")))
    assert answer.status_code == 202, answer.get_json()
    body = answer.get_json()
    assert (body["accepted"], body["rejected"]) == (3, 0)
    assert [r["index"] for r in body["results"]] == [0, 1, 2]
    emails = [member.get(f"/v1/emails/{r['id']}").get_json() for r in body["results"]]
    assert [e["recipients"][0]["email"] for e in emails] == [f"u{n}@example.com" for n in (1, 2, 3)]
    assert [e["subject"] for e in emails] == [EMAIL["subject"], EMAIL["subject"], "Another"]
    assert count(world, member, "email_contents") == 1


def test_strict_accepts_all_or_none_and_names_every_wrong_field(world: World, member: Caller) -> None:
    wrong = batch(
        to(1),
        {"to": ["nobody"]},
        {},
        to(4, email_type="nope"),
        to(5),
        defaults=DEFAULTS | {"subject": "a\nb"},
    )
    wrong["emails"][0]["subject"] = "right"
    answer = member.post("/v1/emails/batch", wrong)
    assert answer.status_code == 422
    assert {(e["pointer"], e["code"]) for e in answer.get_json()["errors"]} == {
        ("/defaults/subject", "header_value"),  # once, though four entries inherit it
        ("/emails/1/to/0", "address"),
        ("/emails/2/to", "missing"),
    }
    assert count(world, member, "email_jobs") == 0


def test_strict_says_together_what_the_form_and_what_the_database_object_to(member: Caller) -> None:
    answer = member.post("/v1/emails/batch", batch(to(1, subject=""), to(2, email_type="nope")))
    assert {e["pointer"] for e in answer.get_json()["errors"]} == {
        "/emails/0/subject",
        "/emails/1/email_type",
    }


def test_permissive_accepts_what_is_right_and_says_what_is_not(world: World, member: Caller) -> None:
    asked = batch(to(1), {"to": ["nobody"]}, to(3, email_type="nope"), to(4), mode="permissive")
    body = member.post("/v1/emails/batch", asked).get_json()
    assert [r["status"] for r in body["results"]] == ["queued", "rejected", "rejected", "queued"]
    assert [e["pointer"] for r in body["results"] for e in r["errors"]] == [
        "/emails/1/to/0",
        "/emails/2/email_type",
    ]
    assert (body["accepted"], body["rejected"]) == (2, 2)
    assert count(world, member, "email_jobs") == 2


def test_permissive_without_anything_right_is_refused(member: Caller) -> None:
    asked = batch({"to": ["nobody"]}, to(2, email_type="nope"), mode="permissive")
    assert member.post("/v1/emails/batch", asked).status_code == 422
    assert (
        member.post("/v1/emails/batch", batch(to(2, email_type="nope"), mode="permissive")).status_code == 422
    )


@pytest.mark.parametrize("mode", ["strict", "permissive"])
def test_a_repeated_batch_gets_the_same_results(world: World, member: Caller, mode: str) -> None:
    entries = [to(1), to(2), to(3)] + (
        [{"to": ["nobody"]}, to(5, email_type="nope")] if mode == "permissive" else []
    )
    asked = batch(*entries, mode=mode)
    headers = {"Idempotency-Key": "once"}
    first = member.post("/v1/emails/batch", asked, headers=headers)
    again = member.post("/v1/emails/batch", asked, headers=headers)
    assert first.get_json() == again.get_json()
    assert (first.headers.get("Idempotent-Replayed"), again.headers.get("Idempotent-Replayed")) == (
        None,
        "true",
    )
    assert count(world, member, "email_jobs") == 3
    other = member.post("/v1/emails/batch", batch(to(9)), headers=headers)
    assert (other.status_code, other.get_json()["type"]) == (422, "/problems/idempotency-key-reused")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"emails": []}, "/emails"),
        ({"emails": [{}] * 1001}, "/emails"),
        ({"emails": "x"}, "/emails"),
        ({"emails": [1]}, "/emails/0"),
        ({"defaults": [], "emails": [{}]}, "/defaults"),
        ({"mode": "lenient", "emails": [{}]}, "/mode"),
        ({"emails": [{"unknown": 1}], "defaults": EMAIL}, "/emails/0/unknown"),
        ({"emails": [{}], "defaults": EMAIL | {"unknown": 1}}, "/defaults/unknown"),
        ({"emails": [{"subject": "\0"}], "defaults": EMAIL}, "/emails/0/subject"),
    ],
)
def test_what_is_no_batch_is_named(member: Caller, body: dict[str, Any], pointer: str) -> None:
    answer = member.post("/v1/emails/batch", body)
    assert answer.status_code == 422
    assert pointer in {e["pointer"] for e in answer.get_json()["errors"]}


def test_lanes_of_a_batch_are_rung_once_each(world: World, member: Caller) -> None:
    member.post("/v1/emails/batch", batch(to(1), to(2, email_type="marketing"), to(3)))
    assert [lane.value for lane in world.bell.rings] == ["bulk", "transactional"]
