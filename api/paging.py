"""Cursors: opaque to the caller; where the page before ended."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import RowMapping

from api.errors import FieldError, invalid

PageOf = TypeVar("PageOf", bound=BaseModel)


def write_cursor(last: UUID) -> str:
    return base64.urlsafe_b64encode(last.bytes).decode().rstrip("=")


def page(
    model: type[PageOf], rows: Sequence[RowMapping], limit: int, show: Callable[[RowMapping], Any]
) -> PageOf:
    """A page of at most `limit` of the rows, of which one more was read to know whether there are more."""
    shown, more = rows[:limit], len(rows) > limit
    return model(
        data=[show(row) for row in shown],
        has_more=more,
        next_cursor=write_cursor(shown[-1]["id"]) if more else None,
    )


def read_cursor(text: str | None, place: tuple[str, str] = ("parameter", "cursor")) -> UUID | None:
    """Raises Problem where this is no cursor of ours. `place`: where it stood, as FieldError has it."""
    if text is None:
        return None
    try:
        return UUID(bytes=base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise invalid([FieldError(*place, "cursor", "this is no next_cursor of a list")]) from None
