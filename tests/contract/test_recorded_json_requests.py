"""Recorded requests for Brevo, SparkPost, Mailjet, MailerSend and Mailtrap come out as another library has made them.

What differs is meant, and listed with its reason in docs/reference/providers-differences.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from domain.attempt import SendResult
from domain.errors import (
    NotAccepted,
    OutcomeUnknown,
    ProviderError,
    RateLimited,
    Rejected,
    Unsupported,
)
from providers import registry
from providers.base import HTTPProvider
from providers.exchange import Response
from tests.contract.emails import a_world, new_id
from tests.contract.recorded import CONTRACTS, is_ours, load, submission_of

CREDENTIALS = {
    "brevo": {"api_key": "test_api_key"},
    "mailersend": {"api_token": "test_api_token"},
    "mailjet": {"api_key": "API KEY HERE", "secret_key": "SECRET KEY HERE"},
    "mailtrap": {"api_token": "test_api_token"},
    "sparkpost": {"api_key": "test_api_key"},
}
ADDRESSES = {
    "brevo": "https://api.brevo.com/v3/smtp/email",
    "mailersend": "https://api.mailersend.com/v1/email",
    "mailjet": "https://api.mailjet.com/v3.1/send",
    "mailtrap": "https://send.api.mailtrap.io/api/send",
    "sparkpost": "https://api.sparkpost.com/api/v1/transmissions",
}
ALL = [
    (kind, path) for kind in CREDENTIALS for path in sorted((CONTRACTS / "requests" / kind).glob("*.json"))
]
pytestmark = pytest.mark.skipif(not ALL, reason=f"no recorded requests in {CONTRACTS}")
by_sample = pytest.mark.parametrize(("kind", "path"), ALL, ids=lambda p: getattr(p, "stem", p))


def provider(kind: str) -> HTTPProvider:
    config = {"custom_headers": True} if kind == "mailersend" else {}
    keys = {name: key.replace(" ", "-") for name, key in CREDENTIALS[kind].items()}
    valid = registry.validate(kind, config, keys)
    return cast(HTTPProvider, registry.build(kind, f"the-{kind}", *valid, a_world()))


def theirs_is_dropped(kind: str, message: dict[str, Any]) -> bool:
    """What the other library was told to leave out in silence (or does so by itself) is refused here."""
    several = len(message.get("reply_to", [])) > 1 and kind in ("brevo", "mailjet", "mailersend")
    addresses = [
        message["from_email"],
        *message.get("to", []),
        *message.get("cc", []),
        *message.get("reply_to", []),
    ]
    beyond = any(not a.rpartition("@")[0].rpartition("<")[2].isascii() for a in addresses)
    tags = len(message.get("tags", [])) > 1 and kind in ("mailjet", "mailtrap", "sparkpost")
    unlisted = kind == "brevo" and any(
        not str(a.get("filename")).endswith((".pdf", ".png", ".txt")) for a in message.get("attachments", [])
    )
    # What neither of these two takes a type for, and the extension says otherwise.
    mistyped = kind == "mailersend" and any(
        a["filename"].endswith(".img") for a in message.get("attachments", [])
    )
    empty = not message["body"] and not message.get("alternatives")
    return several or beyond or tags or unlisted or mistyped or empty or not message["subject"]


def canonical(kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Without what each side adds for itself."""

    def without_ours(found: dict[str, Any]) -> dict[str, str]:
        return {
            k: str(v) for k, v in found.items() if k not in ("mailmux_attempt", "mailmux_email", "anymail_id")
        }

    payload = json.loads(json.dumps(payload))
    match kind:
        case "brevo":
            headers = payload.pop("headers", {})
            headers.pop("idempotencyKey", None)
            custom = without_ours(json.loads(headers.pop("X-Mailin-custom", "{}")))
            payload |= {"custom": custom, "headers": headers}
        case "sparkpost":
            options = payload.pop("options", {})
            options.pop("transactional", None)
            payload |= {"metadata": without_ours(payload.pop("metadata", {})), "options": options}
        case "mailjet":
            (message,) = payload["Messages"]
            payload = {**payload.get("Globals", {}), **message}
            payload.pop("CustomID", None)
            payload["EventPayload"] = without_ours(json.loads(payload.get("EventPayload", "{}")))
        case "mailersend":
            payload["tags"] = [t for t in payload.get("tags", []) if not t.startswith("mailmux_")]
        case "mailtrap":
            payload["custom_variables"] = without_ours(payload.get("custom_variables", {}))
    return payload


def comparable(kind: str, path: Path) -> dict[str, Any] | None:
    sample = load(path)
    if (
        not sample["http"]
        or not is_ours(sample["message"])
        or "json" not in (sample["http"][0].get("request") or {})
    ):
        return None
    return None if theirs_is_dropped(kind, sample["message"]) else sample


