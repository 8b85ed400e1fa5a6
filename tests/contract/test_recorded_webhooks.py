"""Recorded webhooks of Amazon SES, Mailgun and Resend come out as another library has normalised them.

Each difference is one that is meant; docs/reference/providers-differences.md lists them with their reasons.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from domain.events import Forged, Notice, WebhookRequest
from domain.ports import WebhookReceiver
from providers import registry
from tests.contract.emails import a_world
from tests.contract.recorded import CONTRACTS, compared, differences, expected, load, request_of, samples

KINDS = {"amazon_ses": "ses", "mailgun": "mailgun", "resend": "resend"}
SAMPLES = [(provider, path) for provider in KINDS for path in samples(provider)]
CREDENTIALS = {
    "ses": {"access_key_id": "a", "secret_access_key": "b"},
    "mailgun": {"api_key": "k"},
    "resend": {"api_key": "k"},
}
# What that library proves by basic authentication is proved by the provider's own signature here.
BY_BASIC_AUTHENTICATION = {
    "test_verifies_bad_auth",
    "test_verifies_missing_auth",
    "test_supports_credential_rotation.3",
}
# It verifies neither SNS's signature nor the age of Mailgun's.
NEVER_SIGNED = "amazon_ses"

pytestmark = pytest.mark.skipif(not SAMPLES, reason=f"no recorded webhooks in {CONTRACTS}")


def receiver(kind: str, secret: dict[str, str]) -> WebhookReceiver:
    config, _ = registry.validate(kind, {}, CREDENTIALS[kind])
    built = registry.receiver(kind, f"the-{kind}", config, [secret], a_world())
    assert built is not None
    return built


def secret_of(kind: str, sample: dict[str, Any]) -> dict[str, str]:
    settings = {**sample["settings"], **sample["settings"].get("ANYMAIL", {})}
    match kind:
        case "mailgun":
            keys = ("ANYMAIL_MAILGUN_WEBHOOK_SIGNING_KEY", "ANYMAIL_MAILGUN_API_KEY")
            return {"signing_key": next((settings[k] for k in keys if k in settings), "none-is-set")}
        case "resend":
            return {"signing_secret": settings.get("ANYMAIL_RESEND_SIGNING_SECRET", "whsec_bm9uZQ==")}
    return {"topic_arn": "arn:aws:sns:us-west-2:123456789012:SES_Notifications"}


def signed_at(kind: str, request: WebhookRequest, sample: dict[str, Any]) -> datetime:
    """The moment of the call: Mailgun's samples were signed years before they were recorded."""
    if kind == "mailgun":
        import re

        stamps = re.findall(rb'timestamp"[^0-9]+([0-9]{10})\b(?!\.)', request.body)
        return datetime.fromtimestamp(int(stamps[-1]), UTC)
    return datetime.fromisoformat(sample["now"])


def meant(field: str, mine: Any, theirs: Any) -> bool:
    """Whether a difference is in the list: an event's own id before the token, and no text that is empty."""
    if field == "event_id":
        return bool(mine) and mine != theirs
    return field in ("description", "mta_response") and mine is None and theirs == ""


@pytest.mark.parametrize(("provider", "path"), SAMPLES, ids=lambda p: getattr(p, "stem", p))
def test_a_recorded_call_says_what_it_was_found_to_say(provider: str, path: Path) -> None:
    sample, kind = load(path), KINDS[provider]
    if not (sample.get("response_status") == 200 or "test_incorrect_received" in path.stem):
        pytest.skip("a call that is not taken")
    notice = receiver(kind, secret_of(kind, sample)).parse(request_of(sample))
    assert isinstance(notice, Notice)
    mine, theirs = [compared(e.event) for e in notice.events], expected(sample)
    assert len(mine) == len(theirs)
    assert len({e.key for e in notice.events}) == len(mine)
    for one, other in zip(mine, theirs, strict=True):
        for field, (ours, its) in differences(one, other).items():
            assert meant(field, ours, its), (field, ours, its)


@pytest.mark.parametrize(
    ("provider", "path"), [s for s in SAMPLES if s[0] != NEVER_SIGNED], ids=lambda p: getattr(p, "stem", p)
)
def test_a_recorded_call_is_taken_or_refused_as_it_was(provider: str, path: Path) -> None:
    sample, kind = load(path), KINDS[provider]
    request = request_of(sample)
    name = path.stem.split(".", 1)[1]
    webhook = receiver(kind, secret_of(kind, sample))
    taken = sample.get("response_status") == 200 or name in BY_BASIC_AUTHENTICATION
    if name == "test_basic_auth_required_without_secret":
        taken = False  # it has no secret: then nothing proves a call, whatever its password
    if taken:
        webhook.verify(request, signed_at(kind, request, sample))
    else:
        with pytest.raises(Forged):
            webhook.verify(request, signed_at(kind, request, sample))


def test_an_unsigned_call_of_sns_is_never_taken() -> None:
    for _, path in (s for s in SAMPLES if s[0] == NEVER_SIGNED):
        sample = load(path)
        with pytest.raises(Forged):
            receiver("ses", secret_of("ses", sample)).verify(
                request_of(sample), datetime.fromisoformat(sample["now"])
            )


def test_a_subscription_is_confirmed_at_the_address_that_amazon_gave() -> None:
    path = next(p for _, p in SAMPLES if "auto_confirmation" in p.stem)
    notice = receiver("ses", secret_of("ses", load(path))).parse(request_of(load(path)))
    assert notice.confirm == "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=..."
