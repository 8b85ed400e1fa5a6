"""A mailbox as one string (RFC 5322, 3.4), for providers whose API takes people so."""

from __future__ import annotations

import re

from domain.message import Address
from providers.mime import encoded_value

# Beyond ASCII anything is text (RFC 6532, 3.2); what ends or begins something in a mailbox needs quotes.
_NEEDS_QUOTES = re.compile(r'[()<>\[\]:;@\\,."]')


def written(address: Address) -> str:
    """The mailbox in Unicode, its name quoted where that is needed."""
    name = address.name.strip()
    if not name:
        return address.email
    if _NEEDS_QUOTES.search(name):
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        name = f'"{escaped}"'
    return f"{name} <{address.email}>"


def in_ascii(address: Address) -> str:
    """The mailbox in ASCII: a name beyond that as encoded words (RFC 2047)."""
    if address.name.isascii():
        return written(address)
    return f"{encoded_value(address.name.strip())} <{address.email}>"