@by_sample
def test_a_request_equals_the_recorded_one(kind: str, path: Path) -> None:
    sample = comparable(kind, path)
    if sample is None:
        pytest.skip("no email that is sent here")
    request = sample["http"][0]["request"]
    made = provider(kind).compose(submission_of(sample["message"]), new_id())
    assert canonical(kind, json.loads(made.body)) == canonical(kind, request["json"])
    if request["url"].rstrip("/") != ADDRESSES[kind]:
        return  # sent somewhere else, with other credentials, to show that it can be
    assert ADDRESSES[kind].endswith(made.path)
    headers = {n.lower(): v for n, v in request["headers"].items()}
    for name in ("authorization", "api-key"):
        if name in headers and kind != "mailjet":  # whose recorded key holds blanks
            assert {n.lower(): v for n, v in made.headers.items()}[name] == headers[name]


def test_enough_of_the_recorded_requests_are_compared() -> None:
    for kind in CREDENTIALS:
        mine = [path for k, path in ALL if k == kind]
        assert sum(comparable(kind, path) is not None for path in mine) >= len(mine) // 3, kind


@by_sample
def test_what_was_left_out_or_refused_there_is_refused_here(kind: str, path: Path) -> None:
    sample = load(path)
    message = sample["message"]
    refused = (sample.get("exception") or {}).get("type") == "AnymailUnsupportedFeature" and not sample[
        "http"
    ]
    # Metadata are ours to keep: a provider without a place for them still carries the email.
    kept = refused and "metadata" in message
    if not is_ours(message) or kept or not (refused or theirs_is_dropped(kind, message)):
        pytest.skip("an email that is sent")
    if "from_email" in message and message["from_email"].count("@") > 1:
        pytest.skip("an email from two people, which our API has no place for")
    with pytest.raises((Unsupported, Rejected)):
        provider(kind).compose(submission_of(message), new_id())


def outcome(kind: str, status: int, headers: dict[str, str], body: str) -> type[ProviderError] | SendResult:
    """What `send` makes of an answer."""
    adapter = provider(kind)
    response = Response(status, {n.lower(): v for n, v in headers.items()}, body.encode())
    if (error := adapter.judge(response)) is not None:
        return type(error)
    try:
        return adapter.parse(response)
    except ProviderError as failure:
        return type(failure)
    except (ValueError, TypeError, LookupError):
        return OutcomeUnknown


def _object(body: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def wanted(kind: str, status: int, body: str) -> type[ProviderError] | None:
    """By the provider's document; None: taken."""
    told = _object(body)
    if status >= 500:
        return OutcomeUnknown
    if status == 429:
        return RateLimited
    if kind == "mailjet" and any(m.get("Status") == "success" for m in told.get("Messages", [])):
        return OutcomeUnknown if status >= 400 or any("Errors" in m for m in told["Messages"]) else None
    if status >= 400:
        return NotAccepted
    match kind:
        case "sparkpost":
            results = told.get("results", {})
            taken, refused = (results.get(f"total_{k}_recipients", 0) for k in ("accepted", "rejected"))
            return (
                (Rejected if not taken else OutcomeUnknown) if refused else None if taken else OutcomeUnknown
            )
        case "mailersend" if body:
            kinds = {w["type"] for w in told["warnings"]} if "warnings" in told else {""}
            return Rejected if "ALL_SUPPRESSED" in kinds else OutcomeUnknown
        case "mailersend":
            return None
        case "mailtrap":
            return (
                None
                if told.get("success") is True and told.get("message_ids") and not told.get("errors")
                else OutcomeUnknown
            )
        case "brevo":
            return None if "messageId" in told else OutcomeUnknown
    return OutcomeUnknown


ANSWERS = [
    (kind, f"{path.stem}.{n}", exchange["response"], exchange["request"])
    for kind, path in ALL
    for n, exchange in enumerate(load(path)["http"])
    if exchange.get("response", {}).get("status")
]


@pytest.mark.parametrize(("kind", "name", "answer", "request_"), ANSWERS, ids=[a[1] for a in ANSWERS])
def test_a_recorded_answer_means_what_it_says(
    kind: str, name: str, answer: dict[str, Any], request_: dict[str, Any]
) -> None:
    several = (
        len(request_.get("json", {}).get("requests", [0])) > 1
        or len(request_.get("json", {}).get("Messages", [0])) > 1
    )
    if several or "bulk" in request_["url"] or "batch" in request_["url"] or "messageIds" in answer["body"]:
        pytest.skip("the answer to several emails")
    found = outcome(kind, answer["status"], answer["headers"], answer["body"])
    meaning = wanted(kind, answer["status"], answer["body"])
    if meaning is None:
        assert isinstance(found, SendResult), name
        known = found.provider_message_id
        assert known is None or known in answer["body"] + json.dumps(answer["headers"])
    else:
        assert isinstance(found, type), name
        assert issubclass(found, meaning), name
