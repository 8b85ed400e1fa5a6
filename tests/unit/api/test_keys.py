"""The form of API keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.auth import KnownKeys
from api.keys import ApiKey, mint, parse

KEY = ApiKey("A" * 12, "b" * 32)


def test_a_minted_key_is_read_back() -> None:
    for _ in range(50):
        key = mint()
        assert parse(key.reveal()) == key


def test_keys_are_told_apart_and_carry_enough_chance() -> None:
    keys = [mint() for _ in range(200)]
    assert len({key.secret for key in keys}) == len({key.public_id for key in keys}) == 200
    assert 62 ** len(keys[0].secret) > 2**160
    assert len(set("".join(key.secret for key in keys))) == 62


def test_only_a_hash_of_the_secret_is_kept() -> None:
    assert KEY.hash == hashlib.sha256(b"b" * 32).hexdigest()
    assert KEY.secret not in repr(KEY)
    assert KEY.matches(KEY.hash)
    assert not KEY.matches(mint().hash)


@given(st.integers(0, len(KEY.reveal()) - 1), st.characters(codec="ascii"))
def test_a_mistyped_key_is_noticed_by_its_checksum(position: int, character: str) -> None:
    text = KEY.reveal()
    changed = text[:position] + character + text[position + 1 :]
    assert (parse(changed) is not None) == (changed == text)


@pytest.mark.parametrize(
    "text",
    ["", "mx_live_", KEY.reveal()[:-1], KEY.reveal() + "x", KEY.reveal() + "\n", " " + KEY.reveal(),
     KEY.reveal().replace("live", "test"), KEY.reveal().lower(), "mx_live_" + "é" * 51],
)  # fmt: skip
def test_what_is_no_key_is_not_read(text: str) -> None:
    assert parse(text) is None


@given(st.text(max_size=80))
def test_no_text_breaks_the_reading(text: str) -> None:
    assert parse(text) is None


def test_a_known_key_that_others_take_away_meanwhile_is_read_again() -> None:
    class Vanishing(dict[str, Any]):
        def __contains__(self, key: object) -> bool:
            return True  # as it was a moment ago

    @contextmanager
    def units() -> Iterator[Any]:
        yield SimpleNamespace(accounts=SimpleNamespace(find_key=lambda _: None))

    known = KnownKeys(SimpleNamespace(clock=SimpleNamespace(monotonic=lambda: 1.0), units=units))  # type: ignore[arg-type]
    known._known = Vanishing()
    assert known.find("id", lately=True) is None
