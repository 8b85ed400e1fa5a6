"""Resend's form of an email, its errors, and its key for what is done again."""

from __future__ import annotations

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from domain.checkup import SenderIdentity
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
from domain.message import Address, Attachment, Disposition, Submission, Tracking
from domain.ports import Letter
from providers.calls import BatchProvider
from providers.exchange import Request, Response
from tests.contract.adapters import adapter, composed, judged, payload
from tests.contract.emails import a_rich_email_for, an_email, new_id
from tests.contract.recorded import CONTRACTS

SPEC = CONTRACTS / "specs" / "resend.json"


def test_the_attempts_id_is_the_idempotency_key() -> None:
    attempt = new_id()
    request = adapter("resend").compose(an_email(), attempt)
    assert request.headers["Idempotency-Key"] == str(attempt)
    assert adapter("resend").compose(an_email(), attempt).headers["Idempotency-Key"] == str(attempt)


def test_what_is_made_again_for_one_attempt_has_the_same_bytes() -> None:
    """Or Resend would refuse it as another email under the same key."""
    submission, attempt = a_rich_email_for("resend"), new_id()
    first = adapter("resend").compose(submission, attempt)
    assert adapter("resend").compose(submission, attempt).body == first.body


def test_what_was_not_asked_for_is_not_mentioned() -> None:
    assert set(payload("resend", an_email())) == {"from", "to", "subject", "text", "tags"}


def test_metadata_and_tags_travel_or_the_email_goes_elsewhere() -> None:
    def tags(**email: Any) -> dict[str, str]:
        ours = {"mailmux_attempt", "mailmux_email"}
        found = payload("resend", an_email(**email), tag_name="campaign")["tags"]
        return {t["name"]: t["value"] for t in found if t["name"] not in ours}

    assert tags(metadata={"order": "17"}, tags=("spring",)) == {"order": "17", "campaign": "spring"}
    several = tuple(f"t{n}" for n in range(1, 13))
    assert list(tags(tags=several).items())[::11] == [("campaign", "t1"), ("campaign_12", "t12")]
    for wrong in (
        {"metadata": {"order": "no. 17"}},
        {"metadata": {"no. 17": "order"}},
        {"metadata": {"campaign": "x"}, "tags": ("spring",)},
        {"metadata": {"mailmux_attempt": "forged"}},
        {"tags": ("a", "första")},
    ):
        with pytest.raises(Unsupported, match=r"tag|metadata"):
            tags(**wrong)


@pytest.mark.parametrize(
    "submission",
    [
        an_email(to=(), cc=(Address("a@recipient.example"),)),
        an_email(subject=""),
        an_email(text="", html=None),
        an_email(headers=(("X-A", "1"), ("x-a", "2"))),
        an_email(attachments=(Attachment("empty.txt", "text/plain", b""),)),
        an_email(attachments=(Attachment("", "text/plain", b"x"),)),
        an_email(attachments=(Attachment("data.txt", "text/csv", b"x"),)),
        an_email(attachments=(Attachment("photo.png", "image/jpeg", b"x"),)),
        an_email(attachments=(Attachment("x.png", "image/png", b"x", Disposition.INLINE),)),
        an_email(to=tuple(Address(f"r{n}@recipient.example") for n in range(51))),
        an_email(attachments=(Attachment("big.bin", "application/octet-stream", bytes(31_000_000)),)),
        an_email(tracking=Tracking(opens=True)),
        an_email(tracking=Tracking(clicks=False)),
    ],
    ids=[
        "no-to", "no-subject", "no-body", "header-twice", "empty-file", "no-name", "csv-as-txt", "jpeg-as-png",
        "inline-without-id", "51", "40MB", "opens", "clicks",
    ],
)  # fmt: skip
def test_what_resend_cannot_express_is_refused_before_the_wire(submission: Submission) -> None:
    with pytest.raises(Unsupported):
        composed("resend", submission)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.PDF", "application/pdf"),
        ("a.xml", "application/xml"),
        ("a.xml", "text/xml; charset=utf-8"),
        ("a.js", "application/javascript"),
        ("a.jpg", "image/jpg"),
        ("README", "text/plain"),
        ("pdf", "text/plain"),
        ("a.unheard-of", "text/plain"),
        ("a.ics", "text/calendar; method=REQUEST"),
    ],
)
def test_types_that_agree_with_their_extensions_are_carried(name: str, kind: str) -> None:
    files = payload("resend", an_email(attachments=(Attachment(name, kind, b"x"),)))["attachments"]
    assert files == [{"content": "eA==", "filename": name, "content_type": kind}]


