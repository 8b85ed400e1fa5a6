"""The way of one email out, on a real database and Redis."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import insert, text

from db import models
from domain.attempt import Outcome
from domain.capabilities import MetadataForm
from domain.message import Lane, OnUnknown, RoutingWishes
from providers.memory import Answer, MemoryProvider
from tests.builders import a_submission, new_id


def write(house, sql):
    with house.engine.begin() as connection:
        connection.execute(text(sql))


def test_an_accepted_email_is_sent_and_its_queue_row_is_gone(house):
    provider = house.provider("one")
    (job,) = house.accept()
    assert house.drain() is None
    assert [s.submission.id for s in provider.sent] == [job]
    assert house.job(job).status == "sent"
    assert house.job(job).sent_at is not None
    assert house.queued(job) is None
    assert house.timeline(job) == ["sent"]


def test_the_ledger_says_who_why_how_long_and_for_how_much(house):
    house.provider("cheap", "0.0001")
    house.provider("dear", "0.0020")
    (job,) = house.accept(a_submission(to=("a@x.example", "b@x.example")))
    house.drain()
    (attempt,) = house.ledger(job)
    assert (attempt.provider, attempt.outcome, attempt.recipients) == ("cheap", "accepted", 2)
    assert str(attempt.estimated_cost) == "0.00020000"
    assert attempt.latency_ms >= 0
    assert attempt.provider_message_id
    assert attempt.decision["reason"] == "LOWEST_COST"
    assert [name for name, _, _ in attempt.decision["costs"]] == ["cheap", "dear"]
    assert house.job(job).provider_used == attempt.provider_id


def test_the_attempts_id_travels_with_the_email(house):
    provider = house.provider("one")
    (job,) = house.accept()
    house.drain()
    assert provider.sent[0].attempt_id == house.ledger(job)[0].id


def test_an_unavailable_provider_is_failed_over_at_once(house):
    house.provider("cheap", "0.0001", answer=Answer.UNAVAILABLE)
    dear = house.provider("dear", "0.0020")
    (job,) = house.accept()
    house.drain()
    first, second = house.ledger(job)
    assert (first.provider, first.outcome, first.error) == ("cheap", "not_sent", "provider_unavailable")
    assert (second.provider, second.outcome) == ("dear", "accepted")
    assert second.decision["reason"] == "FAILOVER_1"
    assert [because for _, because, _, _ in second.decision["excluded"]] == ["TRIED"]
    assert len(dear.sent) == 1
    assert house.timeline(job) == ["sent"]


def test_a_rejection_fails_the_email_and_is_not_tried_elsewhere(house):
    house.provider("cheap", "0.0001", answer=Answer.REJECTED)
    dear = house.provider("dear", "0.0020")
    (job,) = house.accept()
    house.drain()
    assert house.job(job).status == "failed"
    assert "cheap" in house.job(job).status_reason
    assert dear.sent == ()
    assert house.queued(job) is None


def test_an_unknown_outcome_is_held_and_not_sent_elsewhere(house):
    house.provider("cheap", "0.0001", answer=Answer.TAKEN_BUT_UNKNOWN)
    dear = house.provider("dear", "0.0020")
    (job,) = house.accept()
    house.drain()
    house.pass_time(900)
    house.drain()
    assert house.job(job).status == "unknown"
    assert house.queued(job).held
    assert dear.sent == ()
    assert len(house.ledger(job)) == 1


def test_a_held_doubt_becomes_final_when_its_time_has_passed(house):
    house.provider("cheap", "0.0001", answer=Answer.UNKNOWN)
    (job,) = house.accept()
    house.drain()
    house.pass_time(1001)
    house.drain()
    assert house.job(job).status == "unknown"
    assert "stays unknown" in house.job(job).status_reason
    assert house.timeline(job) == ["unknown", "unknown"]
    assert house.queued(job) is None


def test_a_type_that_resends_does_so_once_after_a_minute_and_records_the_doubt(house):
    cheap = house.provider("cheap", "0.0001", answer=Answer.TAKEN_BUT_UNKNOWN)
    (job,) = house.accept(a_submission(on_unknown=OnUnknown.RESEND))
    house.drain()
    house.pass_time(30)
    house.drain()
    assert len(cheap.sent) == 1
    house.pass_time(31)
    house.drain()
    assert [a.outcome for a in house.ledger(job)] == ["unknown", "unknown"]
    house.pass_time(120)
    house.drain()
    assert len(cheap.sent) == 2
    house.pass_time(1001)
    house.drain()
    assert house.job(job).status == "unknown"
    assert house.queued(job) is None


def test_an_email_that_nobody_takes_is_deferred_and_sent_in_a_later_round(house):
    house.provider("only", answer=Answer.UNAVAILABLE)
    (job,) = house.accept()
    assert 0.5 < house.drain() < 1.5
    assert house.job(job).status == "deferred"
    assert house.queued(job).round == 1
    house.reconfigure("only")
    house.pass_time(2)
    house.drain()
    assert house.job(job).status == "sent"
    assert house.timeline(job) == ["deferred", "sent"]


def test_with_one_provider_an_open_breaker_defers_everything_and_drops_nothing(house):
    house.provider("only", answer=Answer.UNAVAILABLE)
    jobs = house.accept(*(a_submission() for _ in range(40)))
    house.drain(window=10)
    assert {house.job(j).status for j in jobs} == {"deferred"}
    tries = sum(len(house.ledger(j)) for j in jobs)
    assert tries <= 10
    provider = house.reconfigure("only")
    for _ in range(6):
        house.pass_time(20)
        house.drain()
    assert {house.job(j).status for j in jobs} == {"sent"}
    assert len(provider.sent) == 40


def test_an_email_that_waits_on_is_deferred_once_in_its_timeline(house):
    house.provider("only", answer=Answer.MISCONFIGURED)
    house.accept()
    house.drain()
    (waiting,) = house.accept()
    for _ in range(4):
        assert house.drain() >= 0.9
        house.pass_time(3)
    assert house.timeline(waiting) == ["deferred"]
    assert house.ledger(waiting) == []


def test_an_expired_email_is_not_sent(house):
    provider = house.provider("one")
    now = house.one("SELECT mm_now() AS now").now
    (job,) = house.accept(a_submission(expires_at=now + timedelta(seconds=30)))
    house.pass_time(31)
    house.drain()
    assert house.job(job).status == "expired"
    assert provider.sent == ()


def test_an_email_that_no_provider_may_carry_fails_with_the_reason(house):
    house.provider("one")
    (job,) = house.accept(a_submission(wishes=RoutingWishes(pinned=frozenset({"other"}))))
    house.drain()
    assert house.job(job).status == "failed"
    assert "pinned" in house.job(job).status_reason


def test_an_email_that_may_not_leave_a_region_waits_there_while_others_are_well(house):
    here, there = house.provider("here", answer=Answer.UNAVAILABLE), house.provider("there", "0.0001")
    write(house, "UPDATE providers SET region = 'eu' WHERE name = 'here'")
    (job,) = house.accept(a_submission(wishes=RoutingWishes(residency="eu")))
    house.drain()
    assert house.job(job).status == "deferred"
    assert [a.provider for a in house.ledger(job)] == ["here"]
    here = house.reconfigure("here")
    house.pass_time(2)
    house.drain()
    assert house.job(job).status == "sent"
    assert (len(here.sent), there.sent) == (1, ())


def test_what_an_email_wishes_of_its_route_is_kept_until_it_is_sent(house):
    one = house.provider("one")
    write(house, "UPDATE providers SET region = 'eu'")
    wishes = RoutingWishes(policy="cheapest", residency="eu", pinned=frozenset({"one"}))
    house.accept(a_submission(wishes=wishes))
    house.drain()
    assert one.sent[0].submission.wishes == wishes


def test_a_type_goes_by_the_providers_that_it_names_alone(house):
    house.provider("cheap", "0.0001")
    named = house.provider("named", "0.0020", answer=Answer.UNAVAILABLE)
    write(house, """
        INSERT INTO email_type_providers (type_id, provider_id)
        SELECT t.id, p.id FROM email_types t, providers p WHERE t.name = 'transactional' AND p.name = 'named'
    """)  # fmt: skip
    (job,) = house.accept()
    house.drain()
    assert [a.provider for a in house.ledger(job)] == ["named"]
    assert house.job(job).status == "deferred"
    named = house.reconfigure("named")
    house.pass_time(2)
    house.drain()
    assert (house.job(job).status, len(named.sent)) == ("sent", 1)


def test_an_email_for_a_provider_that_was_just_made_does_not_fail_by_an_older_view_of_them(house):
    house.see_providers_late(60.0)
    house.provider("other")
    house.accept()
    house.drain()
    new = house.provider("new")
    (job,) = house.accept(a_submission(wishes=RoutingWishes(pinned=frozenset({"new"}))))
    house.drain()
    assert house.job(job).status == "sent"
    assert len(new.sent) == 1


def test_a_sender_that_a_provider_does_not_know_is_not_asked_there_again_and_the_account_is_spared(house):
    house.provider("cheap", "0.0001", answer=Answer.SENDER_NOT_VERIFIED)
    house.provider("dear", "0.0020")
    first, second = house.accept(a_submission(), a_submission())
    house.drain(window=1)
    assert [a.provider for a in house.ledger(first)] == ["cheap", "dear"]
    assert [a.provider for a in house.ledger(second)] == ["dear"]
    house.reconfigure("cheap")
    (other,) = house.accept(a_submission(sender="hello@other.example"))
    house.drain()
    assert [a.provider for a in house.ledger(other)] == ["cheap"]
    (same,) = house.accept()
    house.drain()
    assert house.ledger(same)[0].decision["excluded"][0][1] == "SENDER_NOT_VERIFIED"


def test_only_the_asked_lane_is_drained(house):
    house.provider("one")
    (otp,) = house.accept()
    (bulk,) = house.accept(a_submission(lane=Lane.BULK))
    house.drain(Lane.TRANSACTIONAL)
    assert (house.job(otp).status, house.job(bulk).status) == ("sent", "queued")


def test_an_email_for_later_waits(house):
    house.provider("one")
    (job,) = house.accept(due_in=100)
    assert 99 < house.drain() <= 100
    assert house.job(job).status == "queued"
    house.pass_time(101)
    house.drain()
    assert house.job(job).status == "sent"


def test_users_take_turns(house):
    other = new_id()
    with house.engine.begin() as connection:
        connection.execute(insert(models.User), {"id": other, "email": "o@x.example", "password_hash": "-"})
    house.provider("one")
    house.accept(*(a_submission() for _ in range(30)))
    (late,) = house.accept(a_submission(user_id=other))
    with house.units() as unit:
        run = house.run()
        claim = unit.delivery.claim(Lane.TRANSACTIONAL, run.id, 10, house.clock.chance.shuffle)
    assert late in [j.job_id for j in claim.jobs]
    assert len(claim.jobs) <= 10


def test_an_adapter_that_breaks_leaves_a_doubt_and_stops_nobody(house):
    class Broken(MemoryProvider):
        def send(self, *_):
            raise KeyError("a bug")

    house.provider("cheap", "0.0001")
    house.adapters["cheap"] = Broken()
    (job,) = house.accept()
    house.drain()
    (attempt,) = house.ledger(job)
    assert (attempt.outcome, attempt.error) == (Outcome.UNKNOWN, "outcome_unknown")
    assert "KeyError" in attempt.detail


def test_an_email_that_no_adapter_can_express_fails_at_once_instead_of_waiting(house):
    house.provider("cheap", "0.0001", answer=Answer.UNSUPPORTED)
    house.provider("dear", "0.0020", answer=Answer.UNSUPPORTED)
    (job,) = house.accept()
    house.drain()
    assert house.job(job).status == "failed"
    assert "could not express" in house.job(job).status_reason
    assert len(house.ledger(job)) == 2


def test_tags_and_metadata_that_a_provider_has_no_place_for_keep_no_email_from_it(house):
    provider = house.provider("one")
    provider._can = replace(provider.capabilities, max_tags=1, metadata=MetadataForm(most=0))
    (job,) = house.accept(a_submission(tags=("a", "b"), metadata={"order": "17"}))
    house.drain()
    assert house.job(job).status == "sent"
    assert len(provider.sent) == 1
