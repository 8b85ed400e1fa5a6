"""Looking for an email at Postmark: GET /messages/outbound by a field of its metadata.

Sources: postmarkapp.com/developer/api/messages-api (messages are kept for 45 days; `messagestream`; the details with
their MessageEvents), postmarkapp.com/support/article/1125-custom-metadata-faq (`metadata_NAME=VALUE`, one field at a
time), …/api/bounce-api (a bounce has the form of the webhook's), the official SDK (postmark-python 0.4) for the values
of Status. It does not say how soon a message is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from domain.events import InboundEvent
from domain.lookups import Sought
from providers.postmark_webhook import Webhook
from providers.searching import MOST, Searching, as_told, found, is_sought, key_of
from providers.webhooks import attempt_of, email_of, instant, mapping, texts, word

_READER = Webhook(())
# What stands in the details of a message as the webhook's record would say it. Bounces are asked for themselves, since
# only there it stands of what kind they are.
_RECORDS: Mapping[str, Mapping[str, str]] = {
    "Delivered": {"RecordType": "Delivery"},
    "Transient": {"RecordType": "Bounce", "Type": "Transient"},
    "Opened": {"RecordType": "Open"},
    "LinkClicked": {"RecordType": "Click"},
}


# Of these it is not said whether any recipient got it: what became of each is in the events.
_NOT_SENT = frozenset({"Blocked", "Failed"})


class PostmarkSearch(Searching):
    _streams: tuple[str, ...]

    def search(self, sought: Sought) -> Iterable[InboundEvent]:
        name, value = key_of(sought)
        for stream in self._streams:
            query = {"count": 50, "offset": 0, f"metadata_{name}": value, "messagestream": stream}
            messages = self.told(f"/messages/outbound?{urlencode(query)}")["Messages"]
            for message in [m for m in messages if is_sought(texts(m.get("Metadata")), sought)][:MOST]:
                yield from self._told_of(message, sought)

    def _told_of(self, message: Mapping[str, Any], sought: Sought) -> Iterator[InboundEvent]:
        message_id, metadata = word(message["MessageID"]), texts(message["Metadata"])
        attempt = attempt_of(metadata)
        if attempt is None or message_id is None:
            raise ValueError("no id")
        at = instant(message.get("ReceivedAt"))
        if word(message.get("Status")) not in _NOT_SENT:
            yield found(attempt, email_of(metadata) or sought.email_id, message_id, message, at)
        common = {"MessageID": message_id, "Metadata": metadata, "Tag": message.get("Tag")}
        details = self.told(f"/messages/outbound/{quote(message_id, safe='')}/details")
        events = [mapping(event) for event in details.get("MessageEvents") or ()]
        for event in events:
            if (record := _RECORDS.get(str(event.get("Type")))) is not None:
                yield from as_told(_READER, {**common, **_record(event, record)})
        if any(event.get("Type") == "Bounced" for event in events):
            bounces = self.told(f"/bounces?{urlencode({'count': 50, 'offset': 0, 'messageID': message_id})}")[
                "Bounces"
            ]
            for bounce in bounces:
                if bounce.get("MessageID") == message_id:
                    yield from as_told(_READER, {**common, "RecordType": "Bounce", **bounce})


def _record(event: Mapping[str, Any], record: Mapping[str, str]) -> dict[str, Any]:
    details = mapping(event.get("Details"))
    return {
        **record,
        "Recipient": event.get("Recipient"),
        "ReceivedAt": event.get("ReceivedAt"),
        "Details": word(details.get("DeliveryMessage")),
        "OriginalLink": word(details.get("Link")),
    }
