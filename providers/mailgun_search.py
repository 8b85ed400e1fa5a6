"""Looking for an email at Mailgun: GET /v3/{domain}/events, by recipient and time; the events bear our variables.

Sources: Mailgun's own OpenAPI document (GET /v3/{domain_name}/events: begin, ascending, limit of 300, recipient; kept
for at least three days) and its user manual, "Event polling": events may come into the log half an hour late. It is
superseded by POST /v1/analytics/logs, of which is not said how its filters name a recipient.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, urlencode

from domain.events import InboundEvent
from domain.lookups import Sought
from providers.mailgun_account import MailgunAccount
from providers.mailgun_webhook import Webhook
from providers.searching import MOST, Searching, as_told, is_sought
from providers.webhooks import mapping, texts

_READER = Webhook(())
_CLOCKS = 300  # seconds that their clock may be behind ours


class MailgunSearch(MailgunAccount, Searching):
    def search(self, sought: Sought) -> Iterable[InboundEvent]:
        domain = quote(self._domain or sought.sender_domain, safe="")
        begin = int(sought.since.timestamp()) - _CLOCKS
        for recipient in sought.recipients[:MOST]:
            query = {"begin": begin, "ascending": "yes", "limit": 300, "recipient": recipient}
            for item in self.told(f"/v3/{domain}/events?{urlencode(query)}")["items"]:
                if is_sought(texts(mapping(item).get("user-variables")), sought):
                    yield from as_told(_READER, {"event-data": item, "signature": {"token": None}})
