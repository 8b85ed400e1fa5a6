"""Reports as mail servers write them: what they say, and what is not believed of anything else."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.events import BounceClass, DeliveryEvent, EventType, RejectReason
from providers import mime
from providers.reports import read_report
from tests.builders import NOW, a_submission

ATTEMPT = UUID("01900000-0000-7000-8000-0000000000a1")
ORIGINAL = mime.compose(a_submission(), ATTEMPT, NOW).decode()
HEAD = ORIGINAL.partition("\r\n\r\n")[0]

BOUNCE = """\
Return-Path: <>
Date: Sun, 01 Mar 2026 12:05:00 +0100
From: MAILER-DAEMON@mx.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: bounces@shop.example
Auto-Submitted: auto-replied
MIME-Version: 1.0
Message-ID: <20260301.A1@mx.example>
Content-Type: multipart/report; report-type=delivery-status; boundary="b1"

--b1
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--b1
Content-Type: message/delivery-status{encoding}

Reporting-MTA: dns; mx.example
X-Queue-ID: A1
Arrival-Date: Sun,  1 Mar 2026 12:04:58 +0100 (CET)

{recipients}
--b1
{original}
--b1--
"""
RECIPIENT = """\
Final-Recipient: {to}
Action: {action}
Status: {status}
Diagnostic-Code: {said}
"""


def bounce(
    *,
    to: str = "rfc822; ada@example.com",
    action: str = "failed",
    status: str = "5.1.1",
    said: str = "smtp; 550 5.1.1 <ada@example.com>:\n    Recipient address rejected: User unknown",
    original: str | None = None,
    encoding: str = "",
) -> bytes:
    recipients = RECIPIENT.format(to=to, action=action, status=status, said=said)
    original = original or f"Content-Type: message/rfc822\n\n{ORIGINAL}"
    text = BOUNCE.format(recipients=recipients, original=original, encoding=encoding)
    return text.replace("\r\n", "\n").replace("\n", "\r\n").encode()


def only(raw: bytes) -> DeliveryEvent:
    (found,) = read_report(raw)
    return found.event


def test_a_bounce_names_the_attempt_the_recipient_and_the_reason() -> None:
    event = only(bounce())
    assert event.type is EventType.BOUNCED
    assert (event.attempt_id, event.recipient) == (ATTEMPT, "ada@example.com")
    assert (event.reject_reason, event.bounce) == (RejectReason.INVALID, BounceClass.HARD)
    assert event.status_code == "5.1.1"
    assert event.mta_response == "550 5.1.1 <ada@example.com>: Recipient address rejected: User unknown"
    assert event.provider_message_id == mime.message_id(a_submission(), ATTEMPT)
    assert event.occurred_at is not None


@pytest.mark.parametrize(
    ("action", "status", "means", "bounce_class", "reason"),
    [
        ("failed", "5.1.1", EventType.BOUNCED, BounceClass.HARD, RejectReason.INVALID),
        ("Failed", "5.2.1", EventType.BOUNCED, BounceClass.HARD, RejectReason.BOUNCED),
        ("failed", "5.2.2", EventType.BOUNCED, BounceClass.SOFT, RejectReason.BOUNCED),
        ("failed", "4.4.7", EventType.BOUNCED, BounceClass.SOFT, RejectReason.BOUNCED),
        ("failed", "5.7.1", EventType.BOUNCED, BounceClass.SOFT, RejectReason.BLOCKED),
        ("failed", "5.0.0", EventType.BOUNCED, BounceClass.HARD, RejectReason.BOUNCED),
        ("failed", "5.1.10", EventType.BOUNCED, BounceClass.HARD, RejectReason.BOUNCED),
        ("failed", "5.1.8", EventType.BOUNCED, BounceClass.SOFT, RejectReason.BOUNCED),
        ("failed", "5.6.3", EventType.BOUNCED, BounceClass.SOFT, RejectReason.BOUNCED),
        ("failed", "", EventType.BOUNCED, BounceClass.SOFT, RejectReason.BOUNCED),
        ("delayed", "4.4.1", EventType.DEFERRED, None, None),
        ("delivered", "2.0.0", EventType.DELIVERED, None, None),
        ("relayed", "2.0.0", EventType.SENT, None, None),
        ("expanded", "2.0.0", EventType.SENT, None, None),
        ("invented", "2.0.0", EventType.UNKNOWN, None, None),
    ],
)
def test_each_action_has_its_event(
    action: str,
    status: str,
    means: EventType,
    bounce_class: BounceClass | None,
    reason: RejectReason | None,
) -> None:
    event = only(bounce(action=action, status=status, said="smtp; so it is"))
    assert (event.type, event.bounce, event.reject_reason) == (means, bounce_class, reason)


@pytest.mark.parametrize(
    "original",
    [
        f"Content-Type: text/rfc822-headers\n\n{HEAD}\n",
        f"Content-Type: message/rfc822-headers\n\n{HEAD}\n",
        f"Content-Type: message/rfc822\n\n{HEAD}\n\n",
        f"Content-Type: message/global-headers\n\n{HEAD}\n",
    ],
)
def test_the_email_is_known_by_its_head_alone(original: str) -> None:
    assert only(bounce(original=original)).attempt_id == ATTEMPT


def test_a_report_without_the_email_is_kept_and_matches_nothing() -> None:
    event = only(bounce(original="Content-Type: text/plain\n\nNothing of it is left.\n"))
    assert (event.attempt_id, event.provider_message_id) == (None, None)


def test_the_address_that_we_wrote_to_counts_where_the_report_tells_it() -> None:
    forwarded = "rfc822; elsewhere@other.example\nOriginal-Recipient: rfc822;ada@example.com"
    assert only(bounce(to=forwarded)).recipient == "ada@example.com"


def test_a_status_that_came_encoded_is_read() -> None:
    event = only(bounce(encoding="\nContent-Transfer-Encoding: 7bit"))
    assert event.status_code == "5.1.1"


def test_a_repeat_has_the_same_key_and_another_recipient_another() -> None:
    assert read_report(bounce())[0].key == read_report(bounce())[0].key
    assert read_report(bounce())[0].key != read_report(bounce(to="rfc822; bob@example.com"))[0].key


COMPLAINT = f"""\
From: <abusedesk@mailbox.example>
Date: Sun, 01 Mar 2026 13:00:00 GMT
Subject: FW: Earn money
To: <bounces@shop.example>
Message-ID: <fbl-1@mailbox.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b1"

