"""Recorded answers mean what the providers' documents say of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from domain.attempt import SendResult
from domain.errors import (
    Misconfigured,
    NotAccepted,
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    SenderNotVerified,
    Unsupported,
)
from providers.exchange import Response
from tests.contract.recorded import CONTRACTS, load
from tests.contract.test_recorded_requests import ALL, adapter

_BY_STATUS: dict[int, tuple[type[ProviderError], ...]] = {
    400: (Rejected, Unsupported, SenderNotVerified, Misconfigured),
    401: (Misconfigured, SenderNotVerified),
    402: (Misconfigured,),
    403: (Misconfigured, SenderNotVerified),
    404: (Misconfigured, SenderNotVerified),
    405: (Misconfigured,),
    406: (Misconfigured, Rejected),
    409: (OutcomeUnknown,),
    413: (Unsupported,),
    420: (RateLimited, SenderNotVerified),
    422: (Rejected, Unsupported, SenderNotVerified, Misconfigured, ProviderUnavailable),
    429: (RateLimited,),
    503: (ProviderUnavailable,),
}
ANSWERS = [
    (kind, f"{path.stem}.{n}", exchange["response"], exchange["request"])
    for kind, path in ALL
    for n, exchange in enumerate(load(path)["http"])
    if exchange.get("response", {}).get("status") and exchange.get("request")
]
pytestmark = pytest.mark.skipif(not ANSWERS, reason=f"no recorded answers in {CONTRACTS}")


def outcome(kind: str, status: int, headers: dict[str, str], body: str) -> ProviderError | SendResult:
    """What `send` makes of an answer."""
    provider = adapter(kind)
    response = Response(status, {n.lower(): v for n, v in headers.items()}, body.encode())
    if (error := provider.judge(response)) is not None:
        return error
    try:
        return provider.parse(response)
    except ProviderError as failure:
        return failure
    except (ValueError, TypeError, LookupError) as unreadable:
        return OutcomeUnknown(kind, str(unreadable))


def _object(body: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def wanted(kind: str, status: int, body: str) -> tuple[type[ProviderError], ...]:
    """By the provider's document; none: taken."""
    told = _object(body)
    if kind == "mailjet" and any(m.get("Status") == "success" for m in told.get("Messages", [])):
        failed = any("Errors" in m for m in told["Messages"])  # of some recipients: the others have it
        return () if status < 400 or (failed and status < 500) else (OutcomeUnknown,)
    if kind == "brevo" and told.get("code") == "duplicate_parameter":
        return ()
    if status >= 400:
        return _BY_STATUS.get(status, (OutcomeUnknown,) if status >= 500 else (NotAccepted,))
    doubt = (OutcomeUnknown,)
    match kind:
        case "brevo":
            return () if "messageId" in told else doubt
        case "mailersend" if body:
            kinds = {w["type"] for w in told["warnings"]} if "warnings" in told else {""}
            some = "SOME_SUPPRESSED" in kinds
            return (Rejected,) if "ALL_SUPPRESSED" in kinds else () if some else doubt
        case "mailgun" if "Magnificent" in body:
            return (Misconfigured,)
        case "mailgun" | "resend":
            return () if told.get("id") else doubt
        case "mailtrap":
            done = told.get("success") is True and told.get("message_ids") and not told.get("errors")
            return () if done else doubt
        case "postmark" if told.get("ErrorCode"):
            return (NotAccepted,)
        case "postmark":
            return () if told.get("MessageID") else doubt
        case "sparkpost":
            results = told.get("results", {})
            taken, refused = (results.get(f"total_{k}_recipients", 0) for k in ("accepted", "rejected"))
            if refused and not taken:
                return (Rejected,)
            return () if taken else doubt
        case "mailjet":
            return doubt
        case "sendgrid" if body.strip() and not told:
            return doubt
    return ()


@pytest.mark.parametrize(
    ("kind", "name", "answer", "request_"), ANSWERS, ids=[f"{a[0]}-{a[1]}" for a in ANSWERS]
)
def test_a_recorded_answer_means_what_it_says(
    kind: str, name: str, answer: dict[str, Any], request_: dict[str, Any]
) -> None:
    told = request_.get("json") or {}
    several = isinstance(told, list) or any(len(told.get(n, [0])) > 1 for n in ("requests", "Messages"))
    if (
        several
        or any(word in request_["url"] for word in ("bulk", "batch"))
        or "messageIds" in answer["body"]
    ):
        pytest.skip("the answer to several emails")
    found = outcome(kind, answer["status"], answer["headers"], answer["body"])
    meanings = wanted(kind, answer["status"], answer["body"])
    if answer["status"] == 400 and answer["headers"].get("Content-Type", "").startswith("text/html"):
        meanings = (ProviderUnavailable,)  # a page of something before the provider
    if meanings:
        assert isinstance(found, meanings), name
    else:
        assert isinstance(found, SendResult), name
        known = found.provider_message_id
        assert known is None or known in answer["body"].replace("\\", "") + json.dumps(answer["headers"])
