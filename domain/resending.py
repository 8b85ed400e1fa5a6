"""Sending an email again: when that is right, and what the new one is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from domain.files import StoredFile
from domain.intake import Draft, Objection
from domain.message import Message, Submission
from domain.unsubscribe import HEADERS

NOT_RESENDABLE: Final = "not_resendable"


@dataclass(frozen=True, slots=True)
class Resendable:
    """An email that somebody may want to send again. `kept`: its body is still there; `retried`: the service itself
    will send it again; `resent_as`: the one that already takes its place; `called_off`: its campaign was cancelled. The
    new one belongs to `campaign_id`; None: to none, also where the old one's was deleted.
    """

    email: Submission
    status: str
    kept: bool
    expired: bool
    retried: bool
    resent_as: UUID | None
    called_off: bool = False
    campaign_id: UUID | None = None
    files: tuple[StoredFile, ...] = ()

    def objection(self) -> str | None:
        """Why it is not sent again."""
        if self.status not in ("failed", "unknown"):
            return (
                f"The email is {self.status}: only one that failed, or whose fate is unknown, is sent again"
            )
        if self.retried:
            return "The service sends this email again by itself (on_unknown: resend)"
        if self.expired:
            return "The email has expired: send a new one"
        if not self.kept:
            return "The email's body was purged: send a new one"
        if self.called_off:
            return "The email's campaign was cancelled: delete the campaign, or send a new email without it"
        return None

    def draft(self, public_url: str | None, item: int = 0) -> Draft:
        """The new email: the same to the same people, at once. It gets a link of its own to unsubscribe by."""
        old = self.email
        problem = self.objection()
        return Draft(
            message=_without_our_links(old.message, public_url),
            envelope=old.envelope,
            email_type=old.email_type,
            on_unknown=old.on_unknown,
            tags=old.tags,
            metadata=old.metadata,
            tracking=replace(old.tracking, links=None),
            wishes=old.wishes,
            expires_at=old.expires_at,
            item=item,
            objections=() if problem is None else (Objection(item, (), NOT_RESENDABLE, problem),),
            campaign_id=None if self.called_off else self.campaign_id,
            files=self.files,
            resend_of=old.id,
        )


def _without_our_links(message: Message, public_url: str | None) -> Message:
    links = [value for name, value in message.headers if name.lower() == HEADERS[0].lower()]
    if public_url is None or not any(link.startswith(f"<{public_url}/u/") for link in links):
        return message
    ours = {name.lower() for name in HEADERS}
    kept = tuple(pair for pair in message.headers if pair[0].lower() not in ours)
    return Message(message.subject, message.text, message.html, kept)
