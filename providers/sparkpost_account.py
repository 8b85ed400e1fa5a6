"""What SparkPost tells of an account: its sending domains.

Source: developers.sparkpost.com/api/sending-domains.
"""

from __future__ import annotations

from domain.checkup import Checkup, SenderIdentity
from providers.base import HTTPProvider
from providers.exchange import Request, Response


class SparkPostAccount(HTTPProvider):
    def probe(self) -> Request:
        return Request("GET", "/api/v1/sending-domains", self._fields)

    def may_only_send(self, response: Response) -> bool:
        return response.status == 403 and self.explained(response) is not None

    def recognise(self, response: Response) -> Checkup:
        found = self.json(response)["results"]
        return Checkup(
            tuple(
                SenderIdentity(
                    str(d["domain"]),
                    d["status"]["ownership_verified"] is True and not d["status"].get("blocked"),
                )
                for d in found
            )
        )
