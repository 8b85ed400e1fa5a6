"""What Brevo, SparkPost, Mailjet, MailerSend and Mailtrap answer, by their documents, and what it means."""

from __future__ import annotations

import json
from typing import Any

import pytest

from domain.errors import (
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RecipientSuppressed,
    Rejected,
    SenderNotVerified,
    Unsupported,
)
from domain.events import EventType, RejectReason
from providers.exchange import Response
from tests.contract.json_providers import provider


def brevo(code: str, message: str = "words") -> dict[str, str]:
    return {"code": code, "message": message}


def sparkpost(code: str | None, message: str = "words", description: str = "") -> dict[str, Any]:
    return {"errors": [{"message": message, "description": description, **({"code": code} if code else {})}]}


def counted(taken: int, refused: int) -> dict[str, Any]:
    results = {"total_accepted_recipients": taken, "total_rejected_recipients": refused}
    return {"results": {"id": "1", **results}}


def mailjet(code: str, status: int = 400, words: str = "words") -> dict[str, Any]:
    error = {"ErrorIdentifier": "i", "ErrorCode": code, "StatusCode": status, "ErrorMessage": words}
    return {"Messages": [{"Status": "error", "Errors": [error]}]}


def mailersend(message: str, field: str | None = None) -> dict[str, Any]:
    return {"message": message, **({"errors": {field: [message]}} if field else {})}


def mailtrap(*errors: str) -> dict[str, Any]:
    return {"success": False, "errors": list(errors)}


GOOD = {"Status": "success", "To": [{"Email": "a@b.example", "MessageID": 7}]}
BAD = mailjet("mj-0013")["Messages"][0]
UNVERIFIED = "Sending has been rejected because the sender you used is not valid. Validate your sender"

