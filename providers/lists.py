"""What the lists of other services mean on ours: who lists whom for what, and how far that reaches here.

A complaint or an unsubscription stops marketing; what bounced or never existed stops every email. Lists of what was
only blocked for a while (SendGrid's blocks) are about the sender, and are not taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from domain.suppression import ALL, MARKETING, Cause, Listed, normalized

LONGEST_DETAIL: Final = 200


@dataclass(frozen=True, slots=True)
class Meaning:
    cause: Cause
    scope: str


_BOUNCED, _INVALID = Meaning(Cause.HARD_BOUNCE, ALL), Meaning(Cause.PROVIDER, ALL)
_COMPLAINED, _LEFT = Meaning(Cause.COMPLAINT, MARKETING), Meaning(Cause.UNSUBSCRIBED, MARKETING)

# By the provider's own names: of lists, or of reasons.
MEANINGS: Final[Mapping[str, Mapping[str, Meaning]]] = {
    "sendgrid": {
        "bounces": _BOUNCED,
        "invalid_emails": _INVALID,
        "spam_reports": _COMPLAINED,
        "unsubscribes": _LEFT,
        "group_unsubscribes": _LEFT,
    },
    "postmark": {
        "HardBounce": _BOUNCED,
        "SpamComplaint": _COMPLAINED,
        "ManualSuppression": _LEFT,
        "ManualSuppression by Customer": Meaning(Cause.MANUAL, ALL),
        "ManualSuppression by Admin": Meaning(Cause.PROVIDER, ALL),
    },
    "ses": {"BOUNCE": _BOUNCED, "COMPLAINT": _COMPLAINED},
    "mailgun": {"bounces": _BOUNCED, "complaints": _COMPLAINED, "unsubscribes": _LEFT},
}


def postmark_reason(reason: str, origin: str) -> str:
    """Who put somebody on Postmark's list by hand decides what it means."""
    both = f"{reason} by {origin}"
    return both if both in MEANINGS["postmark"] else reason


def listed(provider: str, name: str, address: object, since: object = None) -> Listed | None:
    """An entry of a provider's list in our terms; None where we know no such list, or this is no address."""
    meaning = MEANINGS[provider].get(name)
    if meaning is None or not isinstance(address, str) or "@" not in address:
        return None
    detail = f"on the list of {provider}: {name}" + (f", since {since}" if since else "")
    return Listed(normalized(address), meaning.scope, meaning.cause, detail[:LONGEST_DETAIL])
