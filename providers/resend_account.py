"""What Resend tells of an account: its domains. A key may be allowed to send only.

Source: the official OpenAPI document (resend/resend-openapi, 2026-08), GET /domains and /domains/{id}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from domain.checkup import Checkup, SenderIdentity
from domain.errors import Misconfigured
from domain.sender_domains import DomainRecord, RecordKind, SenderDomain, absolute
from providers.base import UNREADABLE, HTTPProvider
from providers.exchange import Request, Response

_DOMAINS, _MOST_PAGES = "/domains?limit=100", 50
_PURPOSES = {"SPF": RecordKind.RETURN_PATH, "DKIM": RecordKind.DKIM, "Tracking": RecordKind.TRACKING}


class ResendAccount(HTTPProvider):
    _fields: Mapping[str, str]

    def probe(self) -> Request:
        return Request("GET", _DOMAINS, self._fields)

    def may_only_send(self, response: Response) -> bool:
        return response.status in (401, 403) and self._kind(response) == "restricted_api_key"

    def recognise(self, response: Response) -> Checkup:
        found = self.json(response)
        identities = tuple(SenderIdentity(str(d["name"]), d["status"] == "verified") for d in found["data"])
        more = ("only the first 100 domains are listed",) if found.get("has_more") else ()
        return Checkup(identities, notes=more)

    def find_domain(self, name: str) -> SenderDomain | None:
        """Resend takes emails of its domains only, so one that it does not know is not verified."""
        known = self._id_of(name)
        if known is None:
            return SenderDomain(verified=False)
        found = self.json(self.passed(self._origin.perform(
            Request("GET", f"/domains/{quote(known, safe='')}", self._fields))))  # fmt: skip
        asked = [r for r in found.get("records") or () if r["record"] in _PURPOSES]
        records = tuple(
            DomainRecord(
                _PURPOSES[r["record"]], r["type"], absolute(r["name"], name), r["value"], r.get("priority")
            )
            for r in asked
        )
        return SenderDomain(_may_send(found, asked), records)

    def _id_of(self, name: str) -> str | None:
        """Resend has no search by name: its list is read page by page."""
        after = ""
        for _ in range(_MOST_PAGES):
            listed = self.ask_domain(Request("GET", f"{_DOMAINS}{after}", self._fields))
            known = [str(d["id"]) for d in listed["data"] if d["name"].lower() == name]
            if known:
                return known[0]
            if not listed.get("has_more") or not listed["data"]:
                return None
            after = f"&after={quote(str(listed['data'][-1]['id']), safe='')}"
        raise Misconfigured(self.name, f"it has more than {100 * _MOST_PAGES} domains")

    def _kind(self, response: Response) -> str:
        try:
            return str(self.json(response)["name"])
        except UNREADABLE:
            return ""


def _may_send(domain: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether Resend sends for it: a domain is verified in part where receiving or tracking is not."""
    if (domain.get("capabilities") or {}).get("sending") == "disabled":
        return False
    if domain["status"] in ("partially_verified", "partially_failed"):
        needed = [r for r in records if r["record"] in ("SPF", "DKIM")]
        return bool(needed) and all(r["status"] == "verified" for r in needed)
    return bool(domain["status"] == "verified")
