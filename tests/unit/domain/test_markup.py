"""Links are changed in place, and nothing else is."""

from __future__ import annotations

import time
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.markup import with_image, with_links


def seen(html: str) -> list[str]:
    """The addresses that are offered for change."""
    found: list[str] = []

    def note(address: str) -> None:
        found.append(address)

    assert with_links(html, note) == html
    return found


@pytest.mark.parametrize(
    ("html", "addresses"),
    [
        ('<a href="https://a.example/">', ["https://a.example/"]),
        ("<a href='https://a.example/'>", ["https://a.example/"]),
        ("<A HREF=https://a.example/b>", ["https://a.example/b"]),
        ("<a\nclass=x\n href = \n'https://a.example/'>", ["https://a.example/"]),
        ('<a class="x"href="https://a.example/">', ["https://a.example/"]),
        ('<area href=" https://a.example/ ">', ["https://a.example/"]),
        ('<a href="https://a.example/?a=1&amp;b=2">', ["https://a.example/?a=1&b=2"]),
        ('<a href="https://a.example/?a=1&b=2">', ["https://a.example/?a=1&b=2"]),
        (
            '<a href="https://a.example/?a=1&copy=2">',
            ["https://a.example/?a=1&copy=2"],
        ),  # as browsers have it
        ('<a href="https://a.example/?a=1&copy">', []),  # © where nothing follows: left alone
        ('<a href="https://a.example/&#47;x&#x2F;">', ["https://a.example//x/"]),
        ('<a href="https://a.example/&notit;">', []),
        ('<a title=">" href="https://a.example/">', ["https://a.example/"]),
        ('<a href="https://a.example/" href="https://b.example/">', ["https://a.example/"]),
        ('<a href="https://a.example/" data-mailmux-track="off">', []),
        ("<a DATA-MAILMUX-TRACK=OFF href=https://a.example/>", []),
        ('<a href="https://a.example/" data-mailmux-track="on">', ["https://a.example/"]),
        ("<a href>", []),
        ('<link href="https://a.example/"><base href="https://a.example/">', []),
        ('<abbr href="https://a.example/">', []),
        ('<!-- <a href="https://a.example/"> -->', []),
        ('<!--> <a href="https://a.example/"> -->', ["https://a.example/"]),
        ('<!--[if mso]><a href="https://a.example/"><![endif]-->', []),
        ('<![if !mso]><a href="https://a.example/"><![endif]>', ["https://a.example/"]),
        ('<style>a::after{content:"<a href=https://a.example/>"}</style>', []),
        ("<script>'<a href=https://a.example/>'</script><a href=https://b.example/>", ["https://b.example/"]),
        ("<textarea><a href=https://a.example/></textarea>", []),
        ('<p title="<a href=https://a.example/>">', []),
        ("1 < 2 <a href=https://a.example/>", ["https://a.example/"]),
        ('<a href="https://a.example/', []),
        ('<a href="x" b="> <a href=https://a.example/>', []),
    ],
)
def test_links_are_found_as_browsers_find_them(html: str, addresses: list[str]) -> None:
    assert seen(html) == addresses


def tags_of(html: str) -> list[tuple[str, dict[str, str | None]]]:
    """As the standard library reads them."""
    found: list[tuple[str, dict[str, str | None]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

    Reader().feed(html)
    return found


MARKUP = st.lists(
    st.one_of(
        st.sampled_from(
            ["<a ", "href=", "HREF = ", '"', "'", ">", "<", "/", "=", " ", "\n", "&amp;", "&", "<!--", "-->", "</a>",
             "https://a.example/", "http://b.example/?q=1&amp;r=2", "<style>", "</style>", "<script ", "</script>",
             "<b class=x>", "</body>", 'data-mailmux-track="off"', "mailto:a@b.example", "#top", "é", "<area "]
        ),
        st.text(max_size=5),
    ),
    max_size=40,
).map("".join)  # fmt: skip
MARK = "https://mail.example/t/xyz"


@given(MARKUP)
@example('<a href=""><a href="https://a.example/">')
def test_nothing_is_changed_but_the_addresses_that_were_offered(html: str) -> None:
    offered: list[str] = []

    def number(address: str) -> str:
        offered.append(address)
        return f"{MARK}{len(offered) - 1}."

    changed = with_links(html, number)
    back, rest = "", changed
    for place in range(len(offered)):
        before, _, rest = rest.partition(f"{MARK}{place}.")
        back += before
        # What stood there is what remains of the original between the unchanged parts.
        assert html.startswith(back)
        following = rest.partition(f"{MARK}{place + 1}.")[0] if place + 1 < len(offered) else rest
        end = html.find(following, len(back)) if following else len(html)
        assert end >= 0
        back = html[:end]
    assert back + rest == html or not offered


@given(
    st.lists(st.sampled_from(["https://a.example/", "https://a.example/?a=1&b=2", "mailto:x@y.example", "#"]))
)
def test_a_parser_sees_the_same_document_with_other_links(addresses: list[str]) -> None:
    html = "".join(f'<p>x <a class="y" href="{a.replace("&", "&amp;")}">z</a></p>' for a in addresses)
    changed = with_links(html, lambda address: f"{MARK}{address}" if address.startswith("http") else None)
    wanted = [f"{MARK}{a}" if a.startswith("http") else a for a in addresses]
    assert (tags_of(changed), len(addresses)) == (
        [tag for w in wanted for tag in (("p", {}), ("a", {"class": "y", "href": w}))],
        changed.count("</p>"),
    )


@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<a ",
        "<a b='",
        '<a b="',
        "<!--",
        "<a b=c ",
        "</",
        "<!",
        "<script>",
        "&",
        "<a href=&",
        "= ",
        "<a =",
    ],
)
def test_malformed_markup_takes_no_longer_than_other(piece: str) -> None:
    """Of a megabyte; what is quadratic takes minutes."""
    html = piece * (1_000_000 // len(piece))
    began = time.process_time()
    with_links(html, lambda _: None)
    with_image(html, "<img>")
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("html", "with_it"),
    [
        ("<p>x</p>", "<p>x</p>!"),
        ("<html><body>x</BODY ></html>", "<html><body>x!</BODY ></html>"),
        ("<!-- </body> --><body>x</body>", "<!-- </body> --><body>x!</body>"),
        ("x</body>y</body>z", "x</body>y!</body>z"),
        ("x</bodyguard>", "x</bodyguard>!"),
    ],
)
def test_an_image_goes_to_the_end_of_the_body(html: str, with_it: str) -> None:
    assert with_image(html, "!") == with_it
