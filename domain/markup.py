"""Changing links of HTML in place: whatever is not the address of a link that is changed stays as it was, to the byte.

No document is built and written anew. Tags are found as browsers find them (WHATWG HTML, 13.2.5), in a time that grows
with the length alone, whatever the markup is like: `html.parser` is quadratic on some that is malformed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html.entities import html5

_VALUE = r"""(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|(?!["'])[^\s>]++)"""
_ATTRIBUTE = rf"=?[^\s/>=]++(?:\s*+=\s*+{_VALUE}?+)?+"
_MARKUP = re.compile(
    rf"""
    <!--(?:-?>|.*?(?:--!?>|\Z))
    |<(?P<raw>script|style|textarea|title|xmp|iframe|noembed|noframes|plaintext)(?=[\s/>])
        .*?(?:</(?P=raw)(?=[\s/>])|\Z)
    |<(?P<name>[a-z][^\s/>]*+)(?P<attributes>(?:[\s/]++|{_ATTRIBUTE})*+)>
    |<[a-z].*\Z
    |(?P<end></body(?=[\s/>]))
    |<[!?/][^>]*+(?:>|\Z)
    """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE | re.ASCII,
)
_ATTRIBUTES = re.compile(rf"(?P<name>=?[^\s/>=]++)(?:\s*+=\s*+(?P<value>{_VALUE})?+)?+", re.DOTALL | re.ASCII)
_REFERENCE = re.compile(r"&(?:#(?:x[0-9a-f]{1,6}|[0-9]{1,7});?|[a-z][a-z0-9]*;?)", re.IGNORECASE | re.ASCII)
_MOST_WRITTEN = 16_000  # characters of an address with its references; of these
_MOST_REFERENCES = 2_000
_BLANKS = " \t\n\f\r"
_LINKS = frozenset({"a", "area"})
OPT_OUT = "data-mailmux-track"  # of a link that is to be left alone, with the value off


def with_links(html: str, replaced: Callable[[str], str | None]) -> str:
    """The markup with other addresses in its links. `replaced` is given each address as a browser reads it; what it
    returns has to need no escaping, and None leaves the link alone. So does the attribute `data-mailmux-track="off"`,
    and an address that browsers might read otherwise.
    """
    parts: list[str] = []
    done = 0
    for start, end, address in _addresses(html):
        if (new := replaced(address)) is not None:
            parts += [html[done:start], new]
            done = end
    return "".join([*parts, html[done:]]) if parts else html


def with_image(html: str, image: str) -> str:
    """The markup with an image at the end of what is shown."""
    place = len(html)
    for tag in _MARKUP.finditer(html):
        if tag["end"] is not None:
            place = tag.start()
    return html[:place] + image + html[place:]


def _addresses(html: str) -> Iterator[tuple[int, int, str]]:
    """Where the addresses of links stand, and what they are."""
    for tag in _MARKUP.finditer(html):
        if tag["name"] is None or tag["name"].lower() not in _LINKS:
            continue
        place: tuple[int, int] | None = None
        wanted = True
        seen = set[str]()
        for attribute in _ATTRIBUTES.finditer(html, tag.start("attributes"), tag.end("attributes")):
            name, value = attribute["name"].lower(), attribute["value"]
            if name in seen or value is None:  # of several of one name the first is meant
                seen.add(name)
                continue
            seen.add(name)
            quoted = value[0] in "\"'"
            start, end = attribute.start("value") + quoted, attribute.end("value") - quoted
            if name == "href":
                place = start, end
            elif name == OPT_OUT and html[start:end].strip(_BLANKS).lower() == "off":
                wanted = False
        if place is None or not wanted:
            continue
        address = _read(html[slice(*place)]) if place[1] - place[0] <= _MOST_WRITTEN else None
        if address is not None:
            yield *place, address


def _read(value: str) -> str | None:
    """An attribute's value without its character references and the blanks around it; None where one of them is not
    closed, and what it means hangs on what follows, or where they are very many.
    """
    plain: list[str] = []
    done = 0
    if value.count("&") > _MOST_REFERENCES:
        return None
    for found in _REFERENCE.finditer(value):
        reference = found[0]
        if reference[1] == "#":
            character = _numbered(reference)
        elif reference.endswith(";"):
            character = html5.get(reference[1:])
        elif _unclosed(reference[1:]):
            character = None if not _is_text(reference, value[found.end() : found.end() + 1]) else reference
        else:
            character = reference
        if character is None:
            return None
        plain += [value[done : found.start()], character]
        done = found.end()
    return "".join([*plain, value[done:]]).strip(_BLANKS)


_UNCLOSED = frozenset(name for name in html5 if not name.endswith(";"))
_LENGTHS = sorted({len(name) for name in _UNCLOSED}, reverse=True)


def _unclosed(name: str) -> str:
    """The longest name of a reference that needs no semicolon which begins it, or none."""
    return next((name[:length] for length in _LENGTHS if name[:length] in _UNCLOSED), "")


def _is_text(reference: str, following: str) -> bool:
    """Whether an unclosed name is no reference within an attribute: something of a name, or =, comes after it."""
    name = reference[1:]
    return len(_unclosed(name)) < len(name) or following == "="


def _numbered(reference: str) -> str | None:
    """A character by its number, where it is a printable one of ASCII, which have no exceptions."""
    digits = reference[2:].rstrip(";")
    number = int(digits[1:], 16) if digits[0] in "xX" else int(digits)
    return chr(number) if reference.endswith(";") and 0x20 < number < 0x7F else None
