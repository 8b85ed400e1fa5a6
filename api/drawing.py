"""An email as it would be accepted, and who would carry it now: for the preview and the dry run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from api import intake
from api.attaching import attach
from api.auth import caller
from api.errors import FieldError, invalid, pointer
from api.requests import dependencies
from api.schemas.posting import EmailCreate
from api.sending import told
from api.templating import fill
from api.tracking import trackable
from domain.intake import Accepted, Draft, Handover, Objection, Once, Receipt
from domain.lifecycle import Status
from domain.message import Submission
from routing.mailbox_groups import HOSTS
from routing.router import Decision, decide


@dataclass(frozen=True, slots=True)
class Drawn:
    """An email as it would be accepted. `decision`: as things are now, whenever it is for."""

    email: Submission
    status: Status
    decision: Decision


def draw(body: EmailCreate, once: Once | None = None) -> Drawn | Accepted:
    """The email, rendered, and the decision about it as things are now; or the one that was accepted before under the
    key. Nothing is written or reserved.

    Raises Problem where sending would be refused.
    """
    drawn = draw_all(attach(trackable(fill([body.draft()])), keep=False), once)
    if isinstance(drawn, Receipt):
        return drawn.emails[0]
    (one,) = drawn
    if isinstance(one, Drawn | Accepted):
        return one
    raise invalid([FieldError("pointer", pointer(o.path), o.code, o.detail) for o in one])


def draw_all(
    drafts: Sequence[Draft], once: Once | None = None
) -> Receipt | list[Drawn | Accepted | Sequence[Objection]]:
    """What was answered before under the key; else each of these as it would be accepted, as it was accepted before
    under the key of its own, or what would be said against it.

    Raises Problem where the key is another request's, or one with it is being worked on.
    """
    if not drafts:
        return []
    deps = dependencies()
    with told(), deps.units() as unit:
        asked = Handover(caller(), drafts, once)
        found, now = intake.draw_up(unit, asked, deps.ids, deps.gathering.rules)
        if isinstance(found, Receipt):
            return found
        if isinstance(found, Exception):
            raise found
        domains = {r.address.domain for draft in drafts for r in draft.envelope.recipients}
        HOSTS.learn(unit.mailbox_hosts.known(domains))
    board, drawn = deps.board(), list[Drawn | Accepted | Sequence[Objection]]()
    for one in found:
        match one:
            case (Submission() as email, Status() as status):
                drawn.append(Drawn(email, status, decide(email, board, (), now, deps.clock.chance)))
            case Accepted() as before:
                drawn.append(before)
            case objections:
                drawn.append(objections)
    return drawn
