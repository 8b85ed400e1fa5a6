"""POST /v1/emails/batch: a result per entry, strict and permissive."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from tests.integration.api.world import EMAIL, Caller, World, fields

DEFAULTS = {name: value for name, value in EMAIL.items() if name != "to"}


def batch(*emails: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"defaults": DEFAULTS, "emails": list(emails)} | more


def key(name: str) -> dict[str, str]:
    return {"Idempotency-Key": name}


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


@pytest.mark.parametrize(
    "broken", [7, None, ["x"], {"to": ["b@example.org"], "subject": "a\0"}, {"x\ud800": "\ud800"}]
)
def test_an_entry_that_is_no_object_or_no_text_spoils_no_other(
    world: World, member: Caller, broken: Any
) -> None:
    asked = batch(to(1), broken, {"to": ["nobody"]}, mode="permissive")
    answer = member.post("/v1/emails/batch", asked, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 202, answer.text
    found = answer.get_json()["results"]
    assert [result["status"] for result in found] == ["queued", "rejected", "rejected"]
    assert all(error["pointer"].startswith("/emails/1") for error in found[1]["errors"])
    refused = member.post("/v1/emails/batch", asked | {"mode": "strict"})
    named = {error["pointer"].split("/")[2] for error in refused.get_json()["errors"]}
    assert (refused.status_code, named) == (422, {"1", "2"}), "all errors at once"
    assert world.count("email_jobs", member) == 1


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


def test_an_entry_with_a_key_of_its_own_is_one_email_in_whatever_batch(world: World, member: Caller) -> None:
    first = member.post("/v1/emails/batch", batch(to(1, idempotency_key="one"), to(2))).get_json()
    again = batch(to(1, idempotency_key="one"), to(3, idempotency_key="three"))
    answer = member.post("/v1/emails/batch", again, headers=key("b"))
    assert answer.status_code == 202, answer.get_json()
    one, three = answer.get_json()["results"]
    assert (one["id"], one["replayed"]) == (first["results"][0]["id"], True)
    assert three["replayed"] is False
    assert count(world, member, "email_jobs") == 3
    repeated = member.post("/v1/emails/batch", again, headers=key("b"))
    assert repeated.get_json() == answer.get_json()
    assert repeated.headers["Idempotent-Replayed"] == "true"
    all_again = member.post("/v1/emails/batch", again, headers=key("c")).get_json()
    assert [r["id"] for r in all_again["results"]] == [one["id"], three["id"]]
    assert member.post("/v1/emails/batch", again, headers=key("c")).get_json() == all_again
    assert count(world, member, "email_jobs") == 3


def test_an_entry_says_the_same_where_the_defaults_say_it(world: World, member: Caller) -> None:
    whole = {**DEFAULTS, **to(1)}
    by_defaults = member.post("/v1/emails/batch", batch(to(1, idempotency_key="k"))).get_json()
    by_itself = member.post("/v1/emails/batch", {"emails": [whole | {"idempotency_key": "k"}]}).get_json()
    assert by_itself["results"][0]["id"] == by_defaults["results"][0]["id"]
    assert count(world, member, "email_jobs") == 1


def test_a_key_of_an_entry_that_was_used_for_another_email_is_refused(world: World, member: Caller) -> None:
    member.post("/v1/emails/batch", batch(to(1, idempotency_key="k")))
    other = batch(to(2, idempotency_key="k"), to(3, idempotency_key="new"))
    refused = member.post("/v1/emails/batch", other, headers=key("b"))
    assert refused.status_code == 422
    assert [(e["pointer"], e["code"]) for e in refused.get_json()["errors"]] == [
        ("/emails/0/idempotency_key", "reused")
    ]
    right = member.post("/v1/emails/batch", other | {"mode": "permissive"}, headers=key("b")).get_json()
    assert [r["status"] for r in right["results"]] == ["rejected", "queued"]
    assert right["results"][0]["errors"][0]["code"] == "reused"
    assert right["results"][1]["replayed"] is False  # the refused batch has left no key behind
    assert count(world, member, "email_jobs") == 2


def test_an_entry_that_was_accepted_is_answered_though_its_time_has_passed(
    world: World, member: Caller
) -> None:
    entry = to(1, idempotency_key="k", send_at=(datetime.now(UTC) + timedelta(minutes=5)).isoformat())
    first = member.post("/v1/emails/batch", batch(entry)).get_json()
    with world.later("10 minutes"):
        again = member.post("/v1/emails/batch", batch(entry))
    assert again.status_code == 202, again.get_json()
    assert again.get_json()["results"][0]["id"] == first["results"][0]["id"]


def test_keys_of_entries_are_each_users_own(world: World, member: Caller) -> None:
    one, other = (
        who.post("/v1/emails/batch", batch(to(1, idempotency_key="k"))).get_json()
        for who in (member, world.user())
    )
    assert one["results"][0]["id"] != other["results"][0]["id"]


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ([to(1, idempotency_key="")], {"/emails/0/idempotency_key"}),
        (
            [to(1, idempotency_key=7), to(2, idempotency_key="a b")],
            {"/emails/0/idempotency_key", "/emails/1/idempotency_key"},
        ),
        (
            [to(1, idempotency_key="k"), {"to": ["x"], "idempotency_key": "k"}],
            {"/emails/1/idempotency_key", "/emails/1/to/0"},
        ),
        ([to(1, idempotency_key="k" * 257)], {"/emails/0/idempotency_key"}),
    ],
)
def test_keys_of_entries_that_are_wrong_are_named(
    member: Caller, entries: list[dict[str, Any]], named: set[str]
) -> None:
    answer = member.post("/v1/emails/batch", batch(*entries))
    assert answer.status_code == 422
    assert {e["pointer"] for e in answer.get_json()["errors"]} == named


def test_batches_that_race_with_the_same_entries_accept_each_once(world: World, member: Caller) -> None:
    with ThreadPoolExecutor(8) as pool:
        asked = batch(*(to(n, idempotency_key=f"k{n}") for n in range(5)))
        answers = list(pool.map(lambda _: member.post("/v1/emails/batch", asked), range(16)))
    assert {a.status_code for a in answers} <= {202, 409}
    ids = {r["id"] for a in answers if a.status_code == 202 for r in a.get_json()["results"]}
    assert len(ids) == 5
    assert count(world, member, "email_jobs") == 5


def test_a_dry_run_says_what_would_become_of_each_entry_and_sends_nothing(
    world: World, member: Caller
) -> None:
    before = count(world, member, "email_jobs")
    member.provider("only")
    member.post("/v1/suppressions", {"entries": [{"address": "gone@example.com"}]})
    entries = [
        {"to": ["a@example.com"], "subject": "For Ada"},
        {"to": ["nobody"]},
        {"to": ["b@example.com"], "email_type": "nothing-of-the-kind"},
        {"to": ["gone@example.com"]},
    ]
    body = {"mode": "permissive", "defaults": {**EMAIL, "subject": "For all"}, "emails": entries}
    answer = member.post("/v1/emails/batch?dry_run=true", body)
    assert answer.status_code == 200, answer.text
    drawn = answer.get_json()
    assert (drawn["accepted"], drawn["rejected"]) == (2, 2)
    first, *wrong, last = drawn["results"]
    assert (first["status"], first["subject"], first["provider"]) == ("queued", "For Ada", "only")
    assert (last["status"], last["subject"]) == ("suppressed", "For all")
    assert [[e["pointer"] for e in one["errors"]] for one in wrong] == [
        ["/emails/1/to/0"],
        ["/emails/2/email_type"],
    ]
    strict = member.post("/v1/emails/batch?dry_run=true", body | {"mode": "strict"})
    assert (strict.status_code, fields(strict)) == (422, {"/emails/1/to/0", "/emails/2/email_type"})
    assert count(world, member, "email_jobs") == before
    assert member.post("/v1/emails/batch?dry_run=perhaps", body).status_code == 422


def test_a_dry_run_says_what_the_key_would_bring_back_and_uses_none(world: World, member: Caller) -> None:
    body, dry, once = batch(to(1), to(2)), "/v1/emails/batch?dry_run=true", key("one")
    first = member.post(dry, body, headers=once)
    assert (first.status_code, "Idempotent-Replayed" in first.headers) == (200, False)
    assert [r["replayed"] for r in first.get_json()["results"]] == [False, False]
    real = member.post("/v1/emails/batch", body, headers=once)
    assert (real.status_code, "Idempotent-Replayed" in real.headers) == (202, False), (
        "the dry run took no key"
    )
    before = member.post(dry, body, headers=once)
    assert (before.status_code, before.headers["Idempotent-Replayed"]) == (200, "true")
    said = [(r["id"], r["status"], r["replayed"]) for r in before.get_json()["results"]]
    assert said == [(r["id"], r["status"], True) for r in real.get_json()["results"]]
    other = member.post(dry, {**body, "mode": "permissive"}, headers=once)
    assert other.status_code == 422
    assert other.get_json()["type"].endswith("idempotency-key-reused")
    assert count(world, member, "email_jobs") == 2


def test_a_dry_run_says_what_the_entries_keys_would_bring_back(world: World, member: Caller) -> None:
    ada, bob = to(1, idempotency_key="ada"), to(2)
    real = member.post("/v1/emails/batch", batch(ada)).get_json()["results"][0]
    asked = batch(bob, ada, {**bob, "idempotency_key": "another"})
    for _ in range(2):
        drawn = member.post("/v1/emails/batch?dry_run=true", asked).get_json()
        assert [(r["status"], r["id"], r["replayed"]) for r in drawn["results"]] == [
            ("queued", None, False),
            (real["status"], real["id"], True),
            ("queued", None, False),
        ]
    asked["emails"][1] = {**bob, "idempotency_key": "ada"}
    strict = member.post("/v1/emails/batch?dry_run=true", asked)
    assert (strict.status_code, fields(strict)) == (422, {"/emails/1/idempotency_key"})
    assert count(world, member, "email_jobs") == 1
    assert count(world, member, "idempotency_keys") == 1


def test_a_dry_run_fetches_nothing_and_says_that_it_would_be_too_many(member: Caller) -> None:
    files = [{"url": f"https://files.example/{n}"} for n in range(21)]
    answer = member.post("/v1/emails/batch?dry_run=true", {"emails": [{**EMAIL, "attachments": files}]})
    assert answer.status_code == 422
    assert {e["code"] for e in answer.get_json()["errors"]} == {"too_many"}
