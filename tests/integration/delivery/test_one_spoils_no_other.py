"""What one email, one provider or one odd answer breaks stays its own: the others' ends are recorded as they were."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from db.live import RedisLiveState
from db.repositories import claims
from domain.errors import Rejected
from domain.message import OnUnknown, RoutingWishes
from providers.memory import Answer
from tests.builders import a_submission


class ForgetfulLive(RedisLiveState):
    def fold(self, *_):
        raise RuntimeError("no breaker was ever like this")


def test_what_was_sent_stays_sent_when_something_unforeseen_ends_the_drain(house):
    house.provider("good", "0.0001")
    house.provider("bad", "0.0002", answer=Answer.UNAVAILABLE)
    sent, failing = house.accept(
        a_submission(wishes=RoutingWishes(pinned=frozenset({"good"}))),
        a_submission(wishes=RoutingWishes(pinned=frozenset({"bad"}))),
    )
    run = house.run()
    house.dispatcher = replace(house.dispatcher, live=ForgetfulLive(house.redis, house.clock))
    with pytest.raises(RuntimeError):
        house.drain(run=run)
    house.kill(run)
    house.sweep()
    assert house.job(sent).status == "sent"
    assert house.ledger(failing)[0].outcome == "not_sent"
    assert house.queued(failing).run is None


def test_a_price_beyond_the_ledgers_column_spoils_nothing(house):
    provider = house.provider("dear", "999999")
    jobs = house.accept(a_submission(to=("a@x.example", "b@x.example")), a_submission())
    house.drain()
    assert {house.job(j).status for j in jobs} == {"sent"}
    assert len(provider.sent) == 2


def test_words_that_no_text_column_holds_are_kept_without_what_it_cannot_hold(house):
    odd = house.provider("odd")
    odd._script = iter([Rejected("odd", "a NUL \0 and half a pair \ud800")])
    refused, sent = house.accept(a_submission(), a_submission())
    house.drain()
    statuses = {house.job(refused).status, house.job(sent).status}
    assert statuses == {"failed", "sent"}
    details = house.all("SELECT detail FROM delivery_attempts WHERE outcome = 'not_sent'")
    assert [d.detail for d in details] == ["a NUL  and half a pair ?"]


def test_a_refund_for_yesterday_leaves_todays_count_alone(house):
    house.provider("cheap", "0.0001", quota={"daily_quota": 10})
    jobs = house.accept(*(a_submission() for _ in range(3)))
    house.drain()
    attempt = house.ledger(jobs[0])[0]
    with house.units() as unit:
        unit.connection.exec_driver_sql(
            "UPDATE delivery_attempts SET opened_at = opened_at - interval '40 days' WHERE id = %s",
            (str(attempt.id),),
        )
        unit.quotas.refund([attempt.id])
        unit.commit()
    assert tuple(house.one("SELECT used_today, used_this_month FROM provider_quota")) == (3, 3)


def test_a_claim_whose_attempt_is_open_is_not_freed_by_itself(house):
    """Its run ended after the doubts were looked for: the next sweep looks again."""
    house.provider("one", answer=Answer.UNKNOWN)
    (job,) = house.accept()
    run = house.run()
    real = house.dispatcher.sender.send

    def dying(*work):
        real(*work)
        raise RuntimeError("broken off between the answer and its record")

    house.dispatcher.sender.send = dying
    with pytest.raises(RuntimeError):
        house.drain(run=run)
    with house.units() as unit:
        unit.runs.end(run.id)
        assert unit.upkeep.free_orphans() == 0
        unit.commit()
    house.sweep()
    assert house.job(job).status == "unknown"


def test_a_probe_that_is_unreadable_in_redis_counts_as_a_breaker_at_rest(house):
    provider = house.provider("one")
    row = house.one("SELECT id FROM providers")
    house.redis.set(f"mailmux:breaker:{row.id}", '{"of": "another version"}')
    (job,) = house.accept()
    house.drain()
    assert house.job(job).status == "sent"
    assert len(provider.sent) == 1


def test_a_rate_that_is_no_rate_admits_one_and_breaks_nothing(house):
    live = RedisLiveState(house.redis, house.clock)
    grant = live.reserve_rate(a_submission().id, 1e-17, 3)
    assert grant.granted == 1
    assert timedelta(seconds=grant.retry_after) > timedelta()


@pytest.mark.parametrize("in_doubt", [False, True])
def test_an_email_whose_content_is_gone_fails_alone(house, in_doubt):
    provider = house.provider("good", **({"answer": Answer.UNKNOWN} if in_doubt else {}))
    gone = a_submission(subject="gone", text="nowhere to be found", on_unknown=OnUnknown.RESEND)
    (lost,) = house.accept(gone)
    if in_doubt:
        house.drain()
        house.pass_time(61)
    with house.engine.begin() as connection:
        connection.execute(text("DELETE FROM email_contents WHERE text = 'nowhere to be found'"))
    others = house.accept(a_submission(), a_submission())
    before = len(provider.sent)
    house.drain()
    job = house.job(lost)
    assert (job.status, house.queued(lost)) == ("unknown" if in_doubt else "failed", None)
    assert "not in the database any more" in job.status_reason
    if not in_doubt:
        assert {house.job(other).status for other in others} == {"sent"}
        assert len(provider.sent) - before == 2


def test_an_email_whose_links_cannot_be_changed_goes_as_it_is_with_the_others(house, monkeypatch):
    def broken(submission):
        raise UnicodeEncodeError("ascii", "\u212a", 0, 1, "ordinal not in range(128)")

    monkeypatch.setattr(claims, "tracked", broken)
    house.provider("one")
    jobs = house.accept(a_submission(), a_submission())
    house.drain()
    assert [house.job(job).status for job in jobs] == ["sent", "sent"]
