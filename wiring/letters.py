"""What Mailmux itself writes to its users: emails like all others, of the first operator."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

import structlog

from api.gathering import Gathering
from db.uow import SqlUnitOfWork
from domain.errors import StorageUnavailable
from domain.intake import Draft, KeyInFlight, KeyTaken, Once, Refused, Sender
from domain.message import Address, Envelope, Message, Recipient
from domain.ports import DeliveryQueue
from domain.webhooks import Notice
from wiring.bootstrap import new_id
from wiring.settings import Settings

_KEEP: Final = timedelta(days=7)  # in which a notice is not written twice
_MOST: Final = 5  # notices to one owner about one day, each about another webhook
_TYPE: Final = "transactional"
_WORDS: Final = """\
Mailmux has disabled your webhook {id} at {host}
on {at:%Y-%m-%d} at {at:%H:%M} UTC, because {reason}.

It is told nothing more. What waited is kept, and told when you enable it again:

    PATCH /v1/webhooks/{id}  {{"enabled": true}}

GET /v1/webhooks/{id}/messages shows what it answered. What happens in the meantime can be told afterwards:

    POST /v1/webhooks/{id}/replay
"""

log = structlog.get_logger(__name__)


def letters(
    settings: Settings, units: Callable[[], SqlUnitOfWork], queue: DeliveryQueue
) -> Callable[[Notice], None]:
    """What writes to the owner of a disabled webhook; nothing where no address to write from is set.

    Once a day about a webhook, whenever it is disabled on it, and to one owner about few of them.
    """
    gathering, sender = Gathering(units, queue, new_id), settings.notices_from

    def write(notice: Notice) -> None:
        if sender is None or notice.operator_id is None:
            return
        host = urlsplit(notice.url).hostname  # what follows may hold a secret
        text = _WORDS.format(host=host, id=notice.webhook_id, at=notice.at, reason=notice.reason)
        draft = Draft(
            Message("A webhook of yours was disabled", text),
            Envelope(sender, (Recipient(Address(notice.email)),)),
            _TYPE,
        )
        # A user can have a webhook disabled as often as he likes: a day has few places, and a webhook has one of them.
        same = hashlib.sha256(notice.webhook_id.bytes).digest()
        for place in range(_MOST):
            key = f"webhook.disabled/{notice.owner_id}/{notice.at:%Y-%m-%d}/{place}"
            try:
                gathering.accept(Sender(notice.operator_id), [draft], Once("letters", key, same, _KEEP))
                return
            except KeyTaken:
                continue  # by another webhook
            except KeyInFlight as busy:
                raise StorageUnavailable("another process is writing this notice") from busy
            except Refused as error:
                log.warning("notice_not_written", webhook=str(notice.webhook_id), error=type(error).__name__)
                return
        log.warning("notice_not_written", webhook=str(notice.webhook_id), error="enough of that day")

    return write
