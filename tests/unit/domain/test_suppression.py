"""What puts an address on the list, and what an entry stops."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.events import BounceClass, DeliveryEvent, EventType, RejectReason
from domain.suppression import (
    Cause,
    Listing,
    Reach,
    Verdict,
    is_of_nobody,
    judge,
    normalized,
    stopped_by,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HARD, SOFT = BounceClass.HARD, BounceClass.SOFT
BOUNCED, REJECTED = EventType.BOUNCED, EventType.REJECTED


@pytest.mark.parametrize(
    ("event", "cause", "reach"),
    [
        (DeliveryEvent(BOUNCED, bounce=HARD), Cause.HARD_BOUNCE, Reach.ALL),
        (DeliveryEvent(BOUNCED, bounce=HARD, status_code="5.1.1"), Cause.HARD_BOUNCE, Reach.ALL),
        (DeliveryEvent(BOUNCED, bounce=HARD, status_code="5.1.10"), Cause.HARD_BOUNCE, Reach.ALL),
        (DeliveryEvent(BOUNCED, bounce=HARD, status_code="5.2.1"), Cause.HARD_BOUNCE, Reach.ALL),
        (DeliveryEvent(BOUNCED, bounce=SOFT, status_code="4.2.2"), Cause.SOFT_BOUNCES, Reach.ALL),
        (DeliveryEvent(EventType.COMPLAINED), Cause.COMPLAINT, Reach.ITS_KIND),
        (DeliveryEvent(EventType.UNSUBSCRIBED), Cause.UNSUBSCRIBED, Reach.MARKETING),
        (DeliveryEvent(REJECTED, reject_reason=RejectReason.BOUNCED), Cause.PROVIDER, Reach.ALL),
        (
            DeliveryEvent(REJECTED, reject_reason=RejectReason.BLOCKED, listed=True),
            Cause.PROVIDER,
            Reach.ITS_KIND,
        ),
        (DeliveryEvent(REJECTED, reject_reason=RejectReason.BOUNCED, listed=True), Cause.PROVIDER, Reach.ALL),
        (DeliveryEvent(BOUNCED, bounce=HARD, listed=True), Cause.PROVIDER, Reach.ITS_KIND),
        (DeliveryEvent(REJECTED, reject_reason=RejectReason.UNSUBSCRIBED), Cause.PROVIDER, Reach.MARKETING),
    ],
)
def test_what_puts_an_address_on_the_list(event: DeliveryEvent, cause: Cause, reach: Reach) -> None:
    assert judge(event) == Verdict(cause, reach)


@pytest.mark.parametrize(
    "event",
    [
        DeliveryEvent(EventType.DELIVERED),
        DeliveryEvent(EventType.DEFERRED, status_code="4.2.2"),
        DeliveryEvent(EventType.FAILED),
        DeliveryEvent(BOUNCED),
        DeliveryEvent(BOUNCED, bounce=HARD, reject_reason=RejectReason.BLOCKED),
        DeliveryEvent(BOUNCED, bounce=HARD, status_code="5.7.1"),
        DeliveryEvent(BOUNCED, bounce=HARD, status_code="5.1.7"),
        DeliveryEvent(BOUNCED, bounce=HARD, status_code="5.1.8"),
        DeliveryEvent(BOUNCED, bounce=HARD, status_code="5.2.3"),
        DeliveryEvent(BOUNCED, bounce=HARD, status_code="5.6.0"),
        DeliveryEvent(BOUNCED, bounce=SOFT, status_code="5.6.1"),
        DeliveryEvent(BOUNCED, bounce=SOFT, status_code="4.7.28"),
        DeliveryEvent(BOUNCED, bounce=SOFT, status_code="4.4.2"),
        DeliveryEvent(BOUNCED, bounce=SOFT, reject_reason=RejectReason.SPAM),
        DeliveryEvent(REJECTED, reject_reason=RejectReason.BLOCKED),
        DeliveryEvent(REJECTED),
    ],
)
def test_throttling_policy_and_what_says_nothing_of_the_address_do_not(event: DeliveryEvent) -> None:
    assert judge(event) is None


@pytest.mark.parametrize(
    ("code", "reason", "nobody"),
    [
        ("5.1.1", RejectReason.BOUNCED, True),
        ("5.1.10", RejectReason.BOUNCED, True),
        (None, RejectReason.INVALID, True),
        ("5.1.7", RejectReason.INVALID, False),
        ("5.1.8", RejectReason.BOUNCED, False),
        ("5.7.1", RejectReason.BLOCKED, False),
        (None, None, False),
    ],
)
def test_only_what_is_of_the_recipients_address_says_that_there_is_nobody(
    code: str | None, reason: RejectReason | None, nobody: bool
) -> None:
    assert is_of_nobody(reason, code) == nobody


@pytest.mark.parametrize(
    ("scope", "email_type", "marketing", "stops"),
    [
        ("all", "receipt", False, True),
        ("all", "news", True, True),
        ("marketing", "receipt", False, False),
        ("marketing", "news", True, True),
        ("type:news", "news", True, True),
        ("type:news", "offers", True, False),
        ("type:receipt", "receipt", False, True),
    ],
)
def test_an_entry_stops_what_its_scope_says(
    scope: str, email_type: str, marketing: bool, stops: bool
) -> None:
    entry = Listing(scope, Cause.MANUAL)
    assert (stopped_by([entry], email_type, marketing, NOW) is not None) == stops


def test_an_entry_that_has_passed_stops_nothing() -> None:
    past = Listing("all", Cause.SOFT_BOUNCES, NOW)
    assert stopped_by([past], "receipt", False, NOW) is None
    assert stopped_by([past], "receipt", False, NOW - timedelta(seconds=1)) is Cause.SOFT_BOUNCES
    assert stopped_by([past, Listing("all", Cause.MANUAL)], "receipt", False, NOW) is Cause.MANUAL


def test_addresses_are_compared_without_regard_to_case() -> None:
    assert normalized(" Ada@Example.COM ") == "ada@example.com"