--b1
Content-Type: text/plain; charset="US-ASCII"

This is an email abuse report.

--b1
Content-Type: message/feedback-report

Feedback-Type: {{kind}}
User-Agent: SomeGenerator/1.0
Version: 1
Original-Mail-From: <bounces@shop.example>
Original-Rcpt-To: <ada@example.com>
Arrival-Date: Sun, 01 Mar 2026 12:59:00 GMT

--b1
Content-Type: message/rfc822

{ORIGINAL}
--b1--
"""


@pytest.mark.parametrize(
    ("kind", "means"),
    [
        ("abuse", EventType.COMPLAINED),
        ("Fraud", EventType.COMPLAINED),
        ("opt-out", EventType.UNSUBSCRIBED),
        ("not-spam", EventType.UNKNOWN),
        ("auth-failure", EventType.UNKNOWN),
        ("invented", EventType.UNKNOWN),
    ],
)
def test_each_kind_of_feedback_has_its_event(kind: str, means: EventType) -> None:
    event = only(COMPLAINT.format(kind=kind).encode())
    assert (event.type, event.recipient, event.attempt_id) == (means, "ada@example.com", ATTEMPT)


def test_an_automatic_answer_is_known_by_the_email_that_it_answers() -> None:
    named = mime.message_id(a_submission(), ATTEMPT)
    answer = (
        f"From: Ada <ada@example.com>\r\nSubject: =?utf-8?q?Verreist_=E2=9C=88?=\r\nAuto-Submitted: auto-replied\r\n"
        f"In-Reply-To: {named}\r\n\r\nI am away.\r\n"
    )
    event = only(answer.encode())
    assert (event.type, event.provider_message_id) == (EventType.AUTORESPONDED, named)
    assert (event.recipient, event.description) == ("ada@example.com", "Verreist ✈")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\xff",
        b"Subject: Hello\r\n\r\nHow are you?",
        b"Auto-Submitted: auto-replied\r\n\r\nAway.",
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n--x--",
        b"Content-Type: message/delivery-status\r\n\r\nAction: failed",
    ],
)
def test_what_is_no_report_says_nothing(raw: bytes) -> None:
    assert read_report(raw) == []


# What the standard library's readers raise of: encoded words, dates, parameters and encodings that are none.
FIELDS = st.sampled_from(
    ["Subject", "Date", "From", "Message-ID", "Content-Type", "Content-Transfer-Encoding", "Status", "Action",
     "Diagnostic-Code", "Final-Recipient", "Last-Attempt-Date", "Arrival-Date", "User-Agent", "In-Reply-To"]
)  # fmt: skip
VALUES = st.sampled_from(
    ["=?utf-8?b?a?=", "smtp; =?utf-8?b?a?=", "=?utf-7?b?////?=", "Mon, 01 Jan 99999999999999999999 00:00:00 +9999",
     "Fri, 31 Dec 9999 23:59:59 -2359", "1 Jan 1 0:0:0 +2359", "utf-8'en'x", "x/y; *0*=%ff", "<@", '"(', "\0", "é", ""]
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Subject", "=?utf-8?b?a?="),
        ("Diagnostic-Code", "smtp; =?utf-8?b?a?="),
        ("Date", "Mon, 01 Jan 99999999999999999999 00:00:00 +0000"),
        ("Last-Attempt-Date", "Mon, 01 Jan 99999999999999999999 00:00:00 +0000"),
        ("Date", "Fri, 31 Dec 9999 23:59:59 -2300"),
    ],
)
def test_a_field_that_cannot_be_read_costs_no_more_than_itself(name: str, value: str) -> None:
    kept = [line for line in bounce().decode().split("\r\n") if not line.startswith(f"{name}:")]
    at = kept.index("Action: failed") if name in ("Diagnostic-Code", "Last-Attempt-Date") else 0
    event = only("\r\n".join([*kept[:at], f"{name}: {value}", *kept[at:]]).encode())
    assert (event.type, event.attempt_id) == (EventType.BOUNCED, ATTEMPT)
    assert event.occurred_at is None or event.occurred_at.year == 2026


def test_an_automatic_answer_with_a_subject_that_cannot_be_read_is_one() -> None:
    raw = b"Auto-Submitted: auto-replied\r\nIn-Reply-To: <a@b.example>\r\nSubject: =?utf-8?b?a?=\r\n\r\nAway"
    assert only(raw).description == "=?utf-8?b?a?="


@given(st.lists(st.tuples(FIELDS, VALUES), max_size=3), st.integers(0, 60))
def test_no_report_with_fields_of_any_content_raises(fields: list[tuple[str, str]], at: int) -> None:
    lines = bounce().split(b"\r\n")
    lines[at:at] = [f"{name}: {value}".encode() for name, value in fields]
    for event in read_report(b"\r\n".join(lines)):
        assert event.event.attempt_id in (None, ATTEMPT)


@given(st.binary(max_size=300), st.integers(0, 3000), st.integers(0, 300))
def test_no_mutilated_report_raises(junk: bytes, at: int, gone: int) -> None:
    whole = bounce()
    for event in read_report(whole[:at] + junk + whole[at + gone :]):
        assert event.event.attempt_id in (None, ATTEMPT)