# -- errors: resend.com/docs/api-reference/errors --------------------------------------------------------------

TESTING = "You can only send testing emails to your own email address (a@b.example)."
DOCUMENTED: list[tuple[int, str, str, type[ProviderError]]] = [
    (400, "invalid_idempotency_key", "The key must be between 1-256 chars.", Rejected),
    (400, "validation_error", "We found an error with one or more fields in the request.", Rejected),
    (400, "validation_error", "API key is invalid", Misconfigured),
    (401, "missing_api_key", "Missing API key in the authorization header.", Misconfigured),
    (401, "restricted_api_key", "This API key is restricted to only send emails.", Misconfigured),
    (403, "invalid_api_key", "API key is invalid.", Misconfigured),
    (403, "validation_error", TESTING, SenderNotVerified),
    (403, "validation_error", "The b.example domain is not verified.", SenderNotVerified),
    (404, "not_found", "The requested endpoint does not exist.", Misconfigured),
    (405, "method_not_allowed", "Method is not allowed for the requested path.", Misconfigured),
    (409, "invalid_idempotent_request", "Same key used with a different request payload.", OutcomeUnknown),
    (409, "concurrent_idempotent_requests", "Same key used while the first is in progress.", OutcomeUnknown),
    (422, "invalid_attachment", "Attachment must have either a `content` or `path`.", Rejected),
    (422, "invalid_from_address", "Invalid `from` field.", Rejected),
    (422, "invalid_access", "Access must be full_access or sending_access.", Rejected),
    (422, "invalid_parameter", "The parameter must be a valid UUID.", Rejected),
    (422, "invalid_region", "Region must be one of …", Rejected),
    (422, "missing_required_field", "Missing `to` field.", Rejected),
    (429, "rate_limit_exceeded", "Too many requests.", RateLimited),
    (429, "daily_quota_exceeded", "You have reached your daily email sending quota.", RateLimited),
    (429, "monthly_quota_exceeded", "You have reached your monthly email sending quota.", RateLimited),
    (451, "security_error", "We may have found a security issue with the request.", Rejected),
    (500, "application_error", "An unexpected error occurred.", OutcomeUnknown),
    (500, "internal_server_error", "An unexpected error occurred.", OutcomeUnknown),
    (503, "service_unavailable", "", ProviderUnavailable),
    (413, "validation_error", "too large", Unsupported),
]


@pytest.mark.parametrize(("status", "name", "message", "meaning"), DOCUMENTED)
def test_every_documented_error_has_its_place(
    status: int, name: str, message: str, meaning: type[ProviderError]
) -> None:
    error = judged("resend", status, {"statusCode": status, "name": name, "message": message})
    assert type(error) is meaning
    assert name in error.detail


