"""What a provider said is kept without what nobody should read in a log."""

from __future__ import annotations

import time

import pytest

from providers.words import LONGEST, clean
from tests.builders import a_submission


@pytest.mark.parametrize(
    "text",
    [
        "no such user <ada@example.com>",
        "no such user ada+tag@example.com.",
        'no such user "ada"@example.com',
        "no such user jürgen@bücher.example",
        "no such user ada@[192.0.2.1]",
        "rfc822;ada@example.com",
        "to=ada@example.com&x",
    ],
)
def test_an_address_is_blotted_out(text: str) -> None:
    assert "@example" not in clean(text)
    assert "ada@" not in clean(text)
    assert "jürgen" not in clean(text)


def test_a_secret_is_blotted_out_even_where_it_looks_like_an_address() -> None:
    assert "hunter" not in clean("bad password p@hunter2.x", secrets=["p@hunter2.x"])
    assert clean("a b", secrets=["", "a"]) == "a b"


def test_what_the_email_says_is_blotted_out() -> None:
    submission = a_submission(subject="Your diagnosis", text="You are well")
    told = clean("spam: 'your DIAGNOSIS' / You are well / to ADA@example.com", submission=submission)
    assert "diagnosis" not in told.lower()
    assert "well" not in told


def test_the_rest_is_one_short_line() -> None:
    told = clean("a\r\nb\x00c\x1b[31m " + "x" * 10_000)
    assert told.startswith("a b c [31m x")
    assert len(told) == LONGEST


def test_a_large_email_costs_nothing_here() -> None:
    submission = a_submission(text="x" * 20_000_000)
    began = time.monotonic()
    assert clean("refused", submission=submission) == "refused"
    assert time.monotonic() - began < 0.5
