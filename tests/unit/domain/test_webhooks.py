"""What we sign is what Standard Webhooks' own library verifies, and when a message is told again."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from domain.webhooks import LONGEST_WAIT, TYPES, WAITS, new_secret, next_wait, payload, sign

OLD, NEW = new_secret(b"o" * 32), new_secret(b"n" * 32)


def now() -> int:
    return int(datetime.now(UTC).timestamp())


@given(st.dictionaries(st.text(), st.text()), st.binary(min_size=24, max_size=64))
def test_the_official_library_verifies_what_we_sign(data: dict[str, str], secret: bytes) -> None:
    body = json.dumps(payload("email.sent", datetime.now(UTC), data)).encode()
    headers = dict(sign([new_secret(secret)], "msg_1", now(), body))
    assert Webhook(new_secret(secret)).verify(body, headers)["data"] == data


def test_during_a_rotation_either_secret_verifies() -> None:
    headers = dict(sign([NEW, OLD], "msg_1", now(), b"{}"))
    for secret in (OLD, NEW):
        assert Webhook(secret).verify(b"{}", headers) == {}
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret(b"x" * 32)).verify(b"{}", headers)


def test_another_body_is_not_verified() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(b'{"a":1}', dict(sign([NEW], "msg_1", now(), b"{}")))


@given(st.integers(1, len(WAITS) - 1), st.floats(0, 1), st.floats(0, 1e9))
def test_waits_follow_the_schedule_with_a_little_chance(tries: int, chance: float, asked: float) -> None:
    plain = next_wait(tries, chance)
    assert plain is not None
    assert abs(plain - WAITS[tries]) <= 0.1 * WAITS[tries] + 1e-9
    assert next_wait(tries, chance, asked) == max(plain, min(asked, LONGEST_WAIT))


def test_after_ten_tries_there_is_none() -> None:
    assert next_wait(9, 0.5) == 86_400
    assert next_wait(10, 0.5) is None


def test_types_are_named_once_and_never_what_was_only_accepted() -> None:
    assert len(TYPES) == len(set(TYPES))
    assert {"email.sent", "email.delivered", "email.bounced", "email.failed", "email.opened"} <= set(TYPES)
    assert not {"email.queued", "email.scheduled", "email.sending"} & set(TYPES)
