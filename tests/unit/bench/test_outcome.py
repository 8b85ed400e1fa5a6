"""What the faults harness complains of, and what it says."""

from __future__ import annotations

from bench.faults.books import Attempt, Books, Received, Verdict, reconcile
from bench.faults.outcome import Injury, Outcome, Plan


def outcome(verdict: Verdict, *injuries: Injury, bound: int = 0, backlog: int = 0) -> Outcome:
    return Outcome(Plan(), 1.0, verdict, bound, backlog, list(injuries), [])


def verdict(status: str, *attempts: Attempt, received: tuple[Received, ...] = ()) -> Verdict:
    return reconcile(Books({"n1": ["e"]}, received, {"e": status}, attempts))


def test_a_run_in_which_all_is_in_order_holds() -> None:
    fine = verdict("sent", Attempt("a", "e", "accepted"), received=(Received("e", "a"),))
    assert outcome(fine, Injury("kill-api", 0.0, 0.0)).as_json()["holds"] is True


def test_each_thing_that_must_not_be_is_named_with_its_id() -> None:
    for found in (
        verdict("sent", Attempt("a", "e", "accepted")),
        verdict("queued"),
        verdict("failed", Attempt("a", "e", "not_sent"), received=(Received("e", "a"),)),
    ):
        assert any("e" in complaint.partition(": ")[2] for complaint in outcome(found).complaints)


def test_more_doubts_than_the_faults_explain_are_a_complaint() -> None:
    doubt = verdict("unknown", Attempt("a", "e", "unknown"))
    assert outcome(doubt, bound=1).complaints == []
    assert outcome(doubt, bound=0).complaints == ["1 unknown, where at most 0 can be"]


def test_a_fault_that_explains_no_doubt_may_leave_none_whatever_the_others_explain() -> None:
    doubt = verdict("unknown", Attempt("a", "e", "unknown"))
    restart = Injury("rolling-restart", 0.0, 0.0, unknown=1)
    kill = Injury("kill-workers", 0.0, 0.0, allowed=50)
    assert outcome(doubt, kill, restart, bound=50).complaints == [
        "rolling-restart: 1 unknown attempts, where it explains 0"
    ]


def test_what_still_moves_and_what_did_not_happen_are_complaints() -> None:
    fine = verdict("sent", Attempt("a", "e", "accepted"), received=(Received("e", "a"),))
    failed = Injury("kill-api", 0.0, 0.0, errors=["it did not come back"])
    assert outcome(fine, failed, backlog=2).complaints == [
        "2 emails still move",
        "kill-api: it did not come back",
    ]


def test_one_seed_gives_one_order_and_kills_are_repeated_as_asked() -> None:
    plan = Plan(kills=3, seed=5, only=("kill-api", "flush-redis"))
    names = [fault.name for fault in plan.faults()]
    assert sorted(names) == ["flush-redis", "kill-api", "kill-api", "kill-api"]
    assert names == [fault.name for fault in plan.faults()]
