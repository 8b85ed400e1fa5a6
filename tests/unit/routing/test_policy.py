"""What happens next: never twice by itself, never lost, always an end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.attempt import Outcome
from domain.errors import (
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    SenderNotVerified,
    Unsupported,
)
from domain.lifecycle import Event
from domain.message import OnUnknown, RoutingWishes
from routing.breaker import Breaker
from routing.policy import (
    Case,
    Finish,
    Hold,
    Patience,
    Postpone,
    TryNext,
    after_attempt,
    before_sending,
    without_route,
)
from routing.router import decide
from tests.builders import (
    NOW,
    a_case,
    a_provider,
    a_snapshot,
    a_submission,
    an_attempt,
    chance,
)


def end(step: object) -> Event:
    """The event of a step that must be an end."""
    assert isinstance(step, Finish)
    return step.event


PATIENCE = Patience(unknown_ttl=1000, resend_after=60, give_up_after=5000)
ONE = a_provider("one")


def tried(*outcomes: Outcome, **more) -> Case:
    return a_case(attempts=tuple(an_attempt(ONE, o) for o in outcomes), **more)


def test_an_acceptance_is_the_end():
    assert after_attempt(tried(Outcome.ACCEPTED), None, PATIENCE) == Finish(Event.ACCEPTED)


@pytest.mark.parametrize("error", [ProviderUnavailable, Misconfigured, SenderNotVerified, Unsupported])
def test_what_was_provably_not_taken_goes_to_the_next_provider(error):
    assert after_attempt(tried(Outcome.NOT_SENT), error("one", "no"), PATIENCE) == TryNext()


def test_a_rate_limit_goes_to_the_next_provider():
    assert after_attempt(tried(Outcome.NOT_SENT), RateLimited("one", "slow down", 3), PATIENCE) == TryNext()


def test_a_rejection_is_final_and_says_why():
    step = after_attempt(tried(Outcome.NOT_SENT), Rejected("one", "no such user"), PATIENCE)
    assert step == Finish(Event.GAVE_UP, "one: no such user")


def test_what_may_have_been_taken_is_held_not_failed_over():
    step = after_attempt(tried(Outcome.UNKNOWN), OutcomeUnknown("one", "read timed out"), PATIENCE)
    assert step == Hold(PATIENCE.unknown_ttl, "one: read timed out")


def test_on_resend_the_first_doubt_is_held_shortly_and_the_second_to_the_end():
    first = tried(Outcome.UNKNOWN, on_unknown=OnUnknown.RESEND)
    second = tried(Outcome.UNKNOWN, Outcome.UNKNOWN, on_unknown=OnUnknown.RESEND)
    error = OutcomeUnknown("one", "?")
    assert after_attempt(first, error, PATIENCE) == Hold(PATIENCE.resend_after, "one: ?")
    assert after_attempt(second, error, PATIENCE) == Hold(PATIENCE.unknown_ttl, "one: ?")


def test_a_held_email_is_never_sent_again_by_itself():
    step = before_sending(tried(Outcome.UNKNOWN, held=True), NOW, PATIENCE)
    assert end(step) is Event.LOST_SIGHT


def test_a_held_email_is_resent_once_where_its_type_says_so():
    held = {"held": True, "on_unknown": OnUnknown.RESEND}
    assert before_sending(tried(Outcome.UNKNOWN, **held), NOW, PATIENCE) is None
    twice = tried(Outcome.UNKNOWN, Outcome.UNKNOWN, **held)
    assert end(before_sending(twice, NOW, PATIENCE)) is Event.LOST_SIGHT


def test_an_expired_email_is_not_sent():
    assert end(before_sending(a_case(expires_at=NOW), NOW, PATIENCE)) is Event.EXPIRED
    assert before_sending(a_case(expires_at=NOW + timedelta(seconds=1)), NOW, PATIENCE) is None


def test_an_email_is_given_up_when_its_time_has_passed():
    late = NOW + timedelta(seconds=PATIENCE.give_up_after)
    assert end(before_sending(a_case(), late, PATIENCE)) is Event.GAVE_UP


@pytest.mark.parametrize("case", [a_case(expires_at=NOW), a_case(accepted_at=NOW - timedelta(days=9))])
def test_no_end_claims_not_sent_where_a_try_is_in_doubt(case):
    doubtful = replace(case, attempts=(an_attempt(ONE, Outcome.UNKNOWN),))
    assert end(before_sending(doubtful, NOW, PATIENCE)) is Event.LOST_SIGHT
    assert end(after_attempt(doubtful, Rejected("one", "no"), PATIENCE)) is Event.LOST_SIGHT


def without(case, *providers, submission=None, now=NOW):
    decision = decide(submission or a_submission(), a_snapshot(*providers), case.tried_now(), now, chance())
    assert decision.chosen is None
    return without_route(case, decision, now, PATIENCE, chance())


def test_with_one_provider_an_open_breaker_defers_and_never_drops():
    step = without(a_case(), replace(ONE, breaker=Breaker(5, 8.0, NOW + timedelta(seconds=8))))
    assert (step.delay, step.round, step.visible) == (8.0, 0, True)


def test_rounds_wait_longer_and_longer():
    waits = []
    for round_ in range(7):
        step = without(a_case(round=round_, attempts=(an_attempt(ONE, round=round_),)), ONE)
        assert step.round == round_ + 1
        waits.append(step.delay)
    assert waits[:5] == sorted(waits[:5])
    assert all(810 <= w <= 990 for w in waits[4:])


def test_a_short_wait_for_a_rate_is_not_shown_as_deferred():
    step = without(a_case(), replace(ONE, rate_free_at=NOW + timedelta(seconds=0.2)))
    assert (step.delay, step.visible) == (0.2, False)


def test_no_wait_goes_beyond_the_emails_end():
    last = NOW + timedelta(seconds=3)
    assert without(a_case(expires_at=last, round=4, attempts=(an_attempt(ONE, round=4),)), ONE).delay == 3.0


def test_an_email_that_no_provider_may_ever_carry_fails_at_once_and_says_why():
    step = without(a_case(), ONE, submission=a_submission(wishes=RoutingWishes(pinned=frozenset({"other"}))))
    assert step.event is Event.GAVE_UP
    assert "pinned" in step.reason


def test_without_any_provider_an_email_waits():
    assert isinstance(without(a_case()), Postpone)


ERRORS = st.sampled_from(
    [
        None,
        ProviderUnavailable("p", "x"),
        RateLimited("p", "x"),
        Misconfigured("p", "x"),
        SenderNotVerified("p", "x"),
        Unsupported("p", "x"),
        Rejected("p", "x"),
        OutcomeUnknown("p", "x"),
    ]
)


@given(errors=st.lists(ERRORS, min_size=1, max_size=40), providers=st.integers(1, 4), seed=st.integers())
def test_under_hold_nothing_is_tried_after_a_doubt_and_every_path_ends(errors, providers, seed):
    """Walk an email through any sequence of answers: it ends, by its deadline, and a doubt is the last try."""
    fleet = a_snapshot(*(a_provider(f"p{i}") for i in range(providers)))
    case, now, rng, script = a_case(), NOW, chance(seed), iter(errors)
    for _ in range(2000):
        if before_sending(case, now, PATIENCE) is not None:
            break
        decision = decide(a_submission(), fleet, case.tried_now(), now, rng)
        if decision.chosen is None:
            step = without_route(case, decision, now, PATIENCE, rng)
            assert isinstance(step, Postpone)
            now += timedelta(seconds=step.delay)
            case = replace(case, round=step.round)
            continue
        assert case.doubts == 0
        error = next(script, ProviderUnavailable("p", "down for good"))
        provider = next(p for p in fleet.providers if p.id == decision.chosen.provider_id)
        outcome = Outcome.ACCEPTED if error is None else error.outcome
        case = replace(case, attempts=(*case.attempts, an_attempt(provider, outcome, case.round)))
        after = after_attempt(case, error, PATIENCE)
        if isinstance(after, Hold):
            case, now = replace(case, held=True), now + timedelta(seconds=after.delay)
        elif isinstance(after, Finish):
            break
    else:
        raise AssertionError("the email never came to an end")
    assert now <= NOW + timedelta(seconds=PATIENCE.give_up_after + PATIENCE.unknown_ttl)


def test_a_doubt_is_judged_by_the_outcome_and_not_by_the_class():
    class Odd(ProviderError):
        code = "odd"
        outcome = Outcome.UNKNOWN

    assert isinstance(after_attempt(tried(Outcome.UNKNOWN), Odd("p", "who knows"), PATIENCE), Hold)
