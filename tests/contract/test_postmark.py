"""What is Postmark's own: error codes, streams, tags and metadata."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any, cast

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
from domain.events import EventType
from domain.message import Lane, Message, Tracking
from providers import registry
from providers.base import HTTPProvider
from providers.exchange import Response
from tests.builders import a_submission, new_id
from tests.contract.adapters import composed
from tests.contract.driver import SECRET
from tests.contract.emails import a_world, an_email
from tests.contract.http_servers import as_json
from tests.contract.postmark_driver import PostmarkServer


@pytest.fixture
def server() -> Iterator[PostmarkServer]:
    running = PostmarkServer(SECRET)
    yield running
    running.stop()


def send(server: PostmarkServer, submission: Any = None, **config: Any) -> Any:
    base = {"base_url": f"http://127.0.0.1:{server.port}", **config}
    provider = registry.build(
        "postmark", "pm", *registry.validate("postmark", base, {"server_token": SECRET}), a_world()
    )
    try:
        return provider.send(submission or a_submission(), new_id())
    finally:
        provider.close()


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (422, 300, Rejected),
        (422, 406, RecipientSuppressed),
        (422, 400, SenderNotVerified),
        (422, 401, SenderNotVerified),
        (422, 405, Misconfigured),
        (422, 412, Misconfigured),
        (422, 413, Misconfigured),
        (422, 1235, Misconfigured),
        (422, 411, Unsupported),
        (422, 100, ProviderUnavailable),
        (500, 100, ProviderUnavailable),
        (401, 10, Misconfigured),
        (429, 429, RateLimited),
        (503, 100, ProviderUnavailable),
        (500, 0, OutcomeUnknown),
        (200, 451, Rejected),
        (200, 406, RecipientSuppressed),
        (200, 100, ProviderUnavailable),
    ],
)
def test_an_error_code_says_whose_fault_it_is(
    server: PostmarkServer, status: int, code: int, error: type[ProviderError]
):
    server.answers.append(as_json(status, {"ErrorCode": code, "Message": "words of theirs"}))
    with pytest.raises(error) as raised:
        send(server)
    assert type(raised.value) is error


def test_an_email_that_will_be_late_was_taken(server: PostmarkServer):
    late = {
        "Message": "Message accepted, but delivery may be delayed.",
        "MessageID": "m-1",
        "To": "a@b.example",
    }
    server.answers.append(as_json(200, late))
    assert send(server).provider_message_id == "m-1"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("ada@example.com, bob@example.com", ["ada@example.com", "bob@example.com"]),
        ("ada@example.com.", ["ada@example.com"]),
        (
            "ada@example.com. Inactive recipients are ones that … write to x@postmark.example",
            ["ada@example.com"],
        ),
        ("some", []),
    ],
)
def test_inactive_recipients_of_an_email_that_went_to_others_are_rejected(
    server: PostmarkServer, words: str, named: list[str]
):
    said = f"Message OK, but will not deliver to these inactive addresses: {words}"
    server.answers.append(as_json(200, {"ErrorCode": 0, "MessageID": "m-1", "Message": said}))
    result = send(server)
    assert result.provider_message_id == "m-1"
    events = [found.event for found in result.events]
    if named:
        assert [(e.recipient, e.listed) for e in events] == [(address, True) for address in named]
        assert {e.type for e in events} == {EventType.REJECTED}
    else:
        assert [(e.type, e.recipient, e.partly) for e in events] == [(EventType.REJECTED, None, True)]
    assert {e.provider_message_id for e in events} == {"m-1"}


def test_a_number_may_come_as_text(server: PostmarkServer):
    server.answers.append(as_json(200, {"ErrorCode": "0", "MessageID": "m-1"}))
    assert send(server).provider_message_id == "m-1"
    server.answers.append(as_json(422, {"ErrorCode": "401", "Message": "not confirmed"}))
    with pytest.raises(SenderNotVerified):
        send(server)


@pytest.mark.parametrize(
    "answer", [{"ErrorCode": 0}, {"ErrorCode": "none", "MessageID": "m"}, {"MessageID": ""}, []]
)
def test_a_success_without_its_form_is_none(server: PostmarkServer, answer: Any):
    server.answers.append(as_json(200, answer))
    with pytest.raises(OutcomeUnknown):
        send(server)


def test_bulk_goes_by_the_broadcast_stream_where_there_is_one(server: PostmarkServer):
    bulk = dataclasses.replace(a_submission(), lane=Lane.BULK)
    send(server)
    send(server, bulk)
    send(server, bulk, broadcast_stream="news")
    assert [p["MessageStream"] for p in server.payloads] == ["outbound", "outbound", "news"]


def test_an_email_type_goes_by_the_stream_that_the_account_has_for_it(server: PostmarkServer):
    said = {"broadcast_stream": "news", "streams": {"digest": "digests", "login-code": "codes"}}
    for email_type, lane in (
        ("digest", Lane.BULK),
        ("login-code", Lane.TRANSACTIONAL),
        ("marketing", Lane.BULK),
        ("receipt", Lane.TRANSACTIONAL),
    ):
        send(server, dataclasses.replace(a_submission(), email_type=email_type, lane=lane), **said)
    assert [p["MessageStream"] for p in server.payloads] == ["digests", "codes", "news", "outbound"]


@pytest.mark.parametrize("streams", [{"digest": "No Stream"}, {"a type": "news"}, ["news"], {"digest": None}])
def test_streams_that_there_cannot_be_are_refused(streams: Any):
    with pytest.raises(registry.InvalidSettings) as refused:
        registry.validate("postmark", {"streams": streams}, {"server_token": SECRET})
    assert [p.path.startswith("config.streams") for p in refused.value.problems] == [True]


def test_metadata_and_the_tag_travel_or_the_email_goes_elsewhere(server: PostmarkServer):
    fits = dataclasses.replace(a_submission(), tags=("orders",), metadata={"order": "7"})
    send(server, fits)
    (first,) = server.payloads
    assert (first["Tag"], first["Metadata"]["order"]) == ("orders", "7")
    for tags, metadata in (
        (("a", "b"), {}),
        ((), {"order": "7" * 81}),
        ((), {"x" * 21: "7"}),
        ((), {str(n): "7" for n in range(9)}),
    ):
        with pytest.raises(Unsupported, match=r"tag|metadata"):
            send(server, dataclasses.replace(a_submission(), tags=tags, metadata=metadata))


def test_no_email_can_switch_off_what_the_server_tracks(server: PostmarkServer):
    message = Message(subject="Hello", text="Hello", html="<p>Hello</p>")
    untracked = dataclasses.replace(a_submission(), message=message, tracking=Tracking(opens=False))
    with pytest.raises(Unsupported, match="not tracked"):
        send(server, untracked)
    send(server, untracked, server_tracks_opens=False)
    send(server, dataclasses.replace(a_submission(), tracking=Tracking(opens=True)))
    assert [p["TrackOpens"] for p in server.payloads] == [False, True]


def test_a_text_is_tracked_by_no_server(server: PostmarkServer):
    send(server, dataclasses.replace(a_submission(), tracking=Tracking(opens=False)))
    assert [p["TrackOpens"] for p in server.payloads] == [False]


@pytest.mark.parametrize("tracks", [True, False])
def test_a_check_shows_that_a_server_tracks_after_all(tracks: bool):
    valid = registry.validate("postmark", {"server_tracks_opens": False}, {"server_token": SECRET})
    provider = cast(HTTPProvider, registry.build("postmark", "pm", *valid, a_world()))
    answer = Response(200, {}, json.dumps({"ID": 1, "TrackOpens": tracks}).encode())
    if tracks:
        with pytest.raises(Misconfigured, match="server_tracks_opens"):
            provider.recognise(answer)
    else:
        assert provider.recognise(answer).notes == ()


def test_a_body_beyond_five_megabytes_goes_elsewhere():
    longest = "é" * 2_500_000
    for text, html in ((longest, "x"), ("x", longest)):
        composed("postmark", an_email(text=text, html=html))
    for text, html in ((longest + "x", "x"), ("x", longest + "x")):
        with pytest.raises(Unsupported, match="5 MB"):
            composed("postmark", an_email(text=text, html=html))
