"""Whatever a provider answers is a result, a refusal or a doubt, and a success only by its form."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.attempt import Outcome, SendResult
from domain.errors import OutcomeUnknown, ProviderError, RateLimited
from providers.base import UNREADABLE
from providers.calls import BatchProvider
from providers.exchange import Response
from tests.contract.adapters import CREDENTIALS, adapter

KEYS = st.sampled_from(
    [
        "id", "message", "Message", "MessageID", "MessageId", "ErrorCode", "errors", "error", "code", "name", "success",
        "statusCode", "message_ids", "messageId", "results", "total_accepted_recipients", "total_rejected_recipients",
        "Messages", "Status", "To", "Errors", "ErrorMessage", "StatusCode", "warnings", "type", "recipients", "reasons",
        "data", "responses", "index", "field", "description", "__type",
    ]
)  # fmt: skip
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["success", "error", "0", "ALL_SUPPRESSED", "MessageRejected", "duplicate_parameter", "\ud800", "\0"]
    )
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=10,
)
BODIES = st.one_of(
    JSON.map(lambda content: json.dumps(content).encode()),
    st.binary(max_size=40),
    st.sampled_from(
        [b"", b" ", b"null", b"<html>", b"\xef\xbb\xbf{}", b'{"id":1e999}', b"[" * 50_000, b"1" * 5000]
    ),
)
STATUSES = st.sampled_from(
    [100, 200, 201, 202, 204, 206, 301, 400, 401, 403, 404, 409, 413, 418, 420, 422, 429, 451, 500, 503]
)
NUMBERS = st.sampled_from(
    ["", "0", "12", "-1", "1e3", "9" * 40, "١٢", "NaN", "Wed, 21 Oct 2099 07:28:00 GMT", "\x00"]
)
FIELDS = st.dictionaries(
    st.sampled_from(
        [
            "retry-after", "x-ratelimit-reset", "ratelimit-reset", "x-sib-ratelimit-reset", "x-apiquota-reset",
            "x-apiquota-remaining", "date", "x-message-id", "x-amzn-errortype",
        ]
    ),
    NUMBERS,
    max_size=4,
)  # fmt: skip


def result(kind: str, response: Response) -> ProviderError | SendResult:
    provider = adapter(kind)
    refusal = provider.judge(response)
    if refusal is not None:
        return refusal
    try:
        return provider.parse(response)
    except ProviderError as failure:
        return failure
    except UNREADABLE as reason:
        return OutcomeUnknown(kind, type(reason).__name__)


@pytest.mark.parametrize("kind", CREDENTIALS)
@pytest.mark.timeout(600)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    status=STATUSES, fields=FIELDS, media=st.sampled_from(["application/json", "text/html", ""]), body=BODIES
)
def test_any_answer_is_a_result_a_refusal_or_a_doubt(
    kind: str, status: int, fields: dict[str, str], media: str, body: bytes
) -> None:
    found = result(kind, Response(status, {**fields, "content-type": media}, body))
    if isinstance(found, SendResult):
        assert 200 <= status < 300 or (kind == "brevo" and b"duplicate_parameter" in body)
        known = found.provider_message_id
        assert known is None or 1 <= len(known) <= 1000
        return
    assert len(found.detail) <= 400
    if isinstance(found, RateLimited) and found.retry_after is not None:
        assert math.isfinite(found.retry_after)
        assert 0 <= found.retry_after <= 86_400


@pytest.mark.parametrize("kind", [k for k in CREDENTIALS if isinstance(adapter(k), BatchProvider)])
@pytest.mark.timeout(600)
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(status=st.sampled_from([200, 202]), content=JSON, count=st.integers(min_value=2, max_value=4))
def test_any_answer_to_several_falls_apart_or_is_unreadable(
    kind: str, status: int, content: Any, count: int
) -> None:
    provider = adapter(kind)
    assert isinstance(provider, BatchProvider)
    response = Response(status, {"content-type": "application/json"}, json.dumps(content).encode())
    try:
        pieces = provider.answers(response, count)
    except UNREADABLE:
        return
    for piece in pieces:
        assert isinstance(result(kind, piece), ProviderError | SendResult)


# A success by its status that is none by what it says.
NO_SUCCESS: list[tuple[str, int, Any]] = [
    ("brevo", 201, {"code": "invalid_parameter", "message": "x"}),
    ("brevo", 201, {"messageId": ""}),
    ("mailersend", 202, {"message": "The given data was invalid.", "errors": {"from": ["x"]}}),
    ("mailgun", 200, {"message": "to parameter is not a valid address"}),
    ("mailjet", 200, {"ErrorMessage": "x", "StatusCode": 400}),
    ("mailtrap", 200, {"success": False, "errors": ["x"]}),
    ("postmark", 200, {"ErrorCode": 300, "Message": "Invalid 'From'"}),
    ("resend", 200, {"statusCode": 422, "name": "validation_error", "message": "x"}),
    ("sendgrid", 202, {"errors": [{"message": "x", "field": None, "help": None}]}),
    ("sendgrid", 202, [1]),
    ("ses", 200, {"message": "x"}),
    ("sparkpost", 200, {"errors": [{"message": "x"}]}),
]


@pytest.mark.parametrize(
    ("kind", "status", "body"), NO_SUCCESS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_success_that_tells_of_an_error_is_none(kind: str, status: int, body: Any) -> None:
    found = result(kind, Response(status, {"content-type": "application/json"}, json.dumps(body).encode()))
    assert isinstance(found, ProviderError)
    assert found.outcome in (Outcome.UNKNOWN, Outcome.NOT_SENT)