ANSWERS: list[tuple[str, int, Any, type[ProviderError] | None]] = [
    # Brevo: the codes of its errorModel
    ("brevo", 201, {"messageId": "<1@x>"}, None),
    ("brevo", 200, {"messageId": "<1@x>"}, OutcomeUnknown),
    ("brevo", 201, {}, OutcomeUnknown),
    ("brevo", 201, [], OutcomeUnknown),
    ("brevo", 400, brevo("duplicate_parameter"), None),
    ("brevo", 400, brevo("invalid_parameter", "email is not valid in to"), Rejected),
    ("brevo", 400, brevo("invalid_parameter", "valid sender email required"), Rejected),
    ("brevo", 400, brevo("missing_parameter"), Rejected),
    ("brevo", 400, brevo("out_of_range"), Rejected),
    ("brevo", 400, brevo("bad_request"), Rejected),
    ("brevo", 400, brevo("invalid_parameter", "Unsupported file format of attachment"), Unsupported),
    ("brevo", 400, brevo("invalid_parameter", UNVERIFIED), SenderNotVerified),
    ("brevo", 400, brevo("not_enough_credits"), Misconfigured),
    ("brevo", 402, brevo("not_enough_credits"), Misconfigured),
    ("brevo", 401, brevo("unauthorized"), Misconfigured),
    ("brevo", 403, brevo("permission_denied"), Misconfigured),
    ("brevo", 403, brevo("account_under_validation"), Misconfigured),
    ("brevo", 400, brevo("reseller_permission_denied"), Misconfigured),
    ("brevo", 405, brevo("method_not_allowed"), Misconfigured),
    ("brevo", 404, brevo("document_not_found"), Misconfigured),
    ("brevo", 406, brevo("not_acceptable"), Rejected),
    ("brevo", 413, "", Unsupported),
    ("brevo", 429, brevo("too_many_requests"), RateLimited),
    ("brevo", 500, brevo("internal_error"), OutcomeUnknown),
    ("brevo", 502, "", OutcomeUnknown),
    ("brevo", 503, "", ProviderUnavailable),
    # SparkPost: its extended error codes
    ("sparkpost", 200, counted(2, 0), None),
    ("sparkpost", 200, counted(0, 2), Rejected),
    ("sparkpost", 200, counted(1, 1), None),
    ("sparkpost", 200, counted(0, 0), OutcomeUnknown),
    ("sparkpost", 200, {}, OutcomeUnknown),
    ("sparkpost", 400, sparkpost("1200"), Rejected),
    ("sparkpost", 400, sparkpost("1305"), Rejected),
    ("sparkpost", 400, sparkpost("1401"), Rejected),
    ("sparkpost", 400, sparkpost("1502"), ProviderUnavailable),
    ("sparkpost", 400, sparkpost("1901"), Rejected),
    ("sparkpost", 400, sparkpost("1902", description="Unconfigured Sending Domain <x>"), SenderNotVerified),
    ("sparkpost", 400, sparkpost("1902"), Rejected),
    ("sparkpost", 400, sparkpost("1910"), Misconfigured),
    ("sparkpost", 400, sparkpost("5002"), Rejected),
    ("sparkpost", 400, sparkpost("7000"), SenderNotVerified),
    ("sparkpost", 400, sparkpost("7001"), SenderNotVerified),
    ("sparkpost", 401, sparkpost("1303"), Misconfigured),
    ("sparkpost", 403, sparkpost("1100"), Misconfigured),
    ("sparkpost", 403, sparkpost("1601"), Misconfigured),
    ("sparkpost", 404, sparkpost("1600"), Misconfigured),
    ("sparkpost", 405, sparkpost("1102"), Misconfigured),
    ("sparkpost", 406, sparkpost("1800"), Misconfigured),
    ("sparkpost", 413, sparkpost("10001"), Unsupported),
    ("sparkpost", 415, sparkpost("1700"), Misconfigured),
    ("sparkpost", 420, sparkpost("2101"), RateLimited),
    ("sparkpost", 420, sparkpost("2102"), RateLimited),
    ("sparkpost", 420, sparkpost("2103"), SenderNotVerified),
    ("sparkpost", 422, sparkpost("1300"), Rejected),
    ("sparkpost", 422, sparkpost("1400"), Rejected),
    ("sparkpost", 422, sparkpost("2007"), Unsupported),
    ("sparkpost", 422, sparkpost("3000"), Unsupported),
    ("sparkpost", 422, sparkpost("3002"), Rejected),
    ("sparkpost", 422, sparkpost("10000"), Unsupported),
    ("sparkpost", 429, sparkpost(None, "Too many requests"), RateLimited),
    ("sparkpost", 500, sparkpost("1500"), OutcomeUnknown),
    ("sparkpost", 503, sparkpost("1900"), ProviderUnavailable),
    # Mailjet: its table of errors, with the status of the call or within a 200
    ("mailjet", 200, {"Messages": [GOOD]}, None),
    ("mailjet", 200, {"Messages": [BAD]}, Rejected),
    ("mailjet", 200, {"Messages": [GOOD, BAD]}, None),
    ("mailjet", 400, {"Messages": [GOOD, BAD]}, None),
    ("mailjet", 500, {"Messages": [GOOD, BAD]}, OutcomeUnknown),
    ("mailjet", 400, {"Messages": [GOOD]}, OutcomeUnknown),
    ("mailjet", 200, mailjet("send-0008", 403), SenderNotVerified),
    ("mailjet", 200, mailjet("mj-0099", 500), OutcomeUnknown),
    ("mailjet", 200, {"Messages": []}, OutcomeUnknown),
    ("mailjet", 200, "yikes", OutcomeUnknown),
    ("mailjet", 400, {"ErrorCode": "mj-0002", "ErrorMessage": "Malformed JSON", "StatusCode": 400}, Rejected),
    ("mailjet", 400, mailjet("send-0003"), Rejected),
    ("mailjet", 403, mailjet("send-0006", 403), Misconfigured),
    ("mailjet", 403, mailjet("send-0007", 403), SenderNotVerified),
    ("mailjet", 403, mailjet("send-0008", 403), SenderNotVerified),
    ("mailjet", 400, mailjet("send-0011"), Unsupported),
    ("mailjet", 400, mailjet("send-0015"), Unsupported),
    ("mailjet", 401, {"ErrorCode": "mj-0001", "ErrorMessage": "suspended", "StatusCode": 401}, Misconfigured),
    ("mailjet", 401, {"ErrorMessage": "API key authentication failure", "StatusCode": 401}, Misconfigured),
    ("mailjet", 400, mailjet("mj-0003"), Rejected),
    ("mailjet", 400, mailjet("mj-0008"), Unsupported),
    ("mailjet", 400, mailjet("mj-0011"), Unsupported),
    ("mailjet", 400, mailjet("mj-0013"), Rejected),
    ("mailjet", 401, mailjet("mj-0015", 401), Misconfigured),
    ("mailjet", 429, "Rate limit exceeded", RateLimited),
    ("mailjet", 500, {"ErrorIdentifier": "x", "ErrorMessage": "oops", "StatusCode": 500}, OutcomeUnknown),
    ("mailjet", 500, {"Messages": [GOOD]}, OutcomeUnknown),
    # MailerSend: its statuses, and the codes in its messages
    ("mailersend", 202, "", None),
    ("mailersend", 200, "", OutcomeUnknown),
    ("mailersend", 202, {"warnings": [{"type": "ALL_SUPPRESSED", "recipients": []}]}, RecipientSuppressed),
    ("mailersend", 202, {"warnings": [{"type": "SOME_SUPPRESSED", "recipients": []}]}, None),
    ("mailersend", 202, {"warnings": [{"type": "SOMETHING"}]}, OutcomeUnknown),
    ("mailersend", 202, "<html>", OutcomeUnknown),
    ("mailersend", 400, mailersend("words"), Rejected),
    ("mailersend", 401, mailersend("Unauthenticated."), Misconfigured),
    ("mailersend", 403, mailersend("This action is unauthorized."), Misconfigured),
    ("mailersend", 404, mailersend("not found"), Misconfigured),
    ("mailersend", 408, mailersend("timeout"), OutcomeUnknown),
    ("mailersend", 413, "", Unsupported),
    ("mailersend", 421, mailersend("maintenance"), ProviderUnavailable),
    ("mailersend", 422, mailersend("The to.0.email must be valid", "to.0.email"), Rejected),
    ("mailersend", 422, mailersend("must be verified #MS42207", "from.email"), SenderNotVerified),
    ("mailersend", 422, mailersend("trial accounts #MS42225", "to"), Unsupported),
    ("mailersend", 422, mailersend("wrong type of file", "attachments.0.filename"), Unsupported),
    ("mailersend", 422, mailersend("only for Enterprise accounts", "headers"), Unsupported),
    ("mailersend", 429, mailersend("rate limit #MS42903"), RateLimited),
    ("mailersend", 429, mailersend("daily quota #MS42901"), RateLimited),
    ("mailersend", 500, mailersend("Server Error"), OutcomeUnknown),
    ("mailersend", 504, "", OutcomeUnknown),
    # Mailtrap
    ("mailtrap", 200, {"success": True, "message_ids": ["1", "2"]}, None),
    ("mailtrap", 200, {"success": True, "message_ids": []}, OutcomeUnknown),
    ("mailtrap", 200, mailtrap("'to' is invalid"), Rejected),
    ("mailtrap", 200, {"success": False, "message_ids": ["1"]}, OutcomeUnknown),
    ("mailtrap", 200, {"success": True, "errors": ["oops"], "message_ids": ["1"]}, OutcomeUnknown),
    ("mailtrap", 200, [], OutcomeUnknown),
    ("mailtrap", 400, mailtrap("'to' is invalid"), Rejected),
    ("mailtrap", 401, {"success": False, "error": "Invalid API token"}, Misconfigured),
    ("mailtrap", 403, mailtrap("Access forbidden"), Misconfigured),
    ("mailtrap", 403, mailtrap("Sending from domain x.example is not allowed"), SenderNotVerified),
    ("mailtrap", 403, mailtrap("Demo domains can only be used to send emails to account owners"), SenderNotVerified),
    ("mailtrap", 422, mailtrap("too large"), Rejected),
    ("mailtrap", 429, mailtrap("Rate limit exceeded"), RateLimited),
    ("mailtrap", 500, mailtrap("Internal server error"), OutcomeUnknown),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "status", "body", "meaning"), ANSWERS, ids=[f"{a[0]}-{a[1]}-{n}" for n, a in enumerate(ANSWERS)]
)
def test_an_answer_means_what_the_document_says(
    kind: str, status: int, body: Any, meaning: type[ProviderError] | None
) -> None:
    adapter = provider(kind)
    raw = body if isinstance(body, str) else json.dumps(body)
    response = Response(status, {"content-type": "application/json"}, raw.encode())
    found: type[ProviderError] | None = None
    if (error := adapter.judge(response)) is not None:
        found = type(error)
    else:
        try:
            adapter.parse(response)
        except ProviderError as failure:
            found = type(failure)
        except (ValueError, TypeError, LookupError):
            found = OutcomeUnknown
    assert found is meaning


