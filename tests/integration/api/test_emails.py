"""Accepting, finding and cancelling emails, through HTTP and down to the rows."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from werkzeug.test import TestResponse

from domain.message import Lane
from tests.builders import new_id
from tests.integration.api.world import EMAIL, Caller, World, fields, make_world


def accepted(caller: Caller, **changes: Any) -> UUID:
    answer = caller.post("/v1/emails", {**EMAIL, **changes})
    assert answer.status_code == 202, answer.text
    return UUID(answer.get_json()["id"])


def in_hours(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def claim(world: World, email_id: UUID) -> None:
    world.sql("UPDATE email_queue SET run = :run, token = 1 WHERE job_id = :id", run=new_id(), id=email_id)


def test_an_accepted_email_is_committed_with_its_content_queue_row_and_timeline(
    world: World, member: Caller
) -> None:
    answer = member.post("/v1/emails", EMAIL)
    assert answer.status_code == 202, answer.text
    assert answer.get_json().keys() == {"id", "status"}
    assert answer.get_json()["status"] == "queued"
    email_id = UUID(answer.get_json()["id"])
    assert answer.headers["Location"] == f"/v1/emails/{email_id}"

    [job] = world.sql(
        "SELECT * FROM email_jobs j JOIN email_contents c ON c.hash = content_hash AND c.user_id = j.user_id "
        "WHERE j.id = :id",
        id=email_id,
    )
    assert (job.id, job.user_id, job.subject, job.text) == (
        email_id,
        member.user_id,
        "Your order",
        EMAIL["text"],
    )
    [queued] = world.sql(
        "SELECT *, due_at <= mm_now() AS due FROM email_queue WHERE job_id = :id", id=email_id
    )
    assert (queued.job_id, queued.lane, queued.due, queued.run) == (email_id, "transactional", True, None)
    assert world.sql("SELECT * FROM email_status WHERE email_job_id = :id", id=email_id) == [], (
        "the row says it"
    )
    assert world.bell.rings == [Lane.TRANSACTIONAL]


def test_equal_contents_are_stored_once_per_user(world: World, member: Caller) -> None:
    accepted(member)
    accepted(member, subject="Another")
    other = world.user()
    accepted(other)
    assert world.count("email_contents", member) == world.count("email_contents", other) == 1


def test_an_accepted_email_can_be_looked_up(member: Caller) -> None:
    email_id = accepted(
        member,
        cc=[{"email": "bob@exämple.org", "name": "Bob"}],
        bcc=["carol@example.org"],
        tags=["orders"],
        metadata={"order": "7"},
        headers={"X-Shop": "7"},
    )
    email = member.get(f"/v1/emails/{email_id}").get_json()
    assert email["from"] == {"email": "shop@example.com", "name": "Shop"}
    assert email["recipients"] == [
        {
            "email": "ada@example.org",
            "name": "Ada Lovelace",
            "kind": "to",
            "status": "queued",
            "bounce": None,
        },
        {"email": "bob@xn--exmple-cua.org", "name": "Bob", "kind": "cc", "status": "queued", "bounce": None},
        {"email": "carol@example.org", "name": "", "kind": "bcc", "status": "queued", "bounce": None},
    ]
    assert (email["tags"], email["metadata"], email["attempts"]) == (["orders"], {"order": "7"}, [])
    assert [line["status"] for line in email["timeline"]] == ["queued"]
    assert (email["status"], email["on_unknown"], email["lane"]) == ("queued", "hold", "transactional")


def test_attempts_show_provider_outcome_cost_and_the_decision_as_stored(
    world: World, member: Caller, operator: Caller
) -> None:
    provider_id, email_id, attempt_id = operator.provider("main"), accepted(member), new_id()
    world.sql(
        """
        INSERT INTO delivery_attempts (id, job_id, provider_id, run, token, round, recipients, estimated_cost,
            currency, decision, settled_at, outcome, error, detail, latency_ms)
        VALUES (:id, :job, :provider, :id, 1, 0, 1, 0.0004, 'USD', '{"explanation": "the cheapest"}', mm_now(),
            'not_sent', 'rate_limited', 'too many', 12.5)
        """,
        id=attempt_id, job=email_id, provider=provider_id,
    )  # fmt: skip
    [attempt] = member.get(f"/v1/emails/{email_id}").get_json()["attempts"]
    assert (attempt["id"], attempt["provider"]) == (str(attempt_id), "main")
    assert (attempt["outcome"], attempt["error"], attempt["detail"]) == (
        "not_sent",
        "rate_limited",
        "too many",
    )
    assert (attempt["estimated_cost"], attempt["currency"], attempt["latency_ms"]) == ("0.0004", "USD", 12.5)
    assert attempt["decision"]["explanation"] == "the cheapest"


def test_an_email_whose_records_are_gone_in_part_still_shows_what_became_of_it(
    world: World, member: Caller, operator: Caller
) -> None:
    """Attempts, events and the email are each kept for a time of their own."""
    provider_id, email_id, attempt_id = operator.provider("main"), accepted(member), new_id()
    world.sql("UPDATE email_jobs SET status = 'bounced' WHERE id = :id", id=email_id)
    world.sql(
        """INSERT INTO inbound_events (id, provider_id, event_key, raw, event, attempt_id, state, job_id)
           VALUES (:id, :provider, 'k', '{}', '{"type": "opened"}', :id, 'applied', :job)""",
        id=attempt_id, provider=provider_id, job=email_id,
    )  # fmt: skip

    def shown() -> tuple[str, list[str], int, int]:
        email = member.get(f"/v1/emails/{email_id}").get_json()
        statuses = [r["status"] for r in email["recipients"]]
        return email["status"], statuses, len(email["attempts"]), len(email["events"])

    assert shown() == ("bounced", ["bounced"], 0, 1)
    world.sql(
        """INSERT INTO delivery_attempts (id, job_id, provider_id, run, token, round, recipients, estimated_cost,
               currency, decision, settled_at, outcome)
           VALUES (:id, :job, :provider, :id, 1, 0, 1, 0, 'USD', '{}', mm_now(), 'accepted')""",
        id=attempt_id, job=email_id, provider=provider_id,
    )  # fmt: skip
    world.sql("DELETE FROM inbound_events WHERE provider_id = :id", id=provider_id)
    assert shown() == ("bounced", ["bounced"], 1, 0)


def test_a_scheduled_email_waits_without_a_ring(world: World, member: Caller) -> None:
    answer = member.post("/v1/emails", {**EMAIL, "send_at": in_hours(1)})
    assert answer.get_json()["status"] == "scheduled"
    [queued] = world.sql(
        "SELECT due_at > mm_now() + interval '59 min' AS later FROM email_queue WHERE user_id = :id",
        id=member.user_id,
    )
    assert queued.later is True
    assert world.bell.rings == []


def test_the_type_decides_lane_and_what_is_done_about_unknown(world: World, member: Caller) -> None:
    world.sql(
        "INSERT INTO email_types (id, user_id, name, category, lane, on_unknown) "
        "VALUES (:id, :user, 'otp', 'transactional', 'transactional', 'resend')",
        id=new_id(), user=member.user_id,
    )  # fmt: skip
    accepted(member, email_type="otp")
    accepted(member, email_type="otp", on_unknown="hold")
    accepted(member, email_type="marketing")
    jobs = world.sql(
        "SELECT email_type, lane, on_unknown FROM email_jobs WHERE user_id = :id ORDER BY id",
        id=member.user_id,
    )
    assert [tuple(job) for job in jobs] == [
        ("otp", "transactional", "resend"),
        ("otp", "transactional", "hold"),
        ("marketing", "bulk", "hold"),
    ]
    assert set(world.bell.rings) == {Lane.TRANSACTIONAL, Lane.BULK}
    others = world.user().post("/v1/emails", {**EMAIL, "email_type": "otp"})
    assert fields(others) == {"/email_type"}


def test_a_failed_ring_changes_nothing(world: World, member: Caller) -> None:
    world.bell.broken = True
    accepted(member)
    assert world.count("email_queue", member) == 1


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"email_type": "nobody-declared-me"}, "/email_type"),
        ({"send_at": "2020-01-01T00:00:00Z"}, "/send_at"),
        ({"send_at": in_hours(24 * 400)}, "/send_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"routing": {"pinned": ["nowhere"]}}, "/routing/pinned"),
        ({"routing": {"excluded": ["nowhere"]}}, "/routing/excluded"),
    ],
)
def test_what_only_the_database_can_tell_is_refused_and_nothing_is_kept(
    world: World, member: Caller, changes: dict[str, Any], wrong: str
) -> None:
    headers = {"Idempotency-Key": "k1"}
    answer = member.post("/v1/emails", {**EMAIL, **changes}, headers=headers)
    assert (answer.status_code, fields(answer)) == (422, {wrong})
    assert world.count("email_jobs", member) == 0
    # The refusal is not kept under the key: the corrected request goes through.
    assert member.post("/v1/emails", EMAIL, headers=headers).status_code == 202


def test_a_database_that_does_not_answer_is_503_and_never_202(world: World, member: Caller) -> None:
    with world.locked("email_contents"):
        answer = member.ask("POST", "/v1/emails", json=EMAIL)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"].isdigit()
    assert answer.content_type == "application/problem+json"
    assert world.count("email_jobs", member) == 0


def test_an_absent_database_is_503(member: Caller) -> None:
    away = make_world("postgresql+psycopg2://nobody:none@127.0.0.1:1/none")
    answer = Caller(away.app, member.user_id, member.public_id, member.key).post("/v1/emails", EMAIL)
    assert (answer.status_code, answer.get_json()["type"]) == (503, "/problems/unavailable")


# Idempotency


def test_the_same_request_again_gets_the_same_answer_and_one_email(world: World, member: Caller) -> None:
    headers = {"Idempotency-Key": "order-7"}
    first = member.post("/v1/emails", EMAIL, headers=headers)
    again = member.post("/v1/emails", dict(reversed(EMAIL.items())), headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.get_json() == again.get_json()
    assert first.headers["Location"] == again.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert world.count("email_jobs", member) == 1
    assert len(world.bell.rings) == 1


def test_a_replay_is_given_even_when_its_time_has_passed(world: World, member: Caller) -> None:
    headers = {"Idempotency-Key": "k"}
    body = {**EMAIL, "send_at": in_hours(1)}
    first = member.post("/v1/emails", body, headers=headers)
    with world.later("2 hours"):
        assert member.post("/v1/emails", body, headers=headers).get_json() == first.get_json()


def test_another_body_under_the_same_key_is_refused(member: Caller) -> None:
    headers = {"Idempotency-Key": "k"}
    member.post("/v1/emails", EMAIL, headers=headers)
    answer = member.post("/v1/emails", {**EMAIL, "subject": "Other"}, headers=headers)
    assert answer.status_code == 422
    assert answer.get_json()["type"] == "/problems/idempotency-key-reused"
    assert fields(answer) == {"Idempotency-Key"}


def test_keys_of_two_users_do_not_meet(world: World, member: Caller) -> None:
    headers = {"Idempotency-Key": "k"}
    mine = member.post("/v1/emails", EMAIL, headers=headers)
    theirs = world.user().post("/v1/emails", EMAIL, headers=headers)
    assert mine.get_json()["id"] != theirs.get_json()["id"]


def test_a_key_outlives_a_scheduled_sending(world: World, member: Caller) -> None:
    member.post("/v1/emails", {**EMAIL, "send_at": in_hours(100)}, headers={"Idempotency-Key": "k"})
    [kept] = world.sql(
        "SELECT extract(epoch FROM expires_at - mm_now()) / 3600 AS hours FROM idempotency_keys WHERE user_id = :id",
        id=member.user_id,
    )
    assert 171.9 < kept.hours <= 172


def test_an_expired_key_is_free_again(world: World, member: Caller) -> None:
    headers = {"Idempotency-Key": "k"}
    first = member.post("/v1/emails", EMAIL, headers=headers)
    world.sql("UPDATE idempotency_keys SET expires_at = mm_now()")
    world.sql("DELETE FROM email_queue WHERE job_id = :id", id=first.get_json()["id"])
    second = member.post("/v1/emails", {**EMAIL, "subject": "New"}, headers=headers)
    assert second.status_code == 202
    assert first.get_json()["id"] != second.get_json()["id"]


def test_a_key_outlives_an_email_that_was_put_off(world: World, member: Caller) -> None:
    headers, body = {"Idempotency-Key": "k"}, {**EMAIL, "send_at": in_hours(1)}
    first = member.post("/v1/emails", body, headers=headers).get_json()["id"]
    assert member.post(f"/v1/emails/{first}/reschedule", {"send_at": in_hours(1000)}).status_code == 200

    def repeated() -> Any:
        world.sql("UPDATE idempotency_keys SET expires_at = mm_now() WHERE user_id = :id", id=member.user_id)
        with world.deps.units() as unit:
            unit.upkeep.forget_idempotency_keys()
            unit.commit()
        answer = member.post("/v1/emails", {**body, "send_at": body["send_at"]}, headers=headers)
        return answer.get_json().get("id", answer.status_code)

    assert repeated() == first, "it still waits"
    world.sql("DELETE FROM email_queue WHERE job_id = :id", id=first)
    world.sql("UPDATE email_jobs SET sent_at = mm_now() - interval '71 hours' WHERE id = :id", id=first)
    assert repeated() == first, "it was sent lately"
    world.sql("UPDATE email_jobs SET sent_at = mm_now() - interval '73 hours' WHERE id = :id", id=first)
    assert repeated() != first


def test_a_key_in_flight_is_409_with_a_time_to_wait(world: World, member: Caller) -> None:
    with world.engine.connect() as other:
        other.execute(
            text(
                "INSERT INTO idempotency_keys (user_id, route, key, request_hash, status_code, response, expires_at)"
                " VALUES (:user, 'POST /v1/emails', 'k', '', 202, '{}', mm_now() + interval '1 day')"
            ),
            {"user": member.user_id},
        )
        answer = member.post("/v1/emails", EMAIL, headers={"Idempotency-Key": "k"})
        other.rollback()
    assert (answer.status_code, answer.headers["Retry-After"]) == (409, "1")
    assert answer.get_json()["type"] == "/problems/request-in-flight"


@pytest.mark.parametrize("key", ["", "x" * 257, "with blank", "ümlaut"])
def test_a_key_of_the_wrong_form_is_named(member: Caller, key: str) -> None:
    answer = member.post("/v1/emails", EMAIL, headers={"Idempotency-Key": key.encode().decode("latin-1")})
    assert (answer.status_code, fields(answer)) == (422, {"Idempotency-Key"})


def test_a_hundred_requests_at_once_with_one_key_make_one_email(world: World, member: Caller) -> None:
    bodies = [EMAIL, {**EMAIL, "subject": "Other"}]
    answers: list[TestResponse] = []
    start = threading.Barrier(20)

    def ask(worker: int) -> None:
        start.wait()
        for turn in range(5):
            body = bodies[(worker + turn) % 2]
            answers.append(member.post("/v1/emails", body, headers={"Idempotency-Key": "k"}))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 100
    assert {a.status_code for a in answers} <= {202, 409, 422}
    taken = [a for a in answers if a.status_code == 202]
    assert len({a.get_json()["id"] for a in taken}) == 1
    assert sum("Idempotent-Replayed" not in a.headers for a in taken) == 1
    assert sum(a.status_code == 422 for a in answers) >= 1
    assert world.count("email_jobs", member) == 1
    assert len(world.bell.rings) == 1


# Listing


def listed(caller: Caller, **query: Any) -> list[UUID]:
    answer = caller.get("/v1/emails", query_string=query)
    assert answer.status_code == 200, answer.text
    return [UUID(email["id"]) for email in answer.get_json()["data"]]


def test_pages_follow_each_other_without_gaps_newest_first(world: World, member: Caller) -> None:
    ids = [accepted(member) for _ in range(7)]
    accepted(world.user())
    found, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = member.get("/v1/emails", query_string=query).get_json()
        found += [UUID(email["id"]) for email in page["data"]]
        cursor, pages = page["next_cursor"], pages + 1
        assert page["has_more"] == (cursor is not None)
    assert (found, pages) == (ids[::-1], 3)


def test_filters_hold_together(world: World, member: Caller, operator: Caller) -> None:
    provider_id = operator.provider("main")
    one = accepted(member, tags=["a"], to=["x@example.org"])
    member.post("/v1/email-types", {"name": "digest", "lane": "bulk"})
    two = accepted(member, tags=["a", "b"], cc=["x@example.org"], email_type="digest")
    three = accepted(member, send_at=in_hours(1))
    claim(world, two)
    world.sql(
        "UPDATE email_jobs SET provider_used = :p, status = 'sent' WHERE id = :id", p=provider_id, id=one
    )
    assert listed(member, tag="a") == [two, one]
    assert listed(member, tag="a", email_type="digest") == [two]
    assert listed(member, lane="bulk") == [two]
    assert listed(member, recipient="x@example.org") == [two, one]
    assert listed(member, recipient="x@EXAMPLE.ORG") == [two, one]
    assert listed(member, status="sending") == [two]
    assert listed(member, status="queued") == []
    assert listed(member, status="scheduled") == [three]
    assert listed(member, provider="main") == [one]
    assert listed(member, created_after=in_hours(-1), created_before=in_hours(1)) == [three, two, one]
    assert listed(member, created_after=in_hours(1)) == []


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("status=nope", "status"),
        ("cursor=nope!", "cursor"),
        ("cursor=AAAA", "cursor"),
        ("created_after=yesterday", "created_after"),
        ("surprise=1", "surprise"),
        ("tag=a&tag=b", "tag"),
        ("tag=%00", "tag"),
        ("recipient=%00x&lane=no", "recipient lane"),
    ],
)
def test_wrong_parameters_are_named(member: Caller, query: str, wrong: str) -> None:
    answer = member.get(f"/v1/emails?{query}")
    assert (answer.status_code, fields(answer)) == (422, set(wrong.split()))


# Cancelling


def test_a_waiting_email_is_taken_back_and_a_repeat_is_answered_alike(world: World, member: Caller) -> None:
    email_id = accepted(member, send_at=in_hours(1))
    for _ in range(2):
        answer = member.post(f"/v1/emails/{email_id}/cancel")
        assert (answer.status_code, answer.get_json()["status"]) == (200, "cancelled")
    assert world.count("email_queue", member) == 0
    timeline = member.get(f"/v1/emails/{email_id}").get_json()["timeline"]
    assert [line["status"] for line in timeline] == ["scheduled", "cancelled"]


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ("UPDATE email_queue SET run = '01900000-0000-7000-8000-00000000aaaa', token = 1", "sending"),
        ("UPDATE email_queue SET held = true; UPDATE email_jobs SET status = 'unknown'", "unknown"),
        ("DELETE FROM email_queue; UPDATE email_jobs SET status = 'sent'", "sent"),
    ],
)
def test_an_email_that_does_not_wait_is_not_taken_back(
    world: World, member: Caller, change: str, shown: str
) -> None:
    email_id = accepted(member)
    world.sql(change)
    answer = member.post(f"/v1/emails/{email_id}/cancel")
    assert (answer.status_code, answer.get_json()["email_status"]) == (409, shown)
    assert shown in answer.get_json()["detail"]
    assert member.get(f"/v1/emails/{email_id}").get_json()["status"] == shown


def test_a_deferred_email_can_still_be_taken_back(world: World, member: Caller) -> None:
    email_id = accepted(member)
    world.sql("UPDATE email_jobs SET status = 'deferred'")
    assert member.post(f"/v1/emails/{email_id}/cancel").status_code == 200
