"""What a filename tells of a file's type, where a provider goes by that."""

from __future__ import annotations

import pytest

from domain.errors import Unsupported
from domain.message import Attachment
from providers.filetypes import demand_agreement, extension_of


@pytest.mark.parametrize(
    ("filename", "extension"),
    [
        ("a.pdf", "pdf"),
        ("A.B.PDF", "pdf"),
        (".pdf", ""),
        ("/.pdf", ""),
        ("pdf", ""),
        ("a.", ""),
        ("a/.b.pdf", "pdf"),
    ],
)
def test_a_dot_that_begins_a_name_is_no_extension(filename: str, extension: str) -> None:
    assert extension_of(filename) == extension


def test_a_file_whose_name_hides_its_type_is_refused_before_the_wire() -> None:
    with pytest.raises(Unsupported):
        demand_agreement("any", Attachment("/.pdf", "application/pdf", b"x"))
