"""Looking for an email at SparkPost: GET /api/v1/events/message, by recipients and time; the events bear our metadata.

Source: developers.sparkpost.com/api/events: events have the form of the webhook's, are kept for ten days, and are there
"generally" within a minute; no more than 4,096 characters of address.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, timedelta
from urllib.parse import urlencode

from domain.events import InboundEvent
from domain.lookups import Sought
from providers.searching import MOST, Searching, as_told, is_sought
from providers.sparkpost_webhook import Webhook
from providers.webhooks import mapping, texts

_READER = Webhook((), initial_opens=False)
_CLOCKS = timedelta(minutes=5)  # that their clock may be behind ours


class SparkPostSearch(Searching):
    def search(self, sought: Sought) -> Iterable[InboundEvent]:
        if not sought.recipients:
            return
        begin = f"{(sought.since - _CLOCKS).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        query = {"recipients": ",".join(sought.recipients[:MOST]), "from": begin, "per_page": 1000}
        for item in self.told(f"/api/v1/events/message?{urlencode(query)}")["results"]:
            if is_sought(texts(mapping(item).get("rcpt_meta")), sought):
                yield from as_told(_READER, item)
