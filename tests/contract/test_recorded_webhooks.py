"""Recorded webhooks come out as another library has normalised them, and are taken or refused as they were.

Each difference is one that is meant: `differences.py`, and docs/reference/providers-differences.md with the reasons.
"""

from __future__ import annotations

import hmac
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from domain.events import EventType, Forged, InboundEvent, Unreadable, WebhookRequest
from domain.ports import WebhookReceiver
from providers import registry
from providers.sendgrid import WebhookSecret as SendGridSecret
from tests.contract.adapters import CREDENTIALS
from tests.contract.differences import bounce_told, counts_differ, is_meant
from tests.contract.emails import a_world
from tests.contract.recorded import CONTRACTS, compared, differences, expected, load, request_of, samples

FOLDERS = {kind: "amazon_ses" if kind == "ses" else kind for kind in CREDENTIALS}
SAMPLES = [(kind, path) for kind, folder in FOLDERS.items() for path in samples(folder)]
by_sample = pytest.mark.parametrize(("kind", "path"), SAMPLES, ids=lambda p: getattr(p, "stem", p))
pytestmark = pytest.mark.skipif(not SAMPLES, reason=f"no recorded webhooks in {CONTRACTS}")
TOPIC = "arn:aws:sns:us-west-2:123456789012:SES_Notifications"


# -- the receiver, set up as it was there --------------------------------------------------------------------


def settings_of(sample: Mapping[str, Any]) -> dict[str, Any]:
    settings = {**sample["settings"], **sample["settings"].get("ANYMAIL", {})}
    return {name.removeprefix("ANYMAIL_"): value for name, value in settings.items()}


def secrets_of(kind: str, sample: Mapping[str, Any]) -> list[dict[str, str]]:
    """What proves a call: the provider's own signature where it has one, and the users that are allowed elsewhere."""
    settings = settings_of(sample)
    match kind:
        case "ses":
            return [{"topic_arn": TOPIC}]
        case "mailgun":
            signing = settings.get("MAILGUN_WEBHOOK_SIGNING_KEY", settings.get("MAILGUN_API_KEY"))
            return [{"signing_key": signing}] if signing else []
        case "resend":
            signing = settings.get("RESEND_SIGNING_SECRET")
            return [{"signing_secret": signing}] if signing else []
    given = sample["headers"].get("Authorization", "").removeprefix("Basic ")
    known = [b64decode(given).decode()] if given else []  # who is allowed is not always recorded
    allowed = settings.get("WEBHOOK_SECRET", known)
    users = [allowed] if isinstance(allowed, str) else list(allowed)
    basic = [dict(zip(("username", "password"), user.split(":", 1), strict=True)) for user in users]
    name, setting = {
        "sendgrid": ("verification_key", "SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY"),
        "mailersend": ("signing_secret", "MAILERSEND_SIGNING_SECRET"),
    }.get(kind, ("", ""))
    if setting not in settings:
        return basic
    key = {name: str(settings[setting])}
    return [{**b, **key} for b in basic] or [key]


def receiver(kind: str, sample: Mapping[str, Any]) -> WebhookReceiver:
    initial = settings_of(sample).get("SPARKPOST_TRACK_INITIAL_OPEN_AS_OPENED") is True
    config, _ = registry.validate(kind, {"initial_opens": True} if initial else {}, CREDENTIALS[kind])
    built = registry.receiver(kind, f"the-{kind}", config, secrets_of(kind, sample), a_world())
    assert built is not None
    return built


def item_of(kind: str, found: InboundEvent) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(found.raw)
    return dict(json.loads(raw["Message"])) if kind == "ses" else raw


# -- what a call says ----------------------------------------------------------------------------------------


@by_sample
def test_a_recorded_call_says_what_it_was_found_to_say(kind: str, path: Path) -> None:
    sample = load(path)
    if sample.get("response_status") != 200:
        pytest.skip("a call that is not taken")
    found, theirs = receiver(kind, sample).parse(request_of(sample)).events, expected(sample)
    assert len({event.key for event in found}) == len(found)
    assert found or not theirs
    if len(found) != len(theirs):
        assert all(counts_differ(kind, item_of(kind, event)) for event in found)
    for event, other in zip(found, theirs, strict=False):
        item = item_of(kind, event)
        for field, (ours, its) in differences(compared(event.event), other).items():
            assert is_meant(kind, field, ours, its, item), (field, ours, its)
    for event in found:
        if event.event.type is not EventType.BOUNCED:
            assert event.event.bounce is None
        elif (told := bounce_told(kind, item_of(kind, event))) is not None:
            assert event.event.bounce == told


