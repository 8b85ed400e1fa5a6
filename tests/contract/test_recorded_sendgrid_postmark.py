"""SendGrid's and Postmark's recorded webhooks and requests come out as another library has normalised and made them.

What differs is meant, and listed with its reason in docs/reference/providers-differences.md.
"""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest

from domain.errors import OutcomeUnknown, Rejected
from domain.events import Forged
from providers import registry
from providers.base import HTTPProvider
from providers.exchange import Response
from providers.sendgrid import WebhookSecret as SendGridSecret
from tests.contract.emails import a_world, new_id
from tests.contract.recorded import (
    CONTRACTS,
    compared,
    differences,
    expected,
    is_ours,
    load,
    request_of,
    samples,
    submission_of,
)

CREDENTIALS = {"sendgrid": {"api_key": "test_api_key"}, "postmark": {"server_token": "test_server_token"}}
WEBHOOKS = [(kind, path) for kind in CREDENTIALS for path in samples(kind)]
REQUESTS = [
    (kind, path) for kind in CREDENTIALS for path in sorted((CONTRACTS / "requests" / kind).glob("*.json"))
]
pytestmark = pytest.mark.skipif(not (WEBHOOKS and REQUESTS), reason=f"no recorded contracts in {CONTRACTS}")


def secrets_of(kind: str, sample: dict[str, Any]) -> list[dict[str, str]]:
    """The receiver's settings of the sample, as ours: one secret for each user that is allowed."""
    settings = sample["settings"]["ANYMAIL"]
    key = settings.get("SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY")
    given = sample["headers"].get("Authorization", "").removeprefix("Basic ")
    allowed = settings.get(
        "WEBHOOK_SECRET", [b64decode(given).decode()] if given else []
    )  # not always recorded
    users = [allowed] if isinstance(allowed, str) else list(allowed)
    basic = [dict(zip(("username", "password"), u.split(":"), strict=True)) for u in users]
    if key is None:
        return basic
    return [{**b, "verification_key": key} for b in basic] or [{"verification_key": key}]


def receiver(kind: str, sample: dict[str, Any]) -> Any:
    config, _ = registry.validate(kind, {}, CREDENTIALS[kind])
    return registry.receiver(kind, f"the-{kind}", config, secrets_of(kind, sample), a_world())


@pytest.mark.parametrize(("kind", "path"), WEBHOOKS, ids=lambda p: getattr(p, "stem", p))
def test_a_recorded_call_says_what_it_was_found_to_say(kind: str, path: Path) -> None:
    sample = load(path)
    if sample["response_status"] != 200:
        pytest.skip("a call that is not taken")
    events = [e.event for e in receiver(kind, sample).parse(request_of(sample)).events]
    theirs = expected(sample)
    assert len(events) == len(theirs)
    for event, other in zip(events, theirs, strict=True):
        for field, (ours, its) in differences(compared(event), other).items():
            assert (kind, field) in MEANT, (field, ours, its)
            assert MEANT[kind, field](ours, its, event), (field, ours, its)


# (kind, field): whether the difference is the one that is meant.
MEANT = {
    # That library's own id travels as metadata there; ours is SendGrid's, as the send was answered.
    ("sendgrid", "message_id"): lambda _ours, its, event: its == event.metadata["anymail_id"],
    ("sendgrid", "metadata"): lambda ours, its, _event: (
        {k: v for k, v in ours.items() if k != "anymail_id"} == its
    ),
    # An empty tag or text is none.
    ("postmark", "tags"): lambda ours, its, _event: (ours, its) == ([], [""]),
    ("postmark", "description"): lambda ours, its, _event: (ours, its) == (None, ""),
}


