"""Recorded webhooks with things missing, added, or of another type: they are read all the same, and mean no more.

What bears the event (and what is proved by) is another matter: without it a call is unreadable.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest

from db.mapping import event_row
from domain.events import EventType, InboundEvent, Unreadable, WebhookRequest
from providers import registry
from tests.contract.emails import a_world
from tests.contract.recorded import CONTRACTS, load, request_of, samples

CREDENTIALS = {
    "amazon_ses": {"access_key_id": "AKIA", "secret_access_key": "s"},
    "brevo": {"api_key": "k"},
    "mailersend": {"api_token": "k"},
    "mailgun": {"api_key": "k"},
    "mailjet": {"api_key": "k", "secret_key": "s"},
    "mailtrap": {"api_token": "k"},
    "postmark": {"server_token": "k"},
    "resend": {"api_key": "k"},
    "sendgrid": {"api_key": "k"},
    "sparkpost": {"api_key": "k"},
}
Path = tuple[Any, ...]
# Without these there is no event, or nobody could have proved it.
BEARING: dict[str, set[Path]] = {
    "mailgun": {("event-data",), ("signature",), ("signature", "token")},
    "amazon_ses": {("SubscribeURL",), ("mail",), ("notificationType",)},
    "resend": {("data",)},
    "sparkpost": {(0, "msys")},
}
KINDS = sorted(kind for kind in CREDENTIALS if samples(kind))
pytestmark = pytest.mark.skipif(not KINDS, reason=f"no recorded contracts in {CONTRACTS}")


@cache
def receiver(kind: str) -> Any:
    name = "ses" if kind == "amazon_ses" else kind
    config, _ = registry.validate(name, {}, CREDENTIALS[kind])
    return registry.receiver(name, "the-account", config, [], a_world())


def calls(kind: str) -> Iterator[tuple[Any, Callable[[Any], WebhookRequest]]]:
    """The JSON of each recorded call that is taken, and how a changed one is put into a call."""
    for path in samples(kind):
        sample = load(path)
        request = request_of(sample)
        try:
            body = json.loads(request.body)
        except ValueError:
            continue  # a form, or JSON lines
        if sample.get("response_status", 200) != 200:
            continue
        if kind == "amazon_ses" and body.get("Type") == "Notification":
            try:
                inner = json.loads(body["Message"])
            except ValueError:
                continue
            yield inner, partial(_within, request, body)
        else:
            yield body, partial(_with, request)


def _with(request: WebhookRequest, content: Any) -> WebhookRequest:
    return replace(request, body=json.dumps(content).encode())


def _within(request: WebhookRequest, envelope: Any, message: Any) -> WebhookRequest:
    return _with(request, {**envelope, "Message": json.dumps(message)})


def places(content: Any, before: Path = ()) -> Iterator[Path]:
    entries = content.items() if isinstance(content, dict) else enumerate(content)
    for name, value in entries:
        yield (*before, name)
        if isinstance(value, dict | list):
            yield from places(value, (*before, name))


def at(content: Any, place: Path) -> Any:
    for name in place:
        content = content[name]
    return content


def read(kind: str, request: WebhookRequest) -> tuple[InboundEvent, ...]:
    return tuple(receiver(kind).parse(request).events)


def types(events: tuple[InboundEvent, ...]) -> list[EventType]:
    return [e.event.type for e in events]


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_that_is_missing_makes_no_call_unreadable(kind: str) -> None:
    tried = 0
    for content, call in calls(kind):
        for place in places(content):
            changed = copy.deepcopy(content)
            del at(changed, place[:-1])[place[-1]]
            if place in BEARING.get(kind, ()):
                continue
            read(kind, call(changed))
            tried += 1
    assert tried > 20


@pytest.mark.parametrize("kind", KINDS)
def test_fields_that_we_do_not_know_change_nothing(kind: str) -> None:
    for content, call in calls(kind):
        changed = copy.deepcopy(content)
        for place in [(), *places(content)]:
            found = at(changed, place)
            if isinstance(found, dict) and not any(
                name in str(place)
                for name in ("tag", "msys", "eta", "variables", "custom", "args", "vars", "ubscription")
            ):
                found["something_new"] = {"a": [1]}
        assert [(e.event.type, e.event.recipient, e.event.attempt_id) for e in read(kind, call(changed))] == [
            (e.event.type, e.event.recipient, e.event.attempt_id) for e in read(kind, call(content))
        ]


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_as_texts_mean_the_same(kind: str) -> None:
    for content, call in calls(kind):
        changed = copy.deepcopy(content)
        for place in places(content):
            value = at(content, place)
            if isinstance(value, int | float) and not isinstance(value, bool):
                at(changed, place[:-1])[place[-1]] = str(value)
        assert [(e.event.type, e.event.occurred_at, e.event.bounce) for e in read(kind, call(changed))] == [
            (e.event.type, e.event.occurred_at, e.event.bounce) for e in read(kind, call(content))
        ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [None, "zzz", 7, [], {"x": 1}, True], ids=repr)
def test_no_type_of_a_field_breaks_the_reading(kind: str, value: object) -> None:
    for content, call in calls(kind):
        for place in places(content):
            changed = copy.deepcopy(content)
            at(changed, place[:-1])[place[-1]] = value
            try:
                read(kind, call(changed))
            except Unreadable:
                assert not isinstance(at(content, place), int | str | float) or place in BEARING.get(kind, ())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("odd", ["\0", "a\0b", "\ud800", "x\udfffy"], ids=repr)
def test_no_text_holds_what_no_database_keeps(kind: str, odd: str) -> None:
    for content, call in calls(kind):
        for place in places(content):
            if not isinstance(at(content, place), str):
                continue
            changed = copy.deepcopy(content)
            at(changed, place[:-1])[place[-1]] = odd
            try:
                found = read(kind, call(changed))
            except Unreadable:
                continue
            for event in found:
                kept = event.key + event.raw + json.dumps(event_row(event.event))
                assert not any(bad in kept for bad in ("\0", "\ud800", "\udfff")), place
                assert not any(bad in json.dumps(event_row(event.event)) for bad in _ESCAPED), place


_ESCAPED = ("\\u0000", "\\ud800", "\\udfff")


def test_one_item_of_a_call_that_cannot_be_read_spoils_no_other() -> None:
    items: list[Any] = [
        {"event": "delivered", "email": "a@x.example", "sg_event_id": "1", "timestamp": 1},
        {"event": "invented", "email": ["b@x.example"], "sg_event_id": {"x": 1}, "timestamp": "never"},
        {"event": "bounce", "email": "c@x.example", "sg_event_id": "3", "timestamp": 3, "reason": "no"},
    ]
    found = read("sendgrid", WebhookRequest("https://x.example", {}, json.dumps(items).encode()))
    assert types(found) == [EventType.DELIVERED, EventType.UNKNOWN, EventType.BOUNCED]
