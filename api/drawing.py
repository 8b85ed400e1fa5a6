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
from api.templating import fill
from api.tracking import trackable
from domain.intake import Draft, Objection
from domain.lifecycle import Status
from domain.message import Submission
from routing.mailbox_groups import HOSTS
from routing.router import Decision, decide


def draw(body: EmailCreate) -> tuple[Submission, Decision]:
    """The email, rendered, and the decision about it as things are now; nothing is written or reserved.

    Raises Problem where sending would be refused.
    """
    (drawn,) = draw_all(attach(trackable(fill([body.draft()])), keep=False))
    if not isinstance(drawn, Drawn):
        raise invalid([FieldError("pointer", pointer(o.path), o.code, o.detail) for o in drawn])
    return drawn.email, drawn.decision


@dataclass(frozen=True, slots=True)
class Drawn:
    """An email as it would be accepted. `decision`: as things are now, whenever it is for."""

    email: Submission
    status: Status
    decision: Decision


def draw_all(drafts: Sequence[Draft]) -> list[Drawn | Sequence[Objection]]:
    """Each of these as it would be accepted, or what would be said against it."""
    if not drafts:
        return []
    deps = dependencies()
    with deps.units() as unit:
        found, now = intake.draw_up(unit, caller(), drafts, deps.ids, deps.gathering.rules)
        domains = {r.address.domain for draft in drafts for r in draft.envelope.recipients}
        HOSTS.learn(unit.mailbox_hosts.known(domains))
    board, drawn = deps.board(), list[Drawn | Sequence[Objection]]()
    for one in found:
        match one:
            case (Submission() as email, Status() as status):
                drawn.append(Drawn(email, status, decide(email, board, (), now, deps.clock.chance)))
            case objections:
                drawn.append(objections)
    return drawn