# -- who is believed -----------------------------------------------------------------------------------------


def signed_at(kind: str, request: WebhookRequest, sample: Mapping[str, Any]) -> datetime:
    """The moment of the call: Mailgun's samples were signed years before they were recorded."""
    stamps = re.findall(rb'timestamp"[^0-9]+([0-9]{10})\b(?!\.)', request.body) if kind == "mailgun" else ()
    return datetime.fromtimestamp(int(stamps[-1]), UTC) if stamps else datetime.fromisoformat(sample["now"])


def is_proved(kind: str, request: WebhookRequest, sample: Mapping[str, Any]) -> bool:
    """Whether it is to be taken: as it was there, but for what that library proves by basic authentication where the
    provider signs.
    """
    settings = settings_of(sample)
    match kind:
        case "ses":
            return False  # its samples are not signed
        case "resend" if "RESEND_SIGNING_SECRET" in settings:
            key = b64decode(settings["RESEND_SIGNING_SECRET"].removeprefix("whsec_"))
            told = ".".join(
                request.headers.get(f"svix-{name}", "").partition(".")[0] for name in ("id", "timestamp")
            )
            wanted = b64encode(hmac.digest(key, told.encode() + b"." + request.body, "sha256")).decode()
            return f"v1,{wanted}" in request.headers.get("svix-signature", "").split()
        case "resend":
            return False
        case "mailgun" if b'"signature"' in request.body and secrets_of(kind, sample):
            signature = json.loads(request.body)["signature"] if request.body[:1] == b"{" else None
            if signature is not None:
                key = secrets_of(kind, sample)[0]["signing_key"].encode()
                signed = f"{signature['timestamp']}{signature['token']}".encode()
                return bool(signature["signature"] == hmac.digest(key, signed, "sha256").hex())
        case "sendgrid" if request.headers.get("x-twilio-email-event-webhook-timestamp") == "data timestamp":
            return False  # signed, and no time: it could be sent again for ever
    return bool(sample.get("response_status") == 200)


@by_sample
def test_a_recorded_call_is_taken_or_refused_as_it_was(kind: str, path: Path) -> None:
    sample = load(path)
    request = request_of(sample)
    if (
        sample.get("response_status") is None
    ):  # that library's own complaint, mostly of a webhook for something else
        try:
            found = receiver(kind, sample).parse(request).events
        except (Unreadable, registry.InvalidSettings):
            return
        assert all(event.event.type.value == "unknown" for event in found) or not secrets_of(kind, sample)
        return
    webhook, moment = receiver(kind, sample), signed_at(kind, request, sample)
    if is_proved(kind, request, sample):
        webhook.verify(request, moment)
    else:
        with pytest.raises(Forged):
            webhook.verify(request, moment)


def test_enough_of_the_recorded_calls_are_taken() -> None:
    for kind in CREDENTIALS:
        mine = [load(path) for k, path in SAMPLES if k == kind and kind != "ses"]
        assert sum(is_proved(kind, request_of(s), s) for s in mine) >= len(mine) // 3, kind


def test_a_subscription_is_confirmed_at_the_address_that_amazon_gave() -> None:
    found = [load(path) for kind, path in SAMPLES if kind == "ses"]
    asked = [sample for sample in found if '"SubscriptionConfirmation"' in sample["body"]]
    if not asked:
        pytest.skip("not among the samples here")
    for sample in asked:
        notice = receiver("ses", sample).parse(request_of(sample))
        assert notice.confirm == json.loads(sample["body"])["SubscribeURL"]


def test_the_recorded_keys_are_keys() -> None:
    keys = [s for kind, path in SAMPLES if kind == "sendgrid" for s in secrets_of(kind, load(path))]
    for key in keys:
        SendGridSecret.model_validate(key)
