"""What a filename tells of a file's type, where a provider goes by that."""

from __future__ import annotations

import pytest

from domain.errors import Unsupported
from domain.message import Attachment
from providers.filetypes import demand_agreement, demand_unicode, extension_of, without_charset


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


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        ("text/csv", "text/csv"),
        ("text/csv; charset=utf-8", "text/csv"),
        ('text/csv;charset="UTF-8"; header=present', "text/csv; header=present"),
        ("text/plain; format=flowed; Charset = us-ascii", "text/plain; format=flowed"),
        ("application/x-thing; charset=latin-1", "application/x-thing"),
    ],
)
def test_what_is_unicode_or_no_text_needs_no_character_set(kind: str, plain: str) -> None:
    demand_unicode("any", Attachment("a.txt", kind, b"x"))
    assert without_charset(kind) == plain


@pytest.mark.parametrize("kind", ["text/plain; charset=iso-8859-1", 'TEXT/CSV; CHARSET="utf-16"'])
def test_a_text_whose_character_set_would_get_lost_is_refused(kind: str) -> None:
    with pytest.raises(Unsupported, match="character set"):
        demand_unicode("any", Attachment("a.txt", kind, b"x"))
