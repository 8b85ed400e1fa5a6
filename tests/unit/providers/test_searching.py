"""Searches whose answers are not in the documented form: nothing is learnt from them, and nothing breaks."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import Misconfigured
from domain.events import EventType
from domain.lookups import Sought
from providers import registry
from providers.fields import ATTEMPT, EMAIL
from tests.builders import new_id
from tests.contract.adapters import CREDENTIALS
from tests.contract.emails import a_world

KINDS = ("mailgun", "mailjet", "postmark", "sendgrid", "sparkpost")
SOUGHT = Sought(new_id(), new_id(), new_id(), "shop.example", ("ada@example.com",), datetime.now(UTC))
OURS = {ATTEMPT: str(SOUGHT.attempt_id), EMAIL: str(SOUGHT.email_id)}
# What each provider's list is called, and an item of it that is ours.
ITEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "mailgun": ("items", {"event": "delivered", "id": "e1", "user-variables": OURS}),
    "mailjet": ("Data", {"ID": 7, "CustomID": str(SOUGHT.attempt_id), "Status": "sent"}),
    "postmark": ("Messages", {"MessageID": "m1", "Metadata": OURS, "Status": "Sent", "MessageEvents": []}),
    "sendgrid": ("messages", {"msg_id": "m1", "unique_args": json.dumps(OURS), "events": []}),
    "sparkpost": ("results", {"type": "delivery", "event_id": "1", "rcpt_meta": OURS}),
}


def searcher(kind: str, answer: Any) -> Any:
    """The adapter, whose provider answers every question so; a list's item also where an email is asked for."""
    config, credentials = registry.validate(kind, {}, CREDENTIALS[kind])
    built = registry.build(kind, kind, config, credentials, a_world())

    class Answered(type(built)):  # type: ignore[misc]
        def told(self, path: str) -> Any:
            name, item = ITEMS[kind]
            alone = path.endswith("/details") or path.startswith("/v3/messages/")
            return (answer.get(name) or [item])[0] if alone and isinstance(answer, dict) else answer

    built.__class__ = Answered
    return built


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_that_is_ours_is_evidence(kind: str) -> None:
    name, item = ITEMS[kind]
    found = searcher(kind, {name: [item]}).find(SOUGHT)
    assert found
    assert {event.event.attempt_id for event in found} == {SOUGHT.attempt_id}
    assert all(event.event.type is not EventType.UNKNOWN for event in found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "answer", [None, [], "no", 7, {}, {"other": []}, [{}], {"items": None}], ids=lambda a: json.dumps(a)
)
def test_another_form_is_not_the_documented_one(kind: str, answer: Any) -> None:
    with pytest.raises(Misconfigured):
        searcher(kind, answer).find(SOUGHT)


@pytest.mark.parametrize("kind", KINDS)
def test_items_without_our_ids_are_passed_over(kind: str) -> None:
    name, item = ITEMS[kind]
    strange = {
        **item,
        "user-variables": {},
        "CustomID": "x",
        "Metadata": None,
        "unique_args": "{",
        "rcpt_meta": [],
    }
    assert searcher(kind, {name: [strange]}).find(SOUGHT) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9**12) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_a_field_holds_the_search_finds_what_is_ours_or_raises_what_is_documented(
    kind: str, data: st.DataObject
) -> None:
    name, item = ITEMS[kind]
    changed = {field: data.draw(st.just(value) | JSON) for field, value in item.items()}
    try:
        found = searcher(kind, {name: [changed]}).find(SOUGHT)
    except Misconfigured:
        return
    assert {event.event.attempt_id for event in found} <= {SOUGHT.attempt_id}
