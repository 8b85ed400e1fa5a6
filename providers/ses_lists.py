"""Whom Amazon SES does not write to: the account-level suppression list, by ListSuppressedDestinations.

Source: the API reference of SES v2.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from domain.suppression import ListPage
from providers.lists import listed


def page(found: Any) -> ListPage:
    """A page as SES answers it."""
    entries = [
        listed("ses", str(e.get("Reason")), e.get("EmailAddress"), _day(e.get("LastUpdateTime")))
        for e in found.get("SuppressedDestinationSummaries") or ()
    ]
    rest = found.get("NextToken")
    return ListPage([e for e in entries if e is not None], rest if isinstance(rest, str) and rest else None)


def _day(seconds: object) -> str | None:
    if not isinstance(seconds, int | float) or not 0 <= seconds < 1 << 35:
        return None
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
