"""Mailboxes as providers take them in one string: `ada@example.com` or `Ada <ada@example.com>`."""

import email.header
import re
from email.utils import getaddresses

from sandbox.messages import Mailbox

# An address as RFC 5321 writes the usual ones; a domain needs a dot, non-ASCII letters may stand in it.
_EMAIL = re.compile(r"[^\s@<>(),;:\\\"\[\]\x00-\x1f\x7f]{1,64}@(?:[\w-]{1,63}\.)+[\w-]{2,63}")


def is_address(text: str) -> bool:
    return _EMAIL.fullmatch(text) is not None


def read_mailboxes(text: str) -> tuple[Mailbox, ...]:
    """The mailboxes of a comma-separated list. Raises ValueError where one of them is none."""
    found = tuple(Mailbox(address, decode_name(name)) for name, address in getaddresses([text]))
    if not found or not all(is_address(mailbox.email) for mailbox in found):
        raise ValueError(text)
    return found


def read_mailbox(text: str) -> Mailbox:
    """Raises ValueError where the text is not exactly one mailbox."""
    found = read_mailboxes(text)
    if len(found) != 1:
        raise ValueError(text)
    return found[0]


def decode_name(name: str) -> str:
    """A name, its encoded words read (RFC 2047)."""
    try:
        return str(email.header.make_header(email.header.decode_header(name)))
    except (LookupError, ValueError):
        return name
