"""Cursors: opaque to the caller; where the page before ended."""

from __future__ import annotations

import base64
import binascii
from uuid import UUID

from api.errors import FieldError, invalid


def write_cursor(last: UUID) -> str:
    return base64.urlsafe_b64encode(last.bytes).decode().rstrip("=")


def read_cursor(text: str | None) -> UUID | None:
    """Raises Problem where this is no cursor of ours."""
    if text is None:
        return None
    try:
        return UUID(bytes=base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise invalid(
            [FieldError("parameter", "cursor", "cursor", "this is no next_cursor of a list")]
        ) from None
