"""Whom MailerSend left out of an email that it took, as the warnings of its answer say.

Source: developers.mailersend.com: "Email", the warnings of suppressed recipients.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from domain.events import RejectReason
from providers.mailersend_webhook import REASONS
from providers.partial import LISTED
from providers.webhooks import word, words


def suppressed(warnings: Iterable[Mapping[str, Any]]) -> tuple[list[tuple[str, RejectReason]], bool]:
    """Who is suppressed and why, and whether there are more, who are not named."""
    named: list[tuple[str, RejectReason]] = []
    unnamed = False
    for warning in warnings:
        people: Sequence[Mapping[str, Any]] = warning.get("recipients") or ({},)
        for person_ in people:
            address = word(person_.get("email"))
            reasons = [REASONS[r] for r in words(person_.get("reasons")) if r in REASONS]
            if address is None:
                unnamed = True
            else:
                named.append((address, reasons[0] if reasons else LISTED))
    return named, unnamed


def reasons_of(warnings: Sequence[Mapping[str, Any]]) -> str:
    """Why, without whom."""
    people = (p for w in warnings for p in w.get("recipients") or ())
    found = {str(r) for p in people for r in words(p.get("reasons"))}
    return ", ".join(sorted(found))[:200] or "no reason is told"
