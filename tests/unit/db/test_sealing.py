"""Sealed credentials open only where they belong, with the key they name, and unchanged."""

from __future__ import annotations

import base64
import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.sealing import SealBroken, Sealer, UnknownKey

SEALER = Sealer({"old": b"o" * 32, "new": b"n" * 32}, "new")
ROW = UUID("01900000-0000-7000-8000-000000000001")
OTHER = UUID("01900000-0000-7000-8000-000000000002")

credentials = st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=4)


def seal(given: dict[str, str] | None = None, sealer: Sealer = SEALER) -> str:
    return sealer.seal(given or {"api_key": "secret"}, owner=OTHER, kind="smtp", row=ROW)


@given(credentials, st.none() | st.uuids(), st.text(max_size=20), st.uuids())
def test_what_was_sealed_for_a_place_opens_there(
    given: dict[str, str], owner: UUID | None, kind: str, row: UUID
) -> None:
    sealed = SEALER.seal(given, owner=owner, kind=kind, row=row)
    assert SEALER.open(sealed, owner=owner, kind=kind, row=row) == given


def test_the_sealed_text_shows_nothing_and_is_never_the_same() -> None:
    assert "secret" not in seal()
    assert base64.b64encode(b"secret").decode() not in seal()
    assert seal() != seal()
    assert set(json.loads(seal())) == {"key_id", "nonce", "ciphertext"}


@pytest.mark.parametrize(
    ("owner", "kind", "row"),
    [
        (None, "smtp", ROW),
        (ROW, "smtp", ROW),
        (OTHER, "sendgrid", ROW),
        (OTHER, "smtp", OTHER),
        (OTHER, "smt", ROW),
    ],
)
def test_a_sealed_text_that_was_moved_does_not_open(owner: UUID | None, kind: str, row: UUID) -> None:
    with pytest.raises(SealBroken):
        SEALER.open(seal(), owner=owner, kind=kind, row=row)


@given(st.data())
def test_any_changed_bit_is_noticed(data: st.DataObject) -> None:
    envelope = json.loads(seal())
    part = data.draw(st.sampled_from(["nonce", "ciphertext"]))
    raw = bytearray(base64.b64decode(envelope[part]))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    envelope[part] = base64.b64encode(raw).decode()
    with pytest.raises(SealBroken):
        SEALER.open(json.dumps(envelope), owner=OTHER, kind="smtp", row=ROW)


def test_the_key_that_is_named_cannot_be_swapped() -> None:
    same = Sealer({"a": b"x" * 32, "b": b"x" * 32}, "a")
    sealed = seal(sealer=same).replace('"a"', '"b"')
    with pytest.raises(SealBroken):
        same.open(sealed, owner=OTHER, kind="smtp", row=ROW)


@given(
    st.text()
    | st.sampled_from(["{}", "[]", "null", '{"key_id":1,"nonce":"","ciphertext":""}', '{"key_id":"new"}'])
)
def test_what_is_no_sealed_text_is_refused(text: str) -> None:
    with pytest.raises(SealBroken):
        SEALER.open(text, owner=OTHER, kind="smtp", row=ROW)


def test_a_new_key_seals_and_the_old_one_still_opens() -> None:
    before = Sealer({"old": b"o" * 32}, "old")
    sealed = seal(sealer=before)
    assert SEALER.open(sealed, owner=OTHER, kind="smtp", row=ROW) == {"api_key": "secret"}
    assert not SEALER.is_current(sealed)
    assert SEALER.is_current(seal())


def test_an_unknown_key_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownKey, match=r"'new'.*old"):
        Sealer({"old": b"o" * 32}, "old").open(seal(), owner=OTHER, kind="smtp", row=ROW)


@pytest.mark.parametrize(("keys", "current"), [({"a": b"short"}, "a"), ({"a": b"x" * 32}, "b")])
def test_keys_that_cannot_be_used_are_refused_at_once(keys: dict[str, bytes], current: str) -> None:
    with pytest.raises(ValueError):
        Sealer(keys, current)
