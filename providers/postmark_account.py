"""What Postmark tells of an account: how the server is set, and its suppression lists.

Source: postmarkapp.com/developer/api/server-api.
"""

from __future__ import annotations

from domain.checkup import Checkup
from domain.errors import Misconfigured
from domain.suppression import ListPage
from providers.base import HTTPProvider
from providers.exchange import Request, Response
from providers.postmark_lists import page


class PostmarkAccount(HTTPProvider):
    def probe(self) -> Request:
        return Request("GET", "/server", self._fields)

    def recognise(self, response: Response) -> Checkup:
        server = self.json(response)
        sandbox = server.get("DeliveryType") == "Sandbox"
        if not isinstance(server["ID"], int):
            raise TypeError("no id")
        tracks = server.get("TrackOpens") is True
        if tracks and self._capabilities.tracking_opens_off:
            raise Misconfigured(
                self.name, "the server tracks opens, and server_tracks_opens says that it does not"
            )
        return Checkup(
            notes=("this server is a sandbox: Postmark delivers nothing from it",) if sandbox else ()
        )

    def suppressions(self, cursor: str | None) -> ListPage:
        return page(lambda path: self.ask_list(Request("GET", path, self._fields)), cursor)
