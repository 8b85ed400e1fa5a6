"""What SendGrid tells of an account: whether its key may send, and its authenticated domains.

Sources: the official OpenAPI documents (twilio/sendgrid-oai: tsg_scopes_v3, tsg_domain_authentication_v3).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from domain.checkup import Checkup
from domain.errors import Misconfigured
from domain.sender_domains import DomainRecord, RecordKind, SenderDomain, absolute
from domain.suppression import ListPage
from providers.base import HTTPProvider
from providers.exchange import Request, Response
from providers.sendgrid_lists import page

_PURPOSES = {
    "mail_cname": RecordKind.RETURN_PATH, "mail_server": RecordKind.RETURN_PATH, "subdomain_spf": RecordKind.SPF,
    "dkim": RecordKind.DKIM, "dkim1": RecordKind.DKIM, "dkim2": RecordKind.DKIM,
}  # fmt: skip


class SendGridAccount(HTTPProvider):
    _fields: Mapping[str, str]

    def probe(self) -> Request:
        return Request("GET", "/v3/scopes", {k: v for k, v in self._fields.items() if k != "Content-Type"})

    def recognise(self, response: Response) -> Checkup:
        scopes = self.json(response)["scopes"]
        may_send = "mail.send" in scopes
        if not may_send:
            raise Misconfigured(self.name, "the API key may not send (it lacks the scope mail.send)")
        return Checkup()

    def find_domain(self, name: str) -> SenderDomain | None:
        """By domain authentication. Single senders may be allowed as well, so a domain without it says nothing."""
        path = f"/v3/whitelabel/domains?domain={quote(name, safe='')}&limit=50"
        if (found := self.ask_domain(Request("GET", path, self.probe().headers))) is None:
            return None
        own = [d for d in found if d["domain"].lower() == name]
        if not own:
            return None
        best = max(own, key=lambda d: bool(d["valid"]))
        records = tuple(
            DomainRecord(_PURPOSES[which], r["type"].upper(), absolute(r["host"], name), r["data"])
            for which, r in best["dns"].items() if which in _PURPOSES
        )  # fmt: skip
        return SenderDomain(
            bool(best["valid"]), records, absolute(best["subdomain"], name) if best.get("subdomain") else None
        )

    def suppressions(self, cursor: str | None) -> ListPage:
        fields = self.probe().headers
        return page(lambda path: self.ask_list(Request("GET", path, fields)), cursor)