SUPPRESSED = [
    {"email": "ada@example.com", "name": "Ada", "reasons": ["hard_bounced"]},
    {"email": "bob@example.com", "reasons": ["blocklisted"]},
]
PARTLY: list[tuple[str, int, Any, str | None, list[tuple[str | None, RejectReason | None]]]] = [
    ("mailersend", 202, {"warnings": [{"type": "SOME_SUPPRESSED", "recipients": SUPPRESSED}]}, "x-1",
     [("ada@example.com", RejectReason.BOUNCED), ("bob@example.com", RejectReason.BLOCKED)]),
    ("mailersend", 202, {"warnings": [{"type": "SOME_SUPPRESSED"}]}, "x-1", []),
    ("mailersend", 202, {"warnings": [{"type": "SOME_SUPPRESSED", "recipients": SUPPRESSED}]}, None,
     [("ada@example.com", RejectReason.BOUNCED), ("bob@example.com", RejectReason.BLOCKED)]),
    ("mailersend", 202, {"warnings": [{"type": "SOME_SUPPRESSED", "recipients": [SUPPRESSED[0], {"name": "B"}]}]},
     "x-1", [("ada@example.com", RejectReason.BOUNCED), (None, None)]),
    ("mailersend", 202, {"warnings": [{"type": "SOME_SUPPRESSED", "recipients": SUPPRESSED[:1]}, {"type": "LATE"}]},
     "x-1", [("ada@example.com", RejectReason.BOUNCED)]),
    ("sparkpost", 200, counted(2, 1), "1", []),
    ("mailjet", 200, {"Messages": [GOOD, BAD]}, "7", []),
    ("mailjet", 400, {"Messages": [BAD, GOOD]}, "7", []),
    ("mailjet", 400, {"Messages": [{**GOOD, "To": [{"Email": "ada@example.com"}]}, BAD]}, None, []),
    ("mailjet", 400, {"Messages": [GOOD, mailjet(
        "mj-0013", words='"invalid@123.4" is an invalid email address.')["Messages"][0]]}, "7",
     [("invalid@123.4", RejectReason.INVALID)]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "status", "body", "message_id", "refused"), PARTLY)
