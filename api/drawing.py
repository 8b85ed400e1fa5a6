"""An email as it would be accepted, and who would carry it now: for the preview and the dry run."""

from __future__ import annotations

from api import intake
from api.attaching import attach
from api.auth import caller
from api.errors import FieldError, invalid, pointer
from api.requests import dependencies
from api.schemas.posting import EmailCreate
from api.templating import fill
from api.tracking import trackable
from domain.message import Submission
from routing.mailbox_groups import HOSTS
from routing.router import Decision, decide


def draw(body: EmailCreate) -> tuple[Submission, Decision]:
    """The email, rendered, and the decision about it as things are now; nothing is written or reserved.

    Raises Problem where sending would be refused.
    """
    deps = dependencies()
    (draft,) = attach(trackable(fill([body.draft()])), keep=False)
    with deps.units() as unit:
        drawn = intake.draw_up(unit, caller(), draft, deps.ids(), deps.gathering.rules)
        HOSTS.learn(unit.mailbox_hosts.known({r.address.domain for r in draft.envelope.recipients}))
    if not isinstance(drawn, tuple):
        raise invalid([FieldError("pointer", pointer(o.path), o.code, o.detail) for o in drawn])
    submission, now = drawn
    assert isinstance(submission, Submission)
    return submission, decide(submission, deps.board(), (), now, deps.clock.chance)
