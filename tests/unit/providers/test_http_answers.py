"""What an HTTP status means for the email, the same for every provider; and how long to wait."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.errors import (
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    SenderNotVerified,
    Unsupported,
)
from providers import registry
from providers.exchange import Response
from providers.sendgrid import SendGridProvider
from providers.world import World

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


class FixedClock:
    chance = random.Random(1)

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"slept {seconds}")


@pytest.fixture
def sendgrid() -> Iterator[SendGridProvider]:
    valid = registry.validate("sendgrid", {}, {"api_key": "SG.secret"})
    built = registry.build("sendgrid", "sg", *valid, World(FixedClock(), lambda: NOW))
    assert isinstance(built, SendGridProvider)
    yield built
    built.close()


def an_answer(status: int, body: Any = None, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Response(status, {n.replace("_", "-"): v for n, v in headers.items()}, raw)


def said(message: str, field: str | None = None) -> dict[str, Any]:
    return {"errors": [{"message": message, "field": field}]}


EXPECTED: dict[type[ProviderError] | None, tuple[int, ...]] = {
    None: (200, 201, 202, 204, 299),
    Misconfigured: (300, 301, 302, 307, 308, 399, 401, 402, 403, 404, 405, 406, 410, 415),
    Rejected: (400, 422),
    Unsupported: (413,),
    ProviderUnavailable: (408, 421, 425, 503),
    RateLimited: (429,),
    OutcomeUnknown: (100, 103, 409, 418, 451, 499, 500, 501, 502, 504, 507, 520, 522, 524, 599, 999),
}


@pytest.mark.parametrize(("status", "meaning"), [(s, m) for m, many in EXPECTED.items() for s in many])
def test_a_status_means_the_same_everywhere(
    sendgrid: SendGridProvider, status: int, meaning: type[ProviderError] | None
) -> None:
    error = sendgrid.judge(an_answer(status))
    assert (type(error) if error else None) is meaning


@pytest.mark.parametrize("status", [400, 403])
def test_an_unverified_sender_is_no_fault_of_the_account(sendgrid: SendGridProvider, status: int) -> None:
    words = "The from address does not match a verified Sender Identity. Mail cannot be sent."
    error = sendgrid.judge(an_answer(status, said(words, "from")))
    assert type(error) is SenderNotVerified
    assert error.detail.startswith(f"{status}: from: The from address")


def test_a_page_with_a_400_is_not_the_providers_judgement(sendgrid: SendGridProvider) -> None:
    assert (
        type(sendgrid.judge(an_answer(400, b"<h1>Bad</h1>", content_type="text/html"))) is ProviderUnavailable
    )


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b"null", b"1", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000, b'{"errors":null}',
        b'{"errors":5}',
        b'{"errors":{"message":1}}', b'{"errors":[]}', b'{"errors":[1]}', b'{"errors":[{}]}', b'{"errors":["x"]}',
        b'{"errors":[{"message":{"a":1},"field":[]}]}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_an_error_in_no_known_form_is_still_judged(
    sendgrid: SendGridProvider, status: int, body: bytes
) -> None:
    meaning = next(m for m, many in EXPECTED.items() if status in many)
    error = sendgrid.judge(an_answer(status, body))
    assert type(error) is meaning
    assert str(status) in error.detail


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7),
        ({"retry_after": "0"}, 0),
        ({"retry_after": "Mon, 23 Nov 2026 12:00:30 GMT"}, 30),
        ({"retry_after": "Mon, 23 Nov 2026 11:00:00 GMT"}, 0),
        ({"retry_after": "Mon, 23 Nov 2026 09:00:30 GMT", "date": "Mon, 23 Nov 2026 09:00:00 GMT"}, 30),
        ({"retry_after": "99999999999999999999"}, 86_400),
        ({"retry_after": "-5"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "Mon, 23 Nov 99999999999999999999 12:00:30 GMT"}, None),
        ({"retry_after": "Mon, 23 Nov 9999 12:00:30 GMT"}, 86_400),
        (
            {
                "retry_after": "Mon, 23 Nov 2026 12:00:30 GMT",
                "date": "Mon, 23 Nov 99999999999999999999 9:0:0 GMT",
            },
            30,
        ),
        ({"retry_after": "Mon, 23 Nov 2026 12:00:30 GMT", "date": "Mon, 23 Nov 9999 09:00:00 -2359"}, 0),
        ({"retry_after": "1e9"}, None),
        ({"retry_after": "٧"}, None),
        ({"retry_after": ""}, None),
        ({}, None),
        ({"x_ratelimit_reset": str(int(NOW.timestamp()) + 12)}, 12),
        ({"x_ratelimit_reset": str(int(NOW.timestamp()) - 12)}, 0),
        ({"x_ratelimit_reset": "never"}, None),
        ({"x_ratelimit_reset": "99999999999"}, 86_400),
        ({"x_ratelimit_reset": str(int(NOW.timestamp()) + 12), "retry_after": "3"}, 3),
        ({"x_ratelimit_reset": str(int(NOW.timestamp()) + 12), "date": "rubbish"}, 12),
    ],
)
def test_a_rate_limit_ends_when_the_provider_says(
    sendgrid: SendGridProvider, headers: dict[str, str], seconds: float | None
) -> None:
    error = sendgrid.judge(an_answer(429, said("too many requests"), **headers))
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


def test_a_detail_holds_neither_keys_nor_people(sendgrid: SendGridProvider) -> None:
    words = (
        "the key SG.secret of ada@example.com, <bo@xn--bcher-kva.example>,\r\n'jürgen@bücher.example' "
        + "x" * 5000
    )
    error = sendgrid.judge(an_answer(401, said(words)))
    assert error is not None
    assert "SG.secret" not in str(error)
    assert "@" not in str(error)
    assert "\n" not in str(error)
    assert len(error.detail) < 350


@pytest.mark.parametrize(
    ("answer", "message_id"),
    [
        (an_answer(202, x_message_id="abc"), "abc"),
        (an_answer(202), None),
        (an_answer(202, b" \n", x_message_id=" "), None),
        (an_answer(202, {"anything": 1}, x_message_id="abc"), "abc"),
    ],
)
def test_a_202_is_an_acceptance_with_or_without_an_id(
    sendgrid: SendGridProvider, answer: Response, message_id: str | None
) -> None:
    assert sendgrid.parse(answer).provider_message_id == message_id


@pytest.mark.parametrize(
    "answer",
    [
        an_answer(200),
        an_answer(204),
        an_answer(202, b"<html>sign in</html>"),
        an_answer(202, b"\xff"),
        an_answer(202, b"[" * 100_000),
    ],
)
def test_a_success_that_sendgrid_does_not_document_cannot_be_read(
    sendgrid: SendGridProvider, answer: Response
) -> None:
    with pytest.raises(ValueError):
        sendgrid.parse(answer)
