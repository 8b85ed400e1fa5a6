"""What MailerSend tells of an account: its domains.

Source: developers.mailersend.com, "Domains".
"""

from __future__ import annotations

from domain.checkup import Checkup, SenderIdentity
from providers.base import HTTPProvider
from providers.exchange import Request, Response


class MailerSendAccount(HTTPProvider):
    def probe(self) -> Request:
        return Request("GET", "/v1/domains?limit=100", self._fields)

    def may_only_send(self, response: Response) -> bool:
        return response.status == 403 and self.explained(response) is not None

    def recognise(self, response: Response) -> Checkup:
        found = self.json(response)["data"]
        return Checkup(tuple(SenderIdentity(str(d["name"]), d["is_verified"] is True) for d in found))
