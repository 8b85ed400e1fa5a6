"""The chooser on the running service, learner included: what is scarce goes to those for whom it is worth most."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.e2e.chooser import (
    CHEAP,
    DEAREST,
    NEXT,
    change,
    declared,
    first_tries,
    learning_service,
    previewed,
    together,
)
from tests.e2e.client import Service, an_email, until


@pytest.fixture(scope="module")
def whole() -> Iterator[Service]:
    with learning_service() as service:
        yield service


@pytest.fixture
def learning(whole: Service) -> Iterator[Service]:
    """The service, as it was before, whatever became of the test."""
    whole.heal()
    yield whole
    change(whole, CHEAP, "/prices", prices=[])
    change(whole, CHEAP, "", quota={})


@pytest.mark.timeout(240)
def test_a_free_tier_is_kept_for_those_for_whom_it_is_worth_most(learning: Service) -> None:
    """Receipts have no other than the dearest provider, letters have a cheaper one: the free tier is the receipts'."""
    for name in ("receipt", "letter"):
        declared(learning, "/v1/email-types", name=name)
    declared(
        learning,
        "/v1/routing-rules",
        email_type="receipt",
        default_provider=CHEAP,
        fallback_providers=[DEAREST],
    )
    end = time.monotonic() + 15
    while time.monotonic() < end:  # so that there is traffic to plan for
        for name in ("receipt", "letter"):
            learning.send(email_type=name)
        time.sleep(0.2)
    tiers = [{"per_recipient": "0.002"}]
    lists = [{"valid_from": "2020-01-01T00:00:00Z", "included": 3000, "tiers": tiers}]
    change(learning, CHEAP, "/prices", prices=lists)
    until(
        lambda: previewed(learning, email_type="letter")["reason"] == "QUOTA_PRESERVED",
        30,
        lambda: previewed(learning, email_type="letter"),
    )
    sent = {name: [learning.send(email_type=name) for _ in range(10)] for name in ("receipt", "letter")}
    assert first_tries(learning, sent["receipt"]).keys() == {CHEAP}
    assert first_tries(learning, sent["letter"]).keys() == {NEXT}
    told = [learning.email(letter)["attempts"][0]["decision"]["explanation"] for letter in sent["letter"]]
    preserved = "what is left of a cheaper one is worth more later"
    assert any(preserved in why for why in told), told  # one or the other is there to learn


@pytest.mark.timeout(360)
def test_a_campaign_waits_for_cheap_capacity_while_a_one_time_password_does_not(learning: Service) -> None:
    declared(learning, "/v1/email-types", name="newsletter", category="marketing")
    declared(learning, "/v1/email-types", name="login-code", urgent=True)
    campaign = declared(learning, "/v1/campaigns", name="spring")["id"]
    # More than all the traffic of late, so that nobody prices the rate itself; less than comes at once now.
    change(learning, CHEAP, "", quota={"rate_per_second": 5})
    way_out = {"List-Unsubscribe": "<https://shop.example.com/leave>"}
    letter = {"email_type": "newsletter", "campaign_id": campaign, "headers": way_out}
    until(  # the learner knows of the new types
        lambda: previewed(learning, **letter)["reason"] == "LOWEST_EXPECTED_COST",
        30,
        lambda: previewed(learning, **letter),
    )
    letters = together(learning, [an_email(**letter) for _ in range(80)])
    codes = together(learning, [an_email(email_type="login-code") for _ in range(40)])
    carriers = Counter(learning.ended(code, 30)["attempts"][0]["provider"] for code in codes)
    assert carriers[NEXT] >= 10, carriers  # the room is gone: codes go by the dearer one at once
    waiting = [letter for letter in letters if not learning.email(letter)["attempts"]]
    assert len(waiting) >= 20, first_tries(learning, letters)
    change(learning, CHEAP, "", quota={})
    until(lambda: all(learning.email(letter)["attempts"] for letter in waiting), 150)
    assert first_tries(learning, letters).keys() == {CHEAP}
