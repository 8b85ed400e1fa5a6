"""What Mailjet tells of an account: the senders that it may use.

Source: dev.mailjet.com/email/reference/sender-addresses-and-domains.
"""

from __future__ import annotations

from domain.checkup import Checkup, SenderIdentity
from providers.base import HTTPProvider
from providers.exchange import Request, Response


class MailjetAccount(HTTPProvider):
    def probe(self) -> Request:
        return Request("GET", "/v3/REST/sender?Limit=100", self._fields)

    def recognise(self, response: Response) -> Checkup:
        found = self.json(response)["Data"]
        return Checkup(
            tuple(
                SenderIdentity(str(d["Email"]).removeprefix("*@"), d["Status"] == "Active")
                for d in found
                if d["Status"] != "Deleted"
            )
        )
