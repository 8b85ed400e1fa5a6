"""The breaker as a value."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.errors import (
    Misconfigured,
    OutcomeUnknown,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    SenderNotVerified,
)
from routing.breaker import CLOSED, TRIP_AFTER, Admission, Breaker, Sign, sign_of
from tests.builders import NOW


def later(seconds: float):
    return NOW + timedelta(seconds=seconds)


def failed(times: int) -> Breaker:
    breaker = CLOSED
    for _ in range(times):
        breaker = breaker.after(Sign.FAILED, NOW, cause="refused")
    return breaker


def test_it_opens_after_five_failures_in_a_row_and_not_before():
    assert failed(TRIP_AFTER - 1).admission(NOW) is Admission.OPEN_DOOR
    assert failed(TRIP_AFTER).admission(NOW) is Admission.SHUT


def test_an_answer_between_failures_starts_the_count_anew():
    breaker = failed(TRIP_AFTER - 1).after(Sign.ANSWERED, NOW)
    assert breaker.after(Sign.FAILED, NOW).admission(NOW) is Admission.OPEN_DOOR


def test_it_lets_a_probe_go_when_its_backoff_has_passed():
    breaker = failed(TRIP_AFTER)
    assert breaker.admission(later(0.99)) is Admission.SHUT
    assert breaker.admission(later(1)) is Admission.PROBE


def test_while_a_probe_is_out_no_other_goes():
    assert failed(TRIP_AFTER).probing(later(1)).admission(later(1.5)) is Admission.SHUT


def test_failed_probes_back_off_up_to_fifteen_seconds():
    breaker, waits, now = failed(TRIP_AFTER), [], NOW
    for _ in range(6):
        assert breaker.retry_at is not None
        now = breaker.retry_at
        breaker = breaker.probing(now).after(Sign.FAILED, now + timedelta(milliseconds=1), probe=True)
        waits.append(breaker.backoff)
    assert waits == [2, 4, 8, 15, 15, 15]


def test_a_successful_probe_closes_it():
    assert failed(TRIP_AFTER).probing(later(1)).after(Sign.ANSWERED, later(1)) == CLOSED


def test_late_failures_of_the_burst_that_opened_it_do_not_lengthen_its_backoff():
    breaker = failed(TRIP_AFTER + 20)
    assert (breaker.backoff, breaker.retry_at) == (1.0, later(1))


def test_an_account_error_opens_it_at_once_and_for_longer():
    breaker = CLOSED.after(Sign.ACCOUNT_FAILED, NOW)
    assert breaker.retry_at == later(30)


def test_a_throttle_is_not_a_failure_and_lasts_as_long_as_the_provider_says():
    breaker = failed(2).after(Sign.THROTTLED, NOW, retry_after=7)
    assert breaker.admission(NOW) is Admission.OPEN_DOOR
    assert breaker.throttled(later(6.9))
    assert not breaker.throttled(later(7))


@pytest.mark.parametrize(
    ("error", "sign"),
    [
        (None, Sign.ANSWERED),
        (Rejected("p", "bad recipient"), Sign.ANSWERED),
        (SenderNotVerified("p", "x"), Sign.ANSWERED),
        (ProviderUnavailable("p", "x"), Sign.FAILED),
        (OutcomeUnknown("p", "x"), Sign.FAILED),
        (RateLimited("p", "x"), Sign.THROTTLED),
        (Misconfigured("p", "x"), Sign.ACCOUNT_FAILED),
    ],
)
def test_only_account_provider_and_network_errors_count_against_a_provider(error, sign):
    assert sign_of(error) is sign