@pytest.mark.parametrize(("kind", "path"), WEBHOOKS, ids=lambda p: getattr(p, "stem", p))
def test_a_recorded_call_is_taken_or_refused_as_it_was(kind: str, path: Path) -> None:
    sample, request = load(path), request_of(load(path))
    now = datetime.fromisoformat(sample["now"])
    signed_words = request.headers.get("x-twilio-email-event-webhook-timestamp") == "data timestamp"
    if sample["response_status"] == 200 and not signed_words:
        receiver(kind, sample).verify(request, now)
        return
    with pytest.raises(Forged) as refused:
        receiver(kind, sample).verify(request, now)
    if signed_words:  # the signature is right, and what is signed is no time: it could be replayed for ever
        assert "no time" in str(refused.value)


def test_the_recorded_keys_are_keys() -> None:
    keys = [s for kind, path in WEBHOOKS if kind == "sendgrid" for s in secrets_of(kind, load(path))]
    assert [SendGridSecret.model_validate(k) for k in keys if "verification_key" in k]


def adapter(kind: str) -> HTTPProvider:
    valid = registry.validate(kind, {}, CREDENTIALS[kind])
    return cast(HTTPProvider, registry.build(kind, f"the-{kind}", *valid, a_world()))


def sent(sample: dict[str, Any]) -> dict[str, Any] | None:
    """The recorded body, where the email is one that we could be given."""
    if not sample["http"] or not is_ours(sample["message"]):
        return None
    found: dict[str, Any] | None = (sample["http"][0].get("request") or {}).get("json")
    return found


@pytest.mark.parametrize(("kind", "path"), REQUESTS, ids=lambda p: getattr(p, "stem", p))
def test_a_request_equals_the_recorded_one(kind: str, path: Path) -> None:
    sample = load(path)
    theirs = sent(sample)
    if path.stem.endswith(("test_recipients_parse_error", "test_reply_to_invalid")):
        pytest.skip("an address that the API does not take")
    if theirs is None or (kind == "sendgrid" and not sample["message"].get("to")):
        pytest.skip("no email that is sent here so")
    made = adapter(kind).compose(submission_of(sample["message"]), new_id())
    mine = json.loads(made.body)
    if kind == "postmark":
        assert mine.pop("MessageStream") == "outbound"
        metadata = mine.pop("Metadata")
        assert {metadata.pop(name) is not None for name in ("mailmux_attempt", "mailmux_email")} == {True}
        assert metadata == {k: str(v) for k, v in theirs.pop("Metadata", {}).items()}
    else:
        args = mine["personalizations"][0].pop("custom_args")
        assert {args.pop(name) is not None for name in ("mailmux_attempt", "mailmux_email")} == {True}
        recorded = theirs["personalizations"][0].pop("custom_args", {})
        recorded.pop("anymail_id", None)
        assert args == recorded
    assert mine == theirs
    fields = sample["http"][0]["request"]["headers"]
    for name in ("X-Postmark-Server-Token", "Authorization"):
        assert made.headers.get(name) == fields.get(name)


ANSWERS = [
    (kind, path.stem, exchange["response"])
    for kind, path in REQUESTS
    for exchange in load(path)["http"]
    if exchange.get("response", {}).get("status")
]


@pytest.mark.parametrize(("kind", "name", "answer"), ANSWERS, ids=lambda a: a if isinstance(a, str) else "")
def test_a_recorded_answer_means_what_it_says(kind: str, name: str, answer: dict[str, Any]) -> None:
    provider = adapter(kind)
    headers = {n.lower(): v for n, v in answer["headers"].items()}
    response = Response(answer["status"], headers, answer["body"].encode())
    error = provider.judge(response)
    if answer["status"] >= 500:
        assert type(error) is OutcomeUnknown
    elif answer["status"] >= 400:
        assert type(error) is Rejected
    elif "yikes" in answer["body"]:
        with pytest.raises(ValueError, match="Expecting value"):
            provider.parse(response)
    elif '"ErrorCode": 451' in answer["body"] or "451" in answer["body"]:
        with pytest.raises(Rejected):
            provider.parse(response)
    elif kind == "postmark":
        assert (provider.parse(response).provider_message_id or "-") in answer["body"], name
    else:
        provider.parse(response)
