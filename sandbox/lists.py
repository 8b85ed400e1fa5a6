"""What an account lists of those who are not written to any more, and how each provider's API tells it, page by page.

Sources: SendGrid's v3 reference, "Suppressions" (limit and offset; groups in one answer); Postmark's "Suppressions API"
(a dump of each stream); SES v2, ListSuppressedDestinations (NextToken); Mailgun's "Suppressions" (paging.next is an
address).
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlencode

REASONS = ("bounce", "invalid", "complaint", "unsubscribe", "manual")


class InvalidEntry(ValueError):
    """No entry of a list."""


@dataclass(frozen=True)
class OnList:
    """`reason`: one of REASONS."""

    address: str
    reason: str
    at: float

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)


def read_entries(body: Any, now: float) -> list[OnList]:
    """{"entries": [{"address", "reason"}]}. Raises InvalidEntry."""
    entries = body.get("entries") if isinstance(body, dict) else None
    if not isinstance(entries, list):
        raise InvalidEntry("entries is a list")
    found = []
    for entry in entries:
        address, reason = (entry.get("address"), entry.get("reason")) if isinstance(entry, dict) else ("", "")
        if not isinstance(address, str) or "@" not in address or reason not in REASONS:
            raise InvalidEntry(f"an entry has an address and a reason: {', '.join(REASONS)}")
        found.append(OnList(address, str(reason), now))
    return found


class Lists:
    """Of one account. Called from several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[OnList] = []

    def put(self, entries: Sequence[OnList]) -> None:
        with self._lock:
            self._entries = list(entries)

    def of(self, *reasons: str) -> list[OnList]:
        with self._lock:
            return [entry for entry in self._entries if entry.reason in reasons]


def _number(query: str, name: str, default: int, most: int) -> int:
    text = parse_qs(query).get(name, [str(default)])[0]
    return min(int(text), most) if text.isascii() and text.isdigit() else default


SENDGRID = {
    "/v3/suppression/bounces": "bounce",
    "/v3/suppression/invalid_emails": "invalid",
    "/v3/suppression/spam_reports": "complaint",
    "/v3/suppression/unsubscribes": "unsubscribe",
}
SENDGRID_GROUPS = "/v3/asm/suppressions"


def sendgrid(lists: Lists, path: str, query: str) -> list[dict[str, Any]]:
    if path == SENDGRID_GROUPS:
        return [
            {"email": e.address, "group_id": 1, "group_name": "News", "created_at": int(e.at)}
            for e in lists.of("manual")
        ]
    first, most = _number(query, "offset", 0, 1 << 30), _number(query, "limit", 500, 500)
    more = {"bounce": {"reason": "550 5.1.1 The email account does not exist", "status": "5.1.1"},
            "invalid": {"reason": "Mail domain mentioned in email address is unknown"},
            "complaint": {"ip": "198.51.100.1"}}  # fmt: skip
    reason = SENDGRID[path]
    return [
        {"created": int(e.at), "email": e.address, **more.get(reason, {})}
        for e in lists.of(reason)[first : first + most]
    ]


_POSTMARK = {
    "outbound": {"bounce": ("HardBounce", "Recipient"), "manual": ("ManualSuppression", "Customer")},
    "broadcast": {
        "complaint": ("SpamComplaint", "Recipient"),
        "unsubscribe": ("ManualSuppression", "Recipient"),
    },
}
POSTMARK_STREAMS = "/message-streams"
POSTMARK_DUMPS = {f"{POSTMARK_STREAMS}/{stream}/suppressions/dump": stream for stream in _POSTMARK}


def postmark(lists: Lists, path: str) -> dict[str, Any]:
    if path == POSTMARK_STREAMS:
        kinds = {"outbound": "Transactional", "inbound": "Inbound", "broadcast": "Broadcasts"}
        streams = [
            {"ID": name, "MessageStreamType": kind, "ArchivedAt": None} for name, kind in kinds.items()
        ]
        return {"MessageStreams": streams, "TotalCount": len(streams)}
    words = _POSTMARK[POSTMARK_DUMPS[path]]
    return {
        "Suppressions": [
            {
                "EmailAddress": e.address,
                "SuppressionReason": words[e.reason][0],
                "Origin": words[e.reason][1],
                "CreatedAt": e.moment.isoformat(timespec="seconds"),
            }
            for e in lists.of(*words)
        ]
    }


SES = "/v2/email/suppression/addresses"
_SES = {"bounce": "BOUNCE", "complaint": "COMPLAINT"}


def ses(lists: Lists, query: str) -> dict[str, Any]:
    first, most = _number(query, "NextToken", 0, 1 << 30), _number(query, "PageSize", 100, 1000)
    entries = lists.of(*_SES)
    page: dict[str, Any] = {
        "SuppressedDestinationSummaries": [
            {"EmailAddress": e.address, "Reason": _SES[e.reason], "LastUpdateTime": e.at}
            for e in entries[first : first + most]
        ]
    }
    return page | ({"NextToken": str(first + most)} if first + most < len(entries) else {})


MAILGUN = {"bounces": "bounce", "complaints": "complaint", "unsubscribes": "unsubscribe"}


def mailgun(lists: Lists, domain: str, name: str, query: str, base_url: str) -> dict[str, Any]:
    """The address in `p` is where a page begins; a page after the last is empty, and says no other."""
    first, most = _number(query, "p", 0, 1 << 30), _number(query, "limit", 100, 1000)
    more: dict[str, dict[str, Any]] = {
        "bounces": {"code": "550", "error": "No such mailbox"},
        "unsubscribes": {"tags": ["*"]},
        "complaints": {"count": 1},
    }
    entries = lists.of(MAILGUN[name])[first : first + most]
    where = f"{base_url}/v3/{domain}/{name}?"
    return {
        "items": [
            {
                "address": e.address,
                "created_at": format_datetime(e.moment).replace("+0000", "UTC"),
                **more[name],
            }
            for e in entries
        ],
        "paging": {
            "next": where + urlencode({"page": "next", "p": first + len(entries), "limit": most}),
            "previous": where + urlencode({"page": "previous", "p": max(0, first - most), "limit": most}),
        },
    }
