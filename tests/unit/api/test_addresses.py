"""Reading mailboxes in their three forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from api import addresses
from api.addresses import Mailbox
from domain.headers import value_problem
from domain.message import Address

adapter = TypeAdapter(Mailbox)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("ada@example.com", Address("ada@example.com")),
        ("  ada@example.com ", Address("ada@example.com")),
        ("Ada.L+tag@EXAMPLE.com", Address("Ada.L+tag@example.com")),
        ("Ada Lovelace <ada@example.com>", Address("ada@example.com", "Ada Lovelace")),
        ("<ada@example.com>", Address("ada@example.com")),
        ('"Lovelace, Ada" <ada@example.com>', Address("ada@example.com", "Lovelace, Ada")),
        ('"A \\"the first\\" L\\\\" <ada@example.com>', Address("ada@example.com", 'A "the first" L\\')),
        ('"a<b>" <ada@example.com>', Address("ada@example.com", "a<b>")),
        ("Ada Łovelace 🚀 <ada@example.com>", Address("ada@example.com", "Ada Łovelace 🚀")),
        ("ada@bücher.example", Address("ada@xn--bcher-kva.example")),
        ("ada@faß.example", Address("ada@xn--fa-hia.example")),
        ("ada@例え.jp", Address("ada@xn--r8jz45g.jp")),
        ("ada@corp.local", Address("ada@corp.local")),
        ("ada@shop.test", Address("ada@shop.test")),
        ({"email": "ada@example.com"}, Address("ada@example.com")),
        ({"email": "ada@example.com", "name": " Ada "}, Address("ada@example.com", "Ada")),
        ({"email": "ada@bücher.example", "name": "x"}, Address("ada@xn--bcher-kva.example", "x")),
    ],
)  # fmt: skip
def test_all_forms_give_one_value(given: Any, expected: Address) -> None:
    assert adapter.validate_python(given) == expected


def test_a_local_part_beyond_ascii_is_refused_with_its_reason() -> None:
    with pytest.raises(ValidationError, match="before the @ must be ASCII"):
        adapter.validate_python("jürgen@example.com")


@given(st.text(max_size=60) | st.from_regex(r"[^<]{0,20}<[^>]{0,20}@[a-z.]{1,20}>", fullmatch=True))
def test_what_is_accepted_is_safe_in_a_header(text: str) -> None:
    try:
        address = adapter.validate_python(text)
    except ValidationError:
        return
    assert value_problem(address.name) is None
    assert address.email.isascii()
    assert address.email.isprintable()
    assert address.email.count("@") >= 1
    assert len(address.email) <= 320


_PIECES = st.sampled_from(
    [
        "a",
        "Z",
        "9",
        "_",
        "+",
        "-",
        "--",
        ".",
        "..",
        "@",
        "xn--",
        "example",
        "com",
        "test",
        "local",
        "é",
        " ",
        "a" * 30,
    ]
)


@given(st.lists(_PIECES, max_size=12).map("".join))
@settings(max_examples=500)
@example("a@example.com")
@example("a@b-.com")
@example("a@-b.com")
@example("a@xn--a.com")
@example("a@a--b.com")
@example("a@x.localhost")
@example(f"{'a' * 64}@{'b' * 63}.example.com")
@example(f"{'a' * 65}@example.com")
@example(f"a@{'b' * 64}.example.com")
def test_the_quick_look_at_an_address_says_what_the_library_says(text: str) -> None:
    def verdict(look: Callable[[str], str]) -> str | None:
        try:
            return look(text)
        except PydanticCustomError:
            return None

    assert verdict(addresses.check_email) == verdict(addresses._look_closely)
