"""What happens to a message after it was taken, by the recipient's address.

The part of the address before @, up to a +, says it: `bounce-hard+anything@example.com`. Of every other address nothing
more is told, as by a provider whose webhook is off. `blocked-at-ACCOUNT` and `lost-at-ACCOUNT` are delivered by all
accounts but that one, which lets them bounce, or says nothing. With `untold-` before it, as in
`untold-delivered@example.com`, all that is kept from the webhook: it is lost, and only who asks learns of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Happening(Enum):
    """One thing that a provider tells, whatever it calls it."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    BOUNCED_HARD = "bounced, hard"
    BOUNCED_SOFT = "bounced, soft"
    DEFERRED = "deferred"
    DROPPED_LISTED = "dropped: the recipient is on the provider's list"
    DROPPED = "dropped: the provider would not send it"
    COMPLAINED = "complained"
    OPENED = "opened"
    CLICKED = "clicked"
    UNSUBSCRIBED = "unsubscribed"


_H = Happening
STORIES: dict[str, tuple[Happening, ...]] = {
    "delivered": (_H.QUEUED, _H.DELIVERED),
    "bounce-hard": (_H.QUEUED, _H.BOUNCED_HARD),
    "bounce-soft": (_H.QUEUED, _H.BOUNCED_SOFT),
    "late-bounce": (_H.QUEUED, _H.DELIVERED, _H.BOUNCED_HARD),
    "complaint": (_H.QUEUED, _H.DELIVERED, _H.COMPLAINED),
    "deferred": (_H.QUEUED, _H.DEFERRED),
    "delayed": (_H.QUEUED, _H.DEFERRED, _H.DELIVERED),
    "dropped": (_H.DROPPED,),
    "dropped-listed": (_H.DROPPED_LISTED,),
    "opened": (_H.QUEUED, _H.DELIVERED, _H.OPENED),
    "clicked": (_H.QUEUED, _H.DELIVERED, _H.OPENED, _H.CLICKED),
    "unsubscribed": (_H.QUEUED, _H.DELIVERED, _H.UNSUBSCRIBED),
}


# By the account that took the message: `blocked-at-sandbox-sendgrid+anything@example.com`.
_AT = {"blocked-at-": (_H.QUEUED, _H.BOUNCED_SOFT), "lost-at-": (_H.QUEUED,)}


_UNTOLD = "untold-"


def is_told(address: str) -> bool:
    """Whether the webhook hears of a recipient."""
    return not address.lower().startswith(_UNTOLD)


def story_of(address: str, account: str = "") -> Sequence[Happening]:
    """What becomes of a recipient's copy, in order. What another `account` would block or lose is delivered."""
    name = address.partition("@")[0].partition("+")[0].lower().removeprefix(_UNTOLD)
    for kind, story in _AT.items():
        if name.startswith(kind):
            return story if name.removeprefix(kind) == account else STORIES["delivered"]
    return STORIES.get(name, ())


@dataclass(frozen=True)
class Signed:
    """A call as it goes on the wire. `proof`: what proves it, where that stands in the body."""

    headers: dict[str, str]
    body: bytes
    proof: str = ""
