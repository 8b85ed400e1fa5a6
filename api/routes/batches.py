"""/v1/emails/batch: many emails in one request."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from api import batches, intake
from api.attaching import attach
from api.auth import SEND, caller
from api.batches import (
    BatchAccepted,
    BatchCreate,
    BatchDrawn,
    BatchResult,
    EntryDrawn,
    ProblemInItem,
    flat,
    named,
)
from api.documents import problems
from api.drawing import Drawn, draw_all
from api.errors import FieldError, invalid
from api.requests import answer, dependencies, scoped
from api.schemas.posting import SendHeaders, SendQuery
from api.sending import hand_over, once, repeated, replayed
from api.templating import fill
from api.tracking import trackable
from domain.intake import Accepted, Draft, Objection, Once, Receipt

blueprint = APIBlueprint("batches", __name__, url_prefix="/v1/emails/batch", abp_tags=[Tag(name="emails")])
CREATE = "POST /v1/emails/batch"

Wrong = dict[int, list[FieldError]]


@blueprint.post(
    "",
    summary="Send many emails",
    responses={200: BatchDrawn, 202: BatchAccepted, **problems(409, 413, 415, 422)},
)
@scoped(SEND, looks_again=True)
def create(header: SendHeaders, query: SendQuery, body: BatchCreate) -> Response:
    """Accepts up to 1,000 emails, each with a result of its own. Once this answers 202 those that are not
    `rejected` are committed.

    An Idempotency-Key covers the whole batch: the same body gets the same results, marked
    `Idempotent-Replayed: true`. An entry may have an `idempotency_key` of its own: in whatever batch it comes again,
    it is the email that was accepted before, marked `replayed`.

    With `dry_run=true` nothing is accepted, and no key is used: the answer is 200, with what would become of each
    entry, and who would carry it, or which email was accepted before under its key or the batch's. What would be
    refused is.
    """
    asked = once(CREATE, header)
    if query.dry_run:
        return _drawn(body, asked)
    reading = batches.read(body, dependencies().limits)
    wrong: Wrong = dict(reading.errors)
    drafts = attach(trackable(fill(reading.drafts)))
    if body.mode == "strict":
        receipt = _all_or_none(body, drafts, wrong, asked)
    else:
        receipt = _those_that_are_right(body, drafts, wrong, asked)
    return answer(_results(body, receipt, wrong), 202, replayed(receipt))


def _drawn(body: BatchCreate, asked: Once | None) -> Response:
    """Raises Problem where sending would be refused as a whole."""
    reading = batches.read(body, dependencies().limits)
    wrong: Wrong = dict(reading.errors)
    refused = bool(wrong) and body.mode == "strict"  # whatever was answered before
    drafts = attach(trackable(fill(reading.drafts)), keep=False)
    before = draw_all(drafts, None if refused else asked)
    found: dict[int, Drawn | Accepted] = {}
    if isinstance(before, Receipt):
        found = {email.item: email for email in before.emails}
        wrong |= named(body, _objections(drafts))
    else:
        for draft, drawn in zip(drafts, before, strict=True):
            if isinstance(drawn, Drawn | Accepted):
                found[draft.item] = drawn
            else:
                wrong |= named(body, drawn)
        if wrong and (body.mode == "strict" or not found):
            raise invalid(flat(wrong))
    results = [_entry_drawn(index, found.get(index), wrong) for index in range(len(body.emails))]
    return answer(
        BatchDrawn(accepted=len(found), rejected=len(results) - len(found), results=results),
        headers=repeated(isinstance(before, Receipt)),
    )


def _entry_drawn(index: int, drawn: Drawn | Accepted | None, wrong: Wrong) -> EntryDrawn:
    if drawn is None:
        return EntryDrawn(index=index, status="rejected", errors=_refusal(index, wrong))
    if isinstance(drawn, Accepted):
        return EntryDrawn(index=index, status=drawn.status, id=drawn.id, replayed=True)
    chosen = drawn.decision.chosen
    return EntryDrawn(
        index=index,
        status=drawn.status,
        subject=drawn.email.message.subject,
        provider=None if chosen is None else chosen.provider,
    )


def _refusal(index: int, wrong: Wrong) -> list[ProblemInItem]:
    before = FieldError(
        "pointer", f"/emails/{index}", "refused_before", "it was refused at the first request"
    )
    return _said(wrong.get(index) or [before])


def _said(errors: Sequence[FieldError]) -> list[ProblemInItem]:
    return [ProblemInItem(pointer=e.name, detail=e.detail, code=e.code) for e in errors]


def _all_or_none(body: BatchCreate, drafts: Sequence[Draft], wrong: Wrong, asked: Once | None) -> Receipt:
    if wrong:
        wrong |= named(body, _objections(drafts))
        raise invalid(flat(wrong))
    return hand_over(drafts, asked, lambda objections: flat(named(body, objections)))


def _those_that_are_right(
    body: BatchCreate, drafts: Sequence[Draft], wrong: Wrong, asked: Once | None
) -> Receipt:
    """Hand over without what intake objects to. Adds that to `wrong`, unless the answer was given before."""
    if not drafts:
        raise invalid(flat(wrong))
    objected = named(body, _objections(drafts))
    right = [draft for draft in drafts if draft.item not in objected]
    receipt = hand_over(right or drafts, asked, lambda objections: flat(named(body, objections)))
    wrong |= objected
    return receipt


def _objections(drafts: Sequence[Draft]) -> list[Objection]:
    with dependencies().units() as unit:
        return intake.review(unit, caller(), drafts, dependencies().gathering.rules)


def _results(body: BatchCreate, receipt: Receipt, wrong: Wrong) -> BatchAccepted:
    accepted = {email.item: email for email in receipt.emails}
    results = []
    for index in range(len(body.emails)):
        if (email := accepted.get(index)) is not None:
            results.append(
                BatchResult(index=index, status=email.status, id=email.id, replayed=email.replayed, errors=[])
            )
            continue
        results.append(BatchResult(index=index, status="rejected", errors=_refusal(index, wrong)))
    return BatchAccepted(accepted=len(accepted), rejected=len(results) - len(accepted), results=results)
