"""What Brevo tells of an account: its credits, and its domains.

Sources: developers.brevo.com/reference: "Get your account information", "Get the list of all your domains", "Validate
domain configuration".
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from domain.checkup import Checkup, SenderIdentity
from domain.sender_domains import DomainRecord, RecordKind, SenderDomain, absolute
from providers.base import HTTPProvider
from providers.exchange import Request, Response

_PURPOSES = {
    "dkim_record": RecordKind.DKIM, "dkim1Record": RecordKind.DKIM, "dkim2Record": RecordKind.DKIM,
    "brevo_code": RecordKind.OWNERSHIP, "dmarc_record": RecordKind.DMARC,
}  # fmt: skip


class BrevoAccount(HTTPProvider):
    _fields: Mapping[str, str]

    def probe(self) -> Request:
        return Request("GET", "/v3/account", self._fields)

    def recognise(self, response: Response) -> Checkup:
        plans = self.json(response)["plan"]
        credit = [f"{p['type']}: {p['credits']:g} {p.get('creditsType', '')}".strip() for p in plans]
        domains = self._origin.perform(Request("GET", "/v3/senders/domains", self._fields))
        if domains.status in (401, 403, 404):
            return Checkup(notes=(f"credits: {'; '.join(credit)}",))
        found = self.json(self.passed(domains))["domains"]
        identities = tuple(SenderIdentity(str(d["domain_name"]), bool(d["authenticated"])) for d in found)
        return Checkup(identities, notes=(f"credits: {'; '.join(credit)}",))

    def find_domain(self, name: str) -> SenderDomain | None:
        """Single addresses may be allowed as well, so a domain that Brevo does not know says nothing."""
        path = f"/v3/senders/domains/{quote(name, safe='')}"
        if (found := self.ask_domain(Request("GET", path, self._fields))) is None:
            return None
        records = tuple(
            DomainRecord(_PURPOSES[which], r["type"], absolute(r["host_name"], name), r["value"])
            for which, r in found["dns_records"].items() if which in _PURPOSES and r
        )  # fmt: skip
        return SenderDomain(bool(found["authenticated"]), records)
