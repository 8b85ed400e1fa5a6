"""Whom Postmark does not write to: the dump of each message stream, whole.

Source: postmarkapp.com/developer/api/suppressions-api and …/message-streams-api.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from domain.suppression import ListPage
from providers.lists import listed, postmark_reason


def page(ask: Callable[[str], Any], cursor: str | None) -> ListPage:
    """`cursor`: the stream. Raises ValueError where there is none of that name."""
    streams = [
        str(s["ID"])
        for s in ask("/message-streams?MessageStreamType=All")["MessageStreams"]
        if s.get("MessageStreamType") != "Inbound"
    ]
    if not streams and cursor is None:
        return ListPage((), None)
    place = 0 if cursor is None else streams.index(cursor)
    found = ask(f"/message-streams/{quote(streams[place], safe='')}/suppressions/dump")["Suppressions"]
    entries = [
        listed(
            "postmark",
            postmark_reason(str(e.get("SuppressionReason")), str(e.get("Origin"))),
            e.get("EmailAddress"),
            str(e.get("CreatedAt"))[:10],
        )
        for e in found
    ]
    following = streams[place + 1 :]
    return ListPage([e for e in entries if e is not None], following[0] if following else None)