def test_what_was_taken_for_some_recipients_was_taken(
    kind: str,
    status: int,
    body: Any,
    message_id: str | None,
    refused: list[tuple[str | None, RejectReason | None]],
) -> None:
    """A refusal of somebody whom the answer does not name is told too; and who is named as taken."""
    adapter = provider(kind)
    fields = {"x-message-id": message_id} if message_id else {}
    response = Response(status, fields, json.dumps(body).encode())
    assert adapter.judge(response) is None
    result = adapter.parse(response)
    assert result.provider_message_id == message_id
    events = [found.event for found in result.events]
    assert {event.provider_message_id for event in events} == {message_id}
    told = [e for e in events if e.type is EventType.REJECTED]
    assert [(e.recipient, e.reject_reason) for e in told] == (refused or [(None, None)])
    assert [e.partly for e in told] == [address is None for address, _ in refused or [(None, None)]]
    taken = [e.recipient for e in events if e.type is EventType.SENT]
    names_the_taken = kind == "mailjet" and any(e.partly for e in told)
    assert taken == ([("a@b.example" if message_id else "ada@example.com")] if names_the_taken else [])
    if kind == "mailersend":
        assert {e.listed for e in told if e.recipient} <= {True}


@pytest.mark.parametrize(
    ("kind", "status", "headers", "body", "seconds"),
    [
        ("brevo", 429, {"x-sib-ratelimit-reset": "34"}, {}, 34),
        ("brevo", 429, {}, {}, None),
        ("brevo", 429, {"retry-after": "2.5"}, {}, 2.5),
        ("brevo", 429, {"x-sib-ratelimit-reset": "1796000000"}, {}, None),  # a time, and no number of seconds
        ("sparkpost", 420, {}, sparkpost("2101"), 3600),
        ("sparkpost", 420, {}, sparkpost("2102"), 86_400),
        ("sparkpost", 429, {}, sparkpost(None), None),
        ("mailjet", 429, {"retry-after": "12"}, {}, 12),
        ("mailersend", 429, {"retry-after": "9"}, mailersend("#MS42903"), 9),
        (
            "mailersend",
            429,
            {
                "date": "Mon, 23 Nov 2026 23:59:00 GMT",
                "x-apiquota-remaining": "0",
                "x-apiquota-reset": "2026-11-24T00:00:00Z",
            },
            mailersend("#MS42901"),
            60,
        ),
        ("mailersend", 429, {"x-apiquota-remaining": "5"}, mailersend("#MS42901"), 3600),
        ("mailtrap", 429, {"retry-after": "3"}, mailtrap("x"), 3),
    ],
)
def test_how_long_to_wait_is_read_where_it_is_told(
    kind: str, status: int, headers: dict[str, str], body: Any, seconds: float | None
) -> None:
    error = provider(kind).judge(Response(status, headers, json.dumps(body).encode()))
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds
