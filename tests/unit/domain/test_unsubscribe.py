"""Which List-Unsubscribe of a sender's own is a way out (RFC 2369, RFC 8058)."""

from __future__ import annotations

import pytest

from domain.unsubscribe import has_way_out, link_in


@pytest.mark.parametrize(
    ("value", "link", "way_out"),
    [
        ("<https://example.com/u?a=1>", "https://example.com/u?a=1", True),
        ("<mailto:out@example.com>, <HTTP://example.com/>", "HTTP://example.com/", True),
        ("<mailto:out@example.com>", None, True),
        ("https://example.com/", None, False),
        # What is beyond ASCII is encoded on the wire, the brackets with it, and no mail program finds the link.
        ("<https://bücher.example/u>", None, False),
        ("<https://example.com/u> (ü)", None, False),
        ("<mailto:ü@example.com>", None, False),
        ("<httpſ://example.com/>", None, False),
    ],
)
def test_a_link_is_in_ascii(value: str, link: str | None, way_out: bool) -> None:
    headers = [("list-unsubscribe", value)]
    assert (link_in(headers), has_way_out(headers)) == (link, way_out)
