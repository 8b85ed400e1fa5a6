from __future__ import annotations

from uuid import UUID

from domain.message import Lane
from tests.integration.api.world import EMAIL, Caller, World


def test_an_accepted_email_is_committed_with_its_content_queue_row_and_timeline(
    world: World, member: Caller
) -> None:
    answer = member.post("/v1/emails", EMAIL)
    assert answer.status_code == 202, answer.text
    assert answer.get_json().keys() == {"id", "status"}
    assert answer.get_json()["status"] == "queued"
    email_id = UUID(answer.get_json()["id"])
    assert answer.headers["Location"] == f"/v1/emails/{email_id}"

    [job] = world.sql("SELECT * FROM email_jobs JOIN email_contents ON hash = content_hash")
    assert (job.id, job.user_id, job.subject, job.text) == (
        email_id,
        member.user_id,
        "Your order",
        EMAIL["text"],
    )
    [queued] = world.sql("SELECT *, due_at <= mm_now() AS due FROM email_queue")
    assert (queued.job_id, queued.lane, queued.due, queued.run) == (email_id, "transactional", True, None)
    [line] = world.sql("SELECT * FROM email_status")
    assert (line.email_job_id, line.status) == (email_id, "queued")
    assert world.bell.rings == [Lane.TRANSACTIONAL]
