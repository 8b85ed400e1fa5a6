"""What holds when a worker dies, and what each mechanism is there for."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import text

from domain.attempt import Outcome
from domain.delivery import Ending, LeaseLost, Opening
from domain.errors import StorageUnavailable
from domain.message import Lane, OnUnknown
from providers.memory import Answer
from tests.builders import a_submission, new_id
from workers.ledger import NOT_ATTEMPTED


def claim(house, run, limit=100):
    with house.units() as unit:
        taken = unit.delivery.claim(Lane.TRANSACTIONAL, run.id, limit, house.clock.chance.shuffle)
        unit.commit()
    return taken


def an_opening(house, job, provider="one"):
    provider_id = house.one("SELECT id FROM providers WHERE name = :name", name=provider).id
    return Opening(new_id(), job, provider_id, 0, 1, Decimal("0.0004"), "USD")


def open_attempt(house, run, token, job):
    opening = an_opening(house, job)
    with house.units() as unit:
        unit.delivery.fence(run.id)
        opened = unit.delivery.open(run.id, token, [opening])
        unit.commit()
    return opening.attempt_id, opened


def test_claimed_emails_are_not_claimed_again_while_the_run_lives(house):
    house.accept()
    assert len(claim(house, house.run()).jobs) == 1
    house.sweep()
    assert claim(house, house.run()).jobs == []


def test_an_email_of_a_dead_run_that_never_reached_the_wire_is_claimable_at_once(house):
    provider = house.provider("one")
    (job,) = house.accept()
    dead = house.run()
    claim(house, dead)
    house.kill(dead)
    assert house.sweep().freed == 1
    assert house.bell.rung == [Lane.TRANSACTIONAL]
    house.drain()
    assert house.job(job).status == "sent"
    assert len(provider.sent) == 1


def test_an_email_of_a_dead_run_with_an_open_attempt_is_unknown_and_never_sent_again(house):
    provider = house.provider("one")
    (job,) = house.accept()
    dead = house.run()
    token = claim(house, dead).token
    open_attempt(house, dead, token, job)
    house.kill(dead)
    assert house.sweep().doubts == 1
    house.pass_time(900)
    house.drain()
    assert house.job(job).status == "unknown"
    assert [(a.outcome, a.error) for a in house.ledger(job)] == [("unknown", "worker_lost")]
    assert house.timeline(job) == ["unknown"]
    assert provider.sent == ()


def test_such_an_email_of_a_type_that_resends_is_sent_once_more_after_a_minute(house):
    provider = house.provider("one")
    (job,) = house.accept(a_submission(on_unknown=OnUnknown.RESEND))
    dead = house.run()
    open_attempt(house, dead, claim(house, dead).token, job)
    house.kill(dead)
    house.sweep()
    house.pass_time(61)
    house.drain()
    assert house.job(job).status == "sent"
    assert len(provider.sent) == 1


def test_sweeping_twice_changes_nothing_more(house):
    house.provider("one")
    (job,) = house.accept()
    dead = house.run()
    open_attempt(house, dead, claim(house, dead).token, job)
    house.kill(dead)
    house.sweep()
    again = house.sweep()
    assert (again.runs, again.doubts, again.freed) == (0, 0, 0)
    assert house.timeline(job) == ["unknown"]


def test_a_run_past_its_lease_can_neither_open_nor_record(house):
    house.provider("one")
    (job,) = house.accept()
    late = house.run()
    token = claim(house, late).token
    house.kill(late)
    with pytest.raises(LeaseLost):
        open_attempt(house, late, token, job)
    assert house.ledger(job) == []


def test_a_write_with_an_old_token_is_refused(house):
    """A worker that was stopped, buried, and comes back finds the email in other hands."""
    house.provider("one")
    (job,) = house.accept()
    stopped = house.run()
    old = claim(house, stopped).token
    house.kill(stopped)
    house.sweep()
    other = house.run()
    new = claim(house, other).token
    assert open_attempt(house, other, old, job)[1].attempts == frozenset()
    attempt, opened = open_attempt(house, other, new, job)
    assert opened.attempts == {attempt}


def test_a_stopped_worker_that_comes_back_sends_nothing(house):
    provider = house.provider("one")
    house.accept()
    run = house.run(lease=15)
    house.clock.move(16)
    house.drain(run=run)
    assert provider.calls == ()


def test_a_lease_that_passes_during_a_claim_stops_every_send(house):
    """The lease ends between the claim and the wire: nothing is sent, nothing is recorded."""
    provider = house.provider("one")
    (job,) = house.accept()
    run = house.run()
    real = house.dispatcher.fleet.snapshot

    def slow():
        house.kill(run)
        return real()

    house.dispatcher.fleet.snapshot = slow
    with pytest.raises(LeaseLost):
        house.drain(run=run)
    assert provider.calls == ()
    assert house.ledger(job) == []


def test_a_lease_that_passes_after_the_ledger_leaves_a_doubt_but_opens_no_socket(house):
    provider = house.provider("one")
    (job,) = house.accept()
    run = house.run()
    real = house.dispatcher.sender.send

    def stopped(*work):
        house.clock.move(16)  # SIGSTOP past the lease, then SIGCONT
        house.kill(run)
        return real(*work)

    house.dispatcher.sender.send = stopped
    with pytest.raises(LeaseLost):
        house.drain(run=run)
    assert provider.calls == ()
    house.sweep()
    assert house.job(job).status == "unknown"


def test_the_ledger_is_committed_before_the_wire(house):
    seen = []
    provider = house.provider("one")
    real = provider.send

    def watch(submission, attempt_id):
        seen.append(house.one("SELECT outcome FROM delivery_attempts WHERE id = :id", id=attempt_id).outcome)
        return real(submission, attempt_id)

    provider.send = watch
    house.accept()
    house.drain()
    assert seen == [None]


def test_after_two_deaths_an_email_is_claimed_alone_and_past_the_cap_it_fails(house):
    house.provider("one")
    poison, *others = house.accept(*(a_submission() for _ in range(3)))
    for _ in range(2):
        dead = house.run()
        with house.units() as unit:
            taken = unit.delivery.claim(Lane.TRANSACTIONAL, dead.id, 1, house.clock.chance.shuffle)
            unit.commit()
        assert [j.job_id for j in taken.jobs] == [poison]
        house.kill(dead)
        house.sweep()
    alone = claim(house, house.run())
    assert [j.job_id for j in alone.jobs] == [poison]
    house.kill_all()
    house.sweep()
    for _ in range(2):
        claim(house, house.run())
        house.kill_all()
        house.sweep()
    house.drain()
    assert house.job(poison).status == "failed"
    assert "workers died" in house.job(poison).status_reason
    house.drain()
    assert {house.job(j).status for j in others} == {"sent"}


def test_claims_that_end_in_order_do_not_count(house):
    house.provider("one", answer=Answer.UNAVAILABLE)
    (job,) = house.accept()
    for _ in range(3):
        house.drain()
        house.pass_time(20)
    assert house.queued(job).claims == 0


class Flaky:
    """Units of work of which some commits fail, before or after they happened."""

    def __init__(self, house, fail):
        self.house, self.fail, self.commits = house, fail, 0

    def __call__(self):
        unit = self.house.units()
        real = unit.commit

        def commit():
            self.commits += 1
            when = self.fail.get(self.commits)
            if when == "before":
                raise StorageUnavailable("gone")
            real()
            if when == "after":
                raise StorageUnavailable("gone after the commit")

        unit.commit = commit
        return unit


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", [2, 3])
def test_a_commit_whose_answer_is_lost_loses_nothing_and_sends_once(house, when, nth):
    """Commit 1 claims, 2 opens the ledger, 3 records the outcome."""
    provider = house.provider("one", quota={"daily_quota": 10})
    (job,) = house.accept()
    house.dispatcher = replace(house.dispatcher, units=Flaky(house, {nth: when}))
    house.drain()
    assert house.job(job).status == "sent"
    assert len(provider.sent) == 1
    assert [a.outcome for a in house.ledger(job)].count("accepted") == 1
    assert house.timeline(job) == ["sent"]
    assert house.one("SELECT used_today FROM provider_quota").used_today == 1


def test_outcomes_are_settled_once_and_refunded_once(house):
    house.provider("one", quota={"daily_quota": 10})
    (job,) = house.accept()
    run = house.run()
    token = claim(house, run).token
    attempt, _ = open_attempt(house, run, token, job)
    assert house.one("SELECT used_today FROM provider_quota").used_today == 1
    for _ in range(2):
        with house.units() as unit:
            unit.delivery.settle(run.id, token, [Ending(attempt, Outcome.NOT_SENT, NOT_ATTEMPTED)], [])
            unit.commit()
    assert house.one("SELECT used_today FROM provider_quota").used_today == 0


def test_an_attempt_that_is_settled_is_not_settled_again(house):
    """A record that is repeated, or comes late, does not undo what evidence or the sweeper has settled since."""
    house.provider("one")
    (job,) = house.accept()
    run = house.run()
    token = claim(house, run).token
    attempt, _ = open_attempt(house, run, token, job)
    for outcome in (Outcome.ACCEPTED, Outcome.NOT_SENT):
        with house.units() as unit:
            unit.delivery.settle(run.id, token, [Ending(attempt, outcome, None)], [])
            unit.commit()
    assert [a.outcome for a in house.ledger(job)] == ["accepted"]


def test_a_claim_passes_over_what_another_transaction_holds(house):
    first, second = house.accept(a_submission(), a_submission())
    with house.engine.connect() as other:
        other.execute(text("SELECT 1 FROM email_queue WHERE job_id = :id FOR UPDATE"), {"id": first})
        assert [j.job_id for j in claim(house, house.run(), 1).jobs] == [second]


def test_a_process_that_is_asked_to_stop_gives_back_what_it_has_not_begun(house):
    provider = house.provider("one")
    jobs = house.accept(*(a_submission() for _ in range(20)))
    house.dispatcher = replace(house.dispatcher, stopping=lambda: len(provider.calls) >= 5)
    house.drain(window=5)
    assert len(provider.sent) == 5
    left = [house.queued(j) for j in jobs if house.queued(j) is not None]
    assert len(left) == 15
    assert {(q.run, q.claims) for q in left} == {(None, 0)}
    house.dispatcher = replace(house.dispatcher, stopping=lambda: False)
    house.drain()
    assert len(provider.sent) == 20


def test_a_drain_whose_time_is_up_gives_back_what_it_has_not_begun(house):
    """A task has a hard time limit: what hangs must not let it come near."""
    provider = house.provider("one")
    house.accept(*(a_submission() for _ in range(20)))
    real = provider.send

    def slow(submission, attempt_id):
        house.clock.move(2)
        return real(submission, attempt_id)

    provider.send = slow
    assert house.drain(window=5, drain_seconds=5, run=house.run(lease=1000)) <= 0
    assert len(provider.sent) == 5
    assert house.all("SELECT 1 FROM email_queue WHERE run IS NOT NULL") == []
