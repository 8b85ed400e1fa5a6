"""Emails that are accepted a second time, to take the place of those that failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from api.auth import caller, unauthorized
from api.errors import FieldError, Problem, not_found
from api.payload import fingerprint
from api.requests import dependencies
from api.schemas.posting import SendHeaders
from api.sending import hand_over
from db.repositories.selection import EmailQuery
from domain.intake import AlreadyResent, Objection, Once, Receipt, Refused, SenderGone
from domain.resending import Resendable

_ROUTE = "POST /v1/emails/{id}/resend"
MOST = 200  # emails of one request: their bodies are read


@dataclass(frozen=True, slots=True)
class Resent:
    """`emails`: how many new ones there are; `refused`: the others, and why; `last`: up to where was looked."""

    emails: int
    refused: Sequence[tuple[UUID, str]]
    last: UUID | None
    more: bool


def resend_one(id: UUID, header: SendHeaders) -> Receipt:
    """Raises Problem: 404; 409 where the email is not to be sent again, or was already; 422."""
    deps = dependencies()
    with deps.units() as unit:
        found = unit.resends.one(caller().user_id, id)
    if found is None:
        raise not_found()
    once = None
    if header.idempotency_key is not None:
        asked = fingerprint({"id": str(id)})
        once = Once(_ROUTE, header.idempotency_key, asked, deps.limits.idempotency_ttl)
    try:
        return hand_over([found.draft(deps.gathering.rules.public_url)], once, _explained)
    except AlreadyResent as late:
        with deps.units() as unit:
            before = unit.resends.one(caller().user_id, id)
        raise Problem(
            409,
            "The email was sent again already: look at its successor, which can be sent again in turn",
            extra={"resent_as": str(before.resent_as) if before and before.resent_as else None},
        ) from late


def resend_some(query: EmailQuery) -> Resent:
    """Send again what may be, as one transaction; what would not be accepted today is left out and told."""
    with dependencies().units() as unit:
        found = unit.resends.some(caller().user_id, query, MOST + 1)
    chosen, refused = found[:MOST], []
    last, more = (chosen[-1].email.id if chosen else None), len(found) > MOST
    while chosen:
        problems = _accept(chosen)
        if not problems:
            break
        refused += [(old.email.id, problems[old.email.id]) for old in chosen if old.email.id in problems]
        chosen = [old for old in chosen if old.email.id not in problems]
    return Resent(len(chosen), refused, last, more)


def _accept(chosen: Sequence[Resendable]) -> dict[UUID, str]:
    """Accept all of them; or none, and say of some why not."""
    deps = dependencies()
    try:
        deps.gathering.accept(
            caller(),
            [old.draft(deps.gathering.rules.public_url, item) for item, old in enumerate(chosen)],
        )
    except Refused as refusal:
        problems: dict[UUID, str] = {}
        for objection in refusal.objections:
            problems.setdefault(chosen[objection.item].email.id, objection.detail)
        return problems
    except AlreadyResent as late:
        return dict.fromkeys(late.emails, "it was sent again already")
    except SenderGone as gone:
        raise unauthorized("the API key was revoked or has expired") from gone
    return {}


def _explained(objections: Iterable[Objection]) -> list[FieldError]:
    """Nothing in the request is wrong, so what is said against the email is a conflict with what it is."""
    details = list(dict.fromkeys(o.detail for o in objections))
    raise Problem(409, "; ".join(details))
