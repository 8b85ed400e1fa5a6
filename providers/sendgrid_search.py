"""Looking for an email at SendGrid: GET /v3/messages by a unique argument, and the details of each message.

Sources: twilio.com/docs/sendgrid: "Getting started with the Email Activity Feed API" (`unique_args['name']="value"`,
the names of events), api-reference/email-activity. The account must have bought "additional email activity history" and
the key be allowed to read it, else it answers 403; for subusers in the EU there are no data. It does not say how soon a
message is found. v3's custom_args are what it calls unique arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from domain.events import InboundEvent
from domain.lookups import Sought
from providers.fields import ATTEMPT, EMAIL
from providers.searching import MOST, Searching, as_told, found, is_sought, key_of
from providers.sendgrid_account import SendGridAccount
from providers.sendgrid_webhook import Webhook, message_id_of
from providers.webhooks import attempt_of, email_of, embedded, mapping, texts, word

_READER = Webhook(())
# What the details call differently from the webhook.
_NAMES = {"bounced": "bounce", "opened": "open", "clicked": "click", "spam_report": "spamreport"}


class SendGridSearch(SendGridAccount, Searching):
    def search(self, sought: Sought) -> Iterable[InboundEvent]:
        name, value = key_of(sought)
        query = urlencode({"limit": 50, "query": f"(unique_args['{name}']=\"{value}\")"})
        for message in self.told(f"/v3/messages?{query}")["messages"][:MOST]:
            details = self.told(f"/v3/messages/{quote(str(message['msg_id']), safe='')}")
            arguments = texts(embedded(details.get("unique_args")))
            if is_sought(arguments, sought):
                yield from _told_of(details, arguments, sought)


def _told_of(
    details: Mapping[str, Any], arguments: Mapping[str, str], sought: Sought
) -> Iterator[InboundEvent]:
    attempt, email = attempt_of(arguments), email_of(arguments) or sought.email_id
    if attempt is None:
        return
    common = {
        ATTEMPT: str(attempt), EMAIL: str(email), "email": details.get("to_email"), "sg_message_id": details["msg_id"],
    }  # fmt: skip
    events = [mapping(event) for event in details.get("events") or ()]
    if not any(event.get("event_name") == "dropped" for event in events):
        yield found(attempt, email, message_id_of(details["msg_id"]), details)
    for event in events:
        named = word(event.get("event_name")) or ""
        item = {
            **common,
            "event": _NAMES.get(named, named),
            "timestamp": event.get("processed"),
            "reason": event.get("reason"),
            "url": event.get("url"),
            "useragent": event.get("http_user_agent"),
        }
        if named == "bounced":
            item["type"] = "bounce" if event.get("bounce_type") == "hard" else "blocked"
        yield from as_told(_READER, item)
