"""What of an email's tags and metadata a provider is handed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.capabilities import Capabilities, MetadataForm, TextForm
from domain.labels import fitting
from tests.builders import a_submission

SMALL = TextForm("[a-z]+", "of small letters")


@pytest.mark.parametrize(
    ("can", "tags", "metadata"),
    [
        (Capabilities(), ("a", "två"), {"a": "1", "Å": "b"}),
        (Capabilities(max_tags=1), ("a",), {"a": "1", "Å": "b"}),
        (Capabilities(tag=SMALL), ("a",), {"a": "1", "Å": "b"}),
        (Capabilities(metadata=MetadataForm(most=0)), ("a", "två"), {}),
        (Capabilities(metadata=MetadataForm(most=1)), ("a", "två"), {"a": "1"}),
        (Capabilities(metadata=MetadataForm(name=SMALL)), ("a", "två"), {"a": "1"}),
        (Capabilities(metadata=MetadataForm(value=SMALL)), ("a", "två"), {"Å": "b"}),
        (Capabilities(metadata=MetadataForm(reserved=frozenset({"a"}))), ("a", "två"), {"Å": "b"}),
        (Capabilities(metadata=MetadataForm(most_bytes=9)), ("a", "två"), {"a": "1"}),
    ],
)
def test_a_provider_gets_what_it_has_a_place_for(can: Capabilities, tags: Any, metadata: Any) -> None:
    email = a_submission(tags=("a", "två"), metadata={"a": "1", "Å": "b"})
    found = fitting(can, email)
    assert (found.tags, found.metadata) == (tags, metadata)
    assert found.message is email.message
    assert fitting(can, found) is found


@given(
    metadata=st.dictionaries(st.text(max_size=6), st.text(max_size=6), max_size=6),
    most_bytes=st.integers(2, 60),
    most=st.integers(0, 6),
)
def test_what_is_handed_over_is_within_the_bounds_and_unchanged(
    metadata: dict[str, str], most_bytes: int, most: int
) -> None:
    can = Capabilities(metadata=MetadataForm(most=most, most_bytes=most_bytes))
    found = fitting(can, a_submission(metadata=metadata)).metadata
    written = json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    assert len(written) <= most_bytes
    assert len(found) <= most
    assert found.items() <= metadata.items()