@pytest.mark.parametrize(
    ("name", "headers", "seconds"),
    [
        ("rate_limit_exceeded", {"retry_after": "2"}, 2),
        ("rate_limit_exceeded", {"ratelimit_reset": "1"}, 1),
        ("rate_limit_exceeded", {"ratelimit_reset": "soon"}, None),
        ("rate_limit_exceeded", {}, None),
        ("daily_quota_exceeded", {}, 3600),
        ("daily_quota_exceeded", {"retry_after": "600"}, 600),
        ("monthly_quota_exceeded", {"retry_after": "1"}, 86_400),
    ],
)
def test_a_spent_quota_is_not_asked_again_at_once(
    name: str, headers: dict[str, str], seconds: float | None
) -> None:
    error = judged("resend", 429, {"statusCode": 429, "name": name, "message": "m"}, **headers)
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{}", b'{"id":null}', b'{"id":""}', b'{"id":5}', b"<html>"]
)
def test_a_success_without_an_id_is_a_doubt(body: bytes) -> None:
    with pytest.raises((ValueError, TypeError, LookupError)):
        adapter("resend").parse(Response(200, {}, body))


# -- what the account tells ----------------------------------------------------------------------------------


def test_the_check_tells_the_domains() -> None:
    body = {"data": [{"name": "a.example", "status": "verified"}, {"name": "b.example", "status": "pending"}]}
    told = adapter("resend").recognise(Response(200, {}, json.dumps(body).encode()))
    assert told.identities == (SenderIdentity("a.example", True), SenderIdentity("b.example", False))
    with pytest.raises(ValueError, match="Expecting value"):  # which a check calls Misconfigured
        adapter("resend").recognise(Response(200, {}, b"<html>"))


def test_a_key_that_may_only_send_is_a_good_key() -> None:
    restricted = {
        "statusCode": 401,
        "name": "restricted_api_key",
        "message": "restricted to only send emails",
    }
    assert adapter("resend").may_only_send(Response(401, {}, json.dumps(restricted).encode()))
    assert not adapter("resend").may_only_send(Response(403, {}, b'{"name":"invalid_api_key"}'))


# -- the official document -----------------------------------------------------------------------------------

# Known faults: it types an attachment's `content` as `format: binary`, though JSON carries base64.


@pytest.mark.skipif(not SPEC.exists(), reason=f"no official document in {CONTRACTS}")
def test_a_call_with_several_emails_is_valid_by_the_official_document() -> None:
    document = json.loads(SPEC.read_text())
    operation = document["paths"]["/emails/batch"]["post"]
    content = operation["requestBody"]["content"]["application/json"]["schema"]
    provider = adapter("resend")
    assert isinstance(provider, BatchProvider)
    (call,) = provider.pack([Letter(an_email(tags=("a",)), new_id()) for _ in range(3)], 50)
    assert isinstance(call.request, Request)
    schema = {**content, "components": document["components"]}
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    assert [e.message for e in validator.iter_errors(json.loads(call.request.body))] == []
    known = {p["name"].lower() for p in operation.get("parameters", [])}
    ours = {name.lower() for name in call.request.headers} - {"authorization", "accept", "content-type"}
    assert ours <= known | {"idempotency-key", "x-batch-validation"}


@pytest.mark.skipif(not SPEC.exists(), reason=f"no official document in {CONTRACTS}")
@pytest.mark.parametrize(
    "submission",
    [
        an_email(),
        a_rich_email_for("resend"),
        an_email(html="<p>x</p>", text=None, tags=("a",), metadata={"a": "b"}),
        an_email(attachments=(Attachment("x.png", "image/png", b"1", Disposition.INLINE, "x"),)),
    ],
    ids=["plain", "rich", "html", "inline"],
)
def test_a_request_is_valid_by_the_official_document(submission: Submission) -> None:
    document = json.loads(SPEC.read_text())
    schema = {"$ref": "#/components/schemas/SendEmailRequest", "components": document["components"]}
    body = payload("resend", submission)
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    assert [e.message for e in validator.iter_errors(body)] == []
    schemas = document["components"]["schemas"]
    assert set(body) <= set(schemas["SendEmailRequest"]["properties"])
    for name, parts in (("Attachment", body.get("attachments", [])), ("Tag", body["tags"])):
        assert all(set(part) <= set(schemas[name]["properties"]) for part in parts)
