"""Whom SendGrid does not write to: /v3/suppression/… by limit and offset, and the unsubscribed of groups in one answer.

Source: twilio.com/docs/sendgrid/api-reference, "Bounces API", "Invalid Emails API", "Spam Reports API", "Suppressions -
Global Suppressions", "Suppressions - Suppressions". Blocks are not asked for: they pass.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from domain.suppression import ListPage
from providers.lists import listed

_PAGE = 500
_LISTS = ("bounces", "invalid_emails", "spam_reports", "unsubscribes", "group_unsubscribes")


def page(ask: Callable[[str], Any], cursor: str | None) -> ListPage:
    """`cursor`: LIST:OFFSET. Raises ValueError where it is another."""
    name, _, offset = (cursor or f"{_LISTS[0]}:0").partition(":")
    place, first = _LISTS.index(name), _offset(offset)
    if name == _LISTS[-1]:
        found = ask("/v3/asm/suppressions")
        full = False
    else:
        found = ask(f"/v3/suppression/{name}?limit={_PAGE}&offset={first}")
        full = len(found) >= _PAGE
    entries = [
        listed("sendgrid", name, e.get("email"), _day(e.get("created", e.get("created_at")))) for e in found
    ]
    following = _LISTS[place + 1 :]
    rest = f"{name}:{first + len(found)}" if full else f"{following[0]}:0" if following else None
    return ListPage([e for e in entries if e is not None], rest)


def _offset(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ValueError("no offset")
    return int(text)


def _day(seconds: object) -> str | None:
    if not isinstance(seconds, int) or not 0 <= seconds < 1 << 35:
        return None
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
