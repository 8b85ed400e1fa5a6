"""What a provider said, made fit to be kept: without credentials, addresses and bodies, and short."""

from __future__ import annotations

import re
from collections.abc import Iterable

from domain.message import Submission

LONGEST = 300  # characters
_WORD = r"""[^\s<>"'(),;:\[\]{}=]+"""
_ADDRESS = re.compile(rf"""(?:"[^"]*"|{_WORD})@(?:\[[^\]\s]*\]|{_WORD})""")
_BLANK = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_SHORTEST_SECRET = 4  # characters; to blot out less would blot out the language


def clean(text: str, secrets: Iterable[str] = (), submission: Submission | None = None) -> str:
    """The text on one line, with secrets and addresses blotted out, at most LONGEST characters."""
    text = text[: LONGEST * 20]
    for secret in sorted({s for s in secrets if len(s) >= _SHORTEST_SECRET}, key=len, reverse=True):
        text = text.replace(secret, "***")
    text = _ADDRESS.sub("[address]", text)
    if submission is not None:
        for private in _private(submission, len(text)):
            text = re.sub(re.escape(private), "[…]", text, flags=re.IGNORECASE)
    text = _BLANK.sub(" ", text).strip()
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _private(submission: Submission, longest: int) -> list[str]:
    """What of the email an answer of that length may quote whole: subject, bodies, addresses, names."""
    message, envelope = submission.message, submission.envelope
    addresses = [envelope.sender, *envelope.reply_to, *(r.address for r in envelope.recipients)]
    found = {message.subject, message.text or "", message.html or ""}
    found |= {a.email for a in addresses} | {a.name for a in addresses}
    return sorted(
        (f for f in found if len(f) <= longest and len(f.strip()) >= _SHORTEST_SECRET), key=len, reverse=True
    )
