"""Recorded webhooks of Brevo, SparkPost, Mailjet, MailerSend and Mailtrap come out as another library normalises them.

Each difference is one that is meant; docs/reference/providers-differences.md lists them with their reasons.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from domain.events import Forged, Notice, Unreadable
from domain.ports import WebhookReceiver
from providers import registry
from tests.contract.emails import a_world
from tests.contract.recorded import CONTRACTS, compared, differences, expected, load, request_of, samples

CREDENTIALS = {
    "brevo": {"api_key": "k"},
    "mailersend": {"api_token": "k"},
    "mailjet": {"api_key": "k", "secret_key": "s"},
    "mailtrap": {"api_token": "k"},
    "sparkpost": {"api_key": "k"},
}
SAMPLES = [(kind, path) for kind in CREDENTIALS for path in samples(kind)]
by_sample = pytest.mark.parametrize(("kind", "path"), SAMPLES, ids=lambda p: getattr(p, "stem", p))
pytestmark = pytest.mark.skipif(not SAMPLES, reason=f"no recorded webhooks in {CONTRACTS}")


def settings_of(sample: dict[str, Any]) -> dict[str, Any]:
    settings = {**sample["settings"], **sample["settings"].get("ANYMAIL", {})}
    return {name.removeprefix("ANYMAIL_"): value for name, value in settings.items()}


def receiver(kind: str, sample: dict[str, Any]) -> WebhookReceiver:
    settings = settings_of(sample)
    initial = settings.get("SPARKPOST_TRACK_INITIAL_OPEN_AS_OPENED") is True
    config, _ = registry.validate(kind, {"initial_opens": True} if initial else {}, CREDENTIALS[kind])
    built = registry.receiver(kind, f"the-{kind}", config, secrets_of(kind, settings), a_world())
    assert built is not None
    return built


def secrets_of(kind: str, settings: dict[str, Any]) -> list[dict[str, str]]:
    pairs = settings.get("WEBHOOK_SECRET", [])
    found = []
    key = settings.get(f"{kind.upper()}_SIGNING_SECRET") or settings.get(f"{kind.upper()}_TRACKING_SECRET")
    for pair in [pairs] if isinstance(pairs, str) else pairs:
        username, _, password = pair.partition(":")
        found.append({"username": username, "password": password, **({"signing_secret": key} if key else {})})
    return found or [{"signing_secret": key}] * bool(key)


def meant(kind: str, field: str, mine: Any, theirs: Any, item: Any) -> bool:
    """Whether a difference is in the list."""
    match kind, field:
        case "brevo", "timestamp":  # an example of seconds, in a field of milliseconds
            return bool(theirs is not None and theirs.year == 1970)
        case "sparkpost", "timestamp":  # RFC 3339, as generation events have it
            return bool(theirs is None and mine is not None)
        case "mailjet" | "mailtrap", "description":  # the words of the error, which that library leaves out
            return bool(theirs is None and mine is not None)
        case "mailjet", "mta_response":
            return bool(theirs is None and mine == item.get("comment"))
        case "mailtrap", "event_type":  # decided otherwise on purpose
            decided = {"suspension": "rejected", "soft bounce": "bounced"}
            return bool(mine == decided.get(item.get("event")))
        case "mailersend", "reject_reason":  # told by the event's type, where nothing more is told
            return theirs is None and mine is not None
        case _, "metadata":  # text is text, and a number is told as one
            return bool({k: str(v) for k, v in theirs.items()} == mine)
        case _, "tags":
            return not mine and not theirs
    return False


def items_of(sample: dict[str, Any]) -> list[Any]:
    body = json.loads(sample["body"])
    found = body.get("events", [body]) if isinstance(body, dict) else body
    return [next(iter(i["msys"].values()), {}) if "msys" in i else i for i in found]


@by_sample
def test_a_recorded_call_says_what_it_was_found_to_say(kind: str, path: Path) -> None:
    sample = load(path)
    if sample.get("response_status") != 200:
        pytest.skip("a call that is not taken")
    notice = receiver(kind, sample).parse(request_of(sample))
    assert isinstance(notice, Notice)
    mine, theirs = [compared(e.event) for e in notice.events], expected(sample)
    assert len(mine) == len(theirs)
    assert len({e.key for e in notice.events}) == len(mine)
    for one, other, item in zip(mine, theirs, items_of(sample), strict=False):
        for field, (ours, its) in differences(one, other).items():
            assert meant(kind, field, ours, its, item), (field, ours, its)


@by_sample
def test_a_recorded_call_is_taken_or_refused_as_it_was(kind: str, path: Path) -> None:
    sample = load(path)
    if "test_requires_signing_secret" in path.stem:
        with pytest.raises(registry.InvalidSettings):
            receiver(kind, sample)
        return
    webhook, moment = receiver(kind, sample), datetime.fromisoformat(sample["now"])
    if sample.get("response_status") == 200:
        webhook.verify(request_of(sample), moment)
    elif sample.get("response_status") == 400:
        with pytest.raises(Forged):
            webhook.verify(request_of(sample), moment)
    else:  # that library's own complaint of a webhook for something else, such as emails that come in
        try:
            events = webhook.parse(request_of(sample)).events
        except Unreadable:
            return
        assert all(e.event.type.value == "unknown" for e in events)
