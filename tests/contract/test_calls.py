"""Calls with several emails: how they are split, and what each answer means to each email."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from domain.attempt import SendResult
from domain.errors import Misconfigured, OutcomeUnknown, ProviderUnavailable, RateLimited, Rejected
from domain.message import Address, Attachment, Envelope
from domain.ports import CallProvider, Letter
from providers import registry
from providers.world import Timeouts
from tests.contract.emails import PATIENT, QUICK, a_world, an_email, new_id
from tests.contract.servers import Does, Headers, HTTPServer

CREDENTIALS: dict[str, dict[str, str]] = {
    "postmark": {"server_token": "k-e-y-1"},
    "resend": {"api_key": "k-e-y-1"},
    "mailjet": {"api_key": "k-e-y-1", "secret_key": "s-e-c-1"},
    "mailtrap": {"api_token": "k-e-y-1"},
}
# Of three emails the second is refused.
MIXED: dict[str, Any] = {
    "postmark": [
        {"ErrorCode": 0, "Message": "OK", "MessageID": "one", "To": "a@x.example"},
        {"ErrorCode": 406, "Message": "You tried to send to a recipient that has been marked as inactive."},
        {"ErrorCode": 0, "Message": "OK", "MessageID": "three"},
    ],
    "resend": {"data": [{"id": "one"}, {"id": "three"}], "errors": [{"index": 1, "message": "Invalid `to`"}]},
    "mailjet": {
        "Messages": [
            {"Status": "success", "To": [{"MessageID": 1}]},
            {
                "Status": "error",
                "Errors": [{"ErrorCode": "mj-0013", "StatusCode": 400, "ErrorMessage": "no"}],
            },
            {"Status": "success", "To": [{"MessageID": "3"}]},
        ]
    },
    "mailtrap": {
        "success": True,
        "responses": [
            {"success": True, "message_ids": ["one"]},
            {"success": False, "errors": ["'to' address is invalid"]},
            {"success": True, "message_ids": ["three"]},
        ],
    },
}
PATHS = {
    "postmark": "/email/batch",
    "resend": "/emails/batch",
    "mailjet": "/v3.1/send",
    "mailtrap": "/api/batch",
}
KINDS = sorted(PATHS)


class Scripted(HTTPServer):
    """Answers every call with what a test gave it."""

    reply: tuple[int, Headers, bytes] = (200, {}, b"")

    def answer(self, method: str, path: str, headers: Headers, body: bytes) -> tuple[int, Headers, bytes]:
        return self.reply

    def will_say(self, content: Any, status: int = 200) -> None:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.reply = (status, {"Content-Type": "application/json"}, raw)


@pytest.fixture
def server() -> Iterator[Scripted]:
    built = Scripted()
    yield built
    built.stop()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def provider(kind: str, server: Scripted) -> Iterator[CallProvider]:
    built = connected(kind, server)
    yield built
    built.close()


def connected(kind: str, server: Scripted, timeouts: Timeouts = PATIENT, **config: Any) -> CallProvider:
    base = {"base_url": f"http://127.0.0.1:{server.port}", **config}
    valid = registry.validate(kind, base, CREDENTIALS[kind])
    return cast(CallProvider, registry.build(kind, f"the-{kind}", *valid, a_world(timeouts)))


def letters(count: int, **parts: Any) -> list[Letter]:
    return [Letter(an_email(to=(Address(f"reader{n}@x.example"),), **parts), new_id()) for n in range(count)]


def test_each_email_of_a_call_has_its_own_result(kind: str, provider: CallProvider, server: Scripted) -> None:
    (call,) = provider.pack(letters(3), 50)
    server.will_say(MIXED[kind])
    first, second, third = provider.send_many(call)
    assert isinstance(first, SendResult)
    assert isinstance(third, SendResult)
    assert {first.provider_message_id, third.provider_message_id} in ({"one", "three"}, {"1", "3"})
    assert isinstance(second, Rejected)
    ((_, path, _, body),) = server.requests
    assert path == PATHS[kind]
    assert len(body.split(b"reader")) == 4


def test_no_more_emails_are_in_a_call_than_were_allowed(provider: CallProvider) -> None:
    calls = provider.pack(letters(12), 5)
    assert [len(c.letters) for c in calls] == [5, 5, 2]


def test_the_providers_own_limit_holds_too(provider: CallProvider) -> None:
    most = provider.capabilities.batch
    calls = provider.pack(letters(most + 2), 10_000)
    assert [len(c.letters) for c in calls] == [most, 2]


def test_a_call_is_no_larger_than_the_provider_takes(provider: CallProvider) -> None:
    room, whole = provider.capabilities.batch_bytes, provider.capabilities.max_bytes
    assert room is not None
    assert whole is not None
    size = min(room, whole) // 4
    calls = provider.pack(letters(room // size + 2, text="x" * size), 50)
    sizes = [len(c.request.body) for c in calls if len(c.letters) > 1]  # type: ignore[attr-defined]
    assert sizes
    assert max(sizes) <= room + 100


def test_the_same_emails_make_the_same_call(provider: CallProvider) -> None:
    batch = letters(4)
    (first,), (again,) = provider.pack(batch, 50), provider.pack(batch, 4)
    assert (first.key, first.payload_hash) == (again.key, again.payload_hash)
    other = [*batch[:3], Letter(batch[3].submission, new_id())]
    assert provider.pack(other, 50)[0].payload_hash != first.payload_hash


def test_an_email_that_cannot_be_expressed_is_in_no_call(provider: CallProvider) -> None:
    bad = replace(an_email(), envelope=Envelope(Address("shop@sender.example"), ()))
    calls = provider.pack([Letter(bad, new_id()), *letters(2)], 50)
    assert [len(c.letters) for c in calls] == [2]


@pytest.mark.parametrize(
    ("status", "body", "means"),
    [
        (401, {"message": "no"}, Misconfigured),
        (429, {"message": "slower"}, RateLimited),
        (503, {}, ProviderUnavailable),
        (500, {}, OutcomeUnknown),
        (200, b"<html>", OutcomeUnknown),
        (200, {"success": True}, OutcomeUnknown),
        (200, [], OutcomeUnknown),
        (200, {"Messages": []}, OutcomeUnknown),
        (200, {"data": []}, OutcomeUnknown),
        (200, {"responses": []}, OutcomeUnknown),
    ],
)
def test_an_answer_to_the_call_as_a_whole_is_that_of_all_its_emails(
    provider: CallProvider, server: Scripted, status: int, body: Any, means: type[Exception]
) -> None:
    (call,) = provider.pack(letters(3), 50)
    server.will_say(body, status)
    with pytest.raises(means):
        provider.send_many(call)


@pytest.mark.parametrize("does", [Does.CLOSE, Does.HANG, Does.TRUNCATED, Does.RESET])
def test_a_call_without_an_answer_leaves_all_its_emails_in_doubt(
    kind: str, server: Scripted, does: Does
) -> None:
    provider = connected(kind, server, QUICK if does is Does.HANG else PATIENT)
    (call,) = provider.pack(letters(3), 50)
    server.does = does
    with pytest.raises(OutcomeUnknown):
        provider.send_many(call)
    provider.close()
    assert len(server.requests) == 1


def test_a_refusal_of_the_whole_names_no_subject_or_address_of_any_email(
    kind: str, provider: CallProvider, server: Scripted
) -> None:
    batch = [Letter(an_email(subject=f"Secret number {n}"), new_id()) for n in range(3)]
    (call,) = provider.pack(batch, 50)
    words = "wrong: Secret number 0, Secret number 2 to ada@recipient.example"
    said = {
        "postmark": {"ErrorCode": 300, "Message": words},
        "resend": {"name": "validation_error", "message": words},
        "mailjet": {"ErrorMessage": words, "ErrorCode": "mj-0004"},
        "mailtrap": {"errors": [words]},
    }
    server.will_say(said[kind], 422 if kind == "postmark" else 400)
    with pytest.raises(Rejected) as refused:
        provider.send_many(call)
    assert "wrong" in refused.value.detail
    assert "Secret" not in refused.value.detail
    assert "ada@" not in refused.value.detail


def test_mailjet_tells_of_each_email_even_where_it_refuses_all(server: Scripted) -> None:
    provider = connected("mailjet", server)
    (call,) = provider.pack(letters(2), 50)
    errors = [{"ErrorCode": "mj-0013", "StatusCode": 400, "ErrorMessage": "no"}]
    server.will_say({"Messages": [{"Status": "error", "Errors": errors}] * 2}, 400)
    assert [type(r) for r in provider.send_many(call)] == [Rejected, Rejected]
    provider.close()


def test_resend_takes_no_files_in_a_call_and_knows_each_by_its_key(server: Scripted) -> None:
    provider = connected("resend", server)
    with_file = an_email(attachments=(Attachment("a.txt", "text/plain", b"x"),))
    single, batch = Letter(with_file, new_id()), letters(2)
    calls = provider.pack([single, *batch], 50)
    assert [len(c.letters) for c in calls] == [2, 1]
    assert calls[1].key == str(single.attempt_id)
    keys = [c.request.headers["Idempotency-Key"] for c in calls]  # type: ignore[attr-defined]
    assert keys == [c.key for c in calls]
    provider.close()
