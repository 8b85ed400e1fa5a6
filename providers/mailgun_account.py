"""What Mailgun tells of an account: its domains.

Source: Mailgun's own OpenAPI document (mailgun/mailgun-mcp-server, src/openapi.yaml, 2026-07), GET /v4/domains.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from domain.checkup import Checkup, SenderIdentity
from domain.errors import Misconfigured
from domain.sender_domains import DomainRecord, RecordKind, SenderDomain, absolute
from domain.suppression import ListPage
from providers.base import HTTPProvider
from providers.exchange import Request, Response
from providers.mailgun_lists import page


class MailgunAccount(HTTPProvider):
    _fields: Mapping[str, str]
    _domain: str | None

    def probe(self) -> Request:
        path = f"/v4/domains/{quote(self._domain, safe='')}" if self._domain else "/v4/domains?limit=100"
        return Request("GET", path, self._fields)

    def recognise(self, response: Response) -> Checkup:
        found = self.json(response)
        domains = [found["domain"]] if self._domain else found["items"]
        states = {str(d["name"]): str(d["state"]) for d in domains}
        if self._domain and states.get(self._domain) == "disabled":
            raise Misconfigured(self.name, "Mailgun has disabled the domain")
        return Checkup(tuple(SenderIdentity(name, state == "active") for name, state in states.items()))

    def find_domain(self, name: str) -> SenderDomain | None:
        """Mailgun takes emails by a domain only, so one that it does not know is not verified."""
        path = f"/v4/domains/{quote(self._domain or name, safe='')}"
        if (found := self.ask_domain(Request("GET", path, self._fields))) is None:
            return None if self._domain else SenderDomain(verified=False)
        records = tuple(
            DomainRecord(_purpose(r), r["record_type"], absolute(r["name"], name), r["value"])
            for r in found.get("sending_dns_records") or () if r is not None
        )  # fmt: skip
        return SenderDomain(found["domain"]["state"] == "active", records)

    def suppressions(self, cursor: str | None) -> ListPage:
        def ask(path: str) -> Any:
            return self.ask_list(Request("GET", path, self._fields))

        return page(ask, self._domain, cursor)


def _purpose(record: Mapping[str, Any]) -> RecordKind:
    if record["record_type"] == "CNAME":
        return RecordKind.TRACKING
    return RecordKind.DKIM if "_domainkey" in record["name"] else RecordKind.SPF
