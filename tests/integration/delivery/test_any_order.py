"""Whatever happens in whatever order: nothing is lost or sent twice by itself, and the ledger tells the truth."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from domain.delivery import LeaseLost, Opening
from domain.lifecycle import Status
from domain.message import Lane, OnUnknown
from providers.memory import Answer, MemoryProvider
from tests.builders import a_submission, new_id
from tests.integration.delivery.conftest import House
from workers.run import LeasedRun
from workers.stats import add_up

ENDED = {s.value for s in (Status.SENT, Status.FAILED, Status.EXPIRED, Status.CANCELLED)}
ANSWERS = st.sampled_from(
    [
        Answer.ACCEPTED, Answer.ACCEPTED, Answer.UNAVAILABLE, Answer.RATE_LIMITED, Answer.REJECTED,
        Answer.UNKNOWN, Answer.TAKEN_BUT_UNKNOWN, Answer.MISCONFIGURED, Answer.SENDER_NOT_VERIFIED,
    ]
)  # fmt: skip
NAMES = ("first", "second")


class Life(RuleBasedStateMachine):
    """Workers that live, die and stop; providers that answer anything; time that passes."""

    databases: Any
    redis_url: str

    @initialize(first=ANSWERS, second=ANSWERS)
    def move_in(self, first: Answer, second: Answer) -> None:
        self._database = self.databases.clone()
        self.house = House(self._database.__enter__(), self.redis_url)
        self.house.redis.flushall()
        self.jobs: dict[UUID, OnUnknown] = {}
        self.dead: list[tuple[LeasedRun, int]] = []
        self.adapters: list[Any] = [
            self.house.provider("first", "0.0001", answer=first),
            self.house.provider("second", "0.0002", answer=second),
        ]
        for on_unknown in OnUnknown:
            self.accept(2, on_unknown)

    def teardown(self) -> None:
        if not hasattr(self, "house"):
            return
        try:
            self._everything_comes_to_an_end()
        finally:
            self.house.close()
            self._database.__exit__(None, None, None)

    def _everything_comes_to_an_end(self) -> None:
        for name in NAMES:
            self.adapters.append(self.house.reconfigure(name))
        for _ in range(5):
            self.house.kill_all()
            self.house.sweep()
            self.house.pass_time(400)
            self.house.drain()
        assert self.house.all("SELECT 1 FROM email_queue") == [], "an email never came to an end"
        self.nothing_is_lost_and_nothing_is_sent_twice_by_itself()
        self._the_statistics_are_what_the_ledger_says()

    def _the_statistics_are_what_the_ledger_says(self) -> None:
        self.the_statistics_are_added_up()
        wanted = self.house.one(
            """SELECT count(*) FILTER (WHERE outcome = 'accepted') AS accepted,
                      count(*) FILTER (WHERE outcome = 'not_sent') AS not_sent,
                      count(*) FILTER (WHERE outcome = 'unknown') AS unknown FROM delivery_attempts"""
        )
        found = self.house.one(
            """SELECT coalesce(sum(accepted), 0) AS accepted, coalesce(sum(not_sent), 0) AS not_sent,
                      coalesce(sum(unknown), 0) AS unknown FROM email_stats WHERE dimension = 'all' AND grain = 15"""
        )
        assert found == wanted

    @rule()
    def the_statistics_are_added_up(self) -> None:
        add_up(self.house.units, self.house.clock)

    @rule(count=st.integers(1, 3), on_unknown=st.sampled_from(OnUnknown))
    def accept(self, count: int, on_unknown: OnUnknown) -> None:
        for job in self.house.accept(*(a_submission(on_unknown=on_unknown) for _ in range(count))):
            self.jobs[job] = on_unknown

    @rule(name=st.sampled_from(NAMES), answer=ANSWERS)
    def a_provider_changes(self, name: str, answer: Answer) -> None:
        self.adapters.append(self.house.reconfigure(name, answer=answer))

    @rule(window=st.integers(1, 4))
    def a_worker_drains(self, window: int) -> None:
        self.house.drain(window=window)

    @rule(reached=st.sampled_from(["claim", "ledger", "wire"]))
    def a_worker_claims_and_dies(self, reached: str) -> None:
        """Killed after the claim, after its ledger was committed, or after the provider took the email."""
        house, run = self.house, self.house.run()
        with house.units() as unit:
            claim = unit.delivery.claim(Lane.TRANSACTIONAL, run.id, 2, house.clock.chance.shuffle)
            unit.commit()
        # One in doubt that is claimed has waited long enough, and is ended; nothing of it goes to a ledger.
        job = next((j for j in claim.jobs if not j.held or self.jobs[j.job_id] is OnUnknown.RESEND), None)
        if reached != "claim" and job is not None:
            provider = house.one("SELECT id FROM providers WHERE name = 'first'").id
            email = Opening(new_id(), job.job_id, provider, job.round, 1, "0.0001", "USD")  # type: ignore[arg-type]
            with house.units() as unit:
                unit.delivery.fence(run.id)
                unit.delivery.open(run.id, claim.token, [email])
                loaded = unit.delivery.load([job.job_id])[job.job_id]
                unit.commit()
            if reached == "wire":
                self.adapters.append(MemoryProvider("first"))
                self.adapters[-1].send(loaded.submission, email.attempt_id)
        house.kill(run)
        self.dead.append((run, claim.token))

    @precondition(lambda self: self.dead)
    @rule()
    def a_dead_worker_comes_back(self) -> None:
        run, token = self.dead[-1]
        try:
            with self.house.units() as unit:
                unit.delivery.fence(run.id)
                unit.commit()
        except LeaseLost:
            return
        raise AssertionError(f"a dead run's lease still held (token {token})")

    @rule()
    def the_sweeper_comes(self) -> None:
        self.house.sweep()

    @rule(seconds=st.sampled_from([1, 20, 61, 400]))
    def time_passes(self, seconds: int) -> None:
        self.house.pass_time(seconds)

    @invariant()
    def nothing_is_lost_and_nothing_is_sent_twice_by_itself(self) -> None:
        if not hasattr(self, "house"):
            return
        rows = self.house.all(
            """SELECT j.id, j.status, q.job_id IS NOT NULL AS queued, q.held,
                      (SELECT array_agg(a.outcome ORDER BY a.id) FROM delivery_attempts a WHERE a.job_id = j.id) AS o
               FROM email_jobs j LEFT JOIN email_queue q ON q.job_id = j.id"""
        )
        assert {r.id for r in rows} == set(self.jobs)
        taken = [s for adapter in self.adapters for s in adapter.sent]
        ledger = {r.id for r in self.house.all("SELECT id FROM delivery_attempts")}
        assert {c for adapter in self.adapters for c in adapter.calls} <= ledger
        for r in rows:
            outcomes, copies = r.o or [], sum(s.submission.id == r.id for s in taken)
            assert r.queued or r.status in ENDED | {"unknown"}, "an email that nobody will look at again"
            assert not (r.queued and r.status in ENDED)
            assert outcomes.count("accepted") <= 1
            doubts = outcomes.count("unknown")
            assert copies <= outcomes.count("accepted") + doubts + outcomes.count(None)
            assert doubts <= (1 if self.jobs[r.id] is OnUnknown.HOLD else 2)
            assert (r.status == "sent") == ("accepted" in outcomes)
            if doubts and r.status not in ("sent", "unknown"):
                assert r.queued, "an end that says `not sent` of an email in doubt"
            if doubts and self.jobs[r.id] is OnUnknown.HOLD:
                assert outcomes[-1] == "unknown", "an email in doubt was tried again"


@pytest.mark.timeout(400)  # forty lives, each with a database of its own
def test_any_order_of_events_keeps_the_promise(databases, redis_url):
    Life.databases, Life.redis_url = databases, redis_url
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=40,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
