"""The strict reading of JSON, as far as no request is needed."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from api.errors import pointer, to_json
from api.payload import fingerprint, text_errors, without_surrogates

plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)
broken = st.text(st.sampled_from(["a", "\0", "\ud800", "\udfff", "~", "/"]), max_size=6)


def trees(text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.integers() | text
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
        max_leaves=8,
    )


def reverse(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reverse(item) for name, item in reversed(value.items())}
    if isinstance(value, list):
        return [reverse(item) for item in value]
    return value


@given(st.dictionaries(plain, trees(plain), max_size=4))
def test_the_order_of_names_does_not_change_a_fingerprint(body: dict[str, Any]) -> None:
    assert fingerprint(body) == fingerprint(reverse(body))


def test_any_other_value_changes_a_fingerprint() -> None:
    bodies: list[dict[str, Any]] = [
        {}, {"a": 1}, {"a": "1"}, {"a": None}, {"a": [1]}, {"a": {}}, {"b": 1}, {"a": True}, {"a": [1, 2]},
        {"a": [2, 1]}, {"a": "ü"}, {"a": "u\u0308"},
    ]  # fmt: skip
    assert len({fingerprint(body) for body in bodies}) == len(bodies)


@given(trees(broken))
def test_every_text_that_cannot_be_stored_is_found_and_nothing_else(value: Any) -> None:
    def bad(item: Any) -> int:
        if isinstance(item, str):
            return int("\0" in item or item != without_surrogates(item))
        if isinstance(item, dict):
            return sum(bad(name) + bad(inner) for name, inner in item.items())
        return sum(map(bad, item)) if isinstance(item, list) else 0

    assert len(text_errors(value)) == bad(value)


@given(trees(broken))
def test_whatever_is_complained_of_can_be_written(value: Any) -> None:
    written = to_json([error.as_json() for error in text_errors(value)]).decode("utf-8")
    assert "\ud800" not in written


def test_a_pointer_escapes_its_parts() -> None:
    assert pointer(("a/b", 0, "c~d")) == "/a~1b/0/c~0d"
    assert pointer(()) == ""
