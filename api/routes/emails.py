"""/v1/emails: hand over, look up, take back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal
from uuid import UUID

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from sqlalchemy import RowMapping

from api import intake
from api.attaching import attach
from api.auth import SEND, caller
from api.documents import problems
from api.drawing import draw
from api.errors import FieldError, Problem, invalid, not_found, pointer
from api.paging import page, read_cursor, write_cursor
from api.requests import answer, dependencies, scoped
from api.resending import resend_one, resend_some
from api.schemas.choices import CancelMany, EmailChoice, EmailFilter, Reschedule, RescheduleMany, ResendMany
from api.schemas.emails import (
    AddressOut,
    AttemptOut,
    CancelledMany,
    EmailAccepted,
    EmailDrawn,
    EmailFile,
    EmailOut,
    EmailPage,
    EmailSummary,
    EventOut,
    RecipientFate,
    RecipientOut,
    RescheduledMany,
    ResentMany,
    TimelineEntry,
    Unsent,
)
from api.schemas.posting import EmailCreate, EmailPath, SendHeaders, SendQuery
from api.sending import hand_over, once, repeated, replayed
from api.templating import fill
from api.tracking import trackable
from db.mapping import event_value
from db.repositories.emails import EmailRecord, NotCancellable, OutOfRange
from db.repositories.selection import EmailQuery
from domain.attempt import Outcome
from domain.events import DeliveryEvent
from domain.intake import Accepted, Objection, Once
from domain.lifecycle import Fate, Status, fold
from domain.message import Message
from routing.explanation import tell

blueprint = APIBlueprint("emails", __name__, url_prefix="/v1/emails", abp_tags=[Tag(name="emails")])
CREATE = "POST /v1/emails"
_MOST_AT_ONCE = 10_000  # emails that one request takes back


def _review(body: dict[str, Any], wrong: frozenset[str]) -> list[FieldError]:
    """What intake would object to in those fields of a wrong email that are right in themselves."""
    parts = ("template", "template_version", "variables", "attachments")
    whole = ("email_type", "send_at", "expires_at", "routing", "track", *parts)
    right = {
        name: body[name]
        for name in whole
        if name in body and not any(f"{found}/".startswith(f"/{name}/") for found in wrong)
    }
    content = {}
    if not right.get("template"):
        content = {"subject": "-", "text": "-"}
        right = {
            name: value for name, value in right.items() if name not in ("template_version", "variables")
        }
    sender = (
        body["from"]
        if "from" in body and not any(f"{found}/".startswith("/from/") for found in wrong)
        else None
    )
    email = EmailCreate.model_validate(
        {"from": sender or "a@example.com", "to": ["b@example.com"], **content, **right}
    )
    drafts = attach(trackable(fill([email.draft()])), keep=False)
    with dependencies().units() as unit:
        found = intake.review(unit, caller(), drafts, dependencies().gathering.rules)
    return _named(o for o in found if sender or o.path != ("from",))


def _named(objections: Iterable[Objection]) -> list[FieldError]:
    return [FieldError("pointer", pointer(o.path), o.code, o.detail) for o in objections]


@blueprint.post(
    "",
    summary="Send an email",
    responses={200: EmailDrawn, 202: EmailAccepted, **problems(409, 413, 415, 422)},
)
@scoped(SEND, _review, looks_again=True)
def create(header: SendHeaders, query: SendQuery, body: EmailCreate) -> Response:
    """Accepts one email. Once this answers 202 the email is committed: it is delivered or accounted for.

    With an Idempotency-Key the request may be repeated: the same body gets the same answer, marked
    `Idempotent-Replayed: true`, and nothing is sent twice. With `dry_run=true` nothing is accepted: the answer is 200,
    with what the email would say and who would carry it, or which one was accepted before under the key.
    """
    asked = once(CREATE, header)
    if query.dry_run:
        return _drawn(body, asked)
    receipt = hand_over(attach(trackable(fill([body.draft()]))), asked, _named)
    (email,) = receipt.emails
    headers = {"Location": f"/v1/emails/{email.id}"} | replayed(receipt)
    return answer(EmailAccepted(id=email.id, status=email.status), 202, headers)


def _drawn(body: EmailCreate, asked: Once | None) -> Response:
    found = draw(body, asked)
    shown: Message | None
    if isinstance(found, Accepted):
        # What it says was fixed when it was accepted, whatever its template has become.
        with dependencies().units() as unit:
            kept = unit.resends.one(caller().user_id, found.id)
        shown, decision, before = None if kept is None else kept.email.message, None, found.id
    else:
        shown, decision, before = found.email.message, found.decision.as_json(), None
    drawn = EmailDrawn(
        status=found.status,
        id=before,
        replayed=before is not None,
        subject=None if shown is None else shown.subject,
        text=None if shown is None else shown.text,
        html=None if shown is None else shown.html,
        decision=decision,
    )
    return answer(drawn, headers=repeated(drawn.replayed))


@blueprint.get("", summary="List emails", responses={200: EmailPage, **problems(422)})
@scoped("emails:read")
def list_emails(query: EmailFilter) -> Response:
    """Newest first. `status=sending` finds those that a worker holds now."""
    wanted = _wanted(query, read_cursor(query.cursor))
    with dependencies().units() as unit:
        rows = unit.emails.list(caller().user_id, wanted, query.limit + 1)
    return answer(page(EmailPage, rows, query.limit, lambda row: EmailSummary(**_summary(row))))


@blueprint.get("/<uuid:email_id>", summary="Look up an email", responses={200: EmailOut, **problems(404)})
@scoped("emails:read")
def get(path: EmailPath) -> Response:
    """Its status, what happened when, and every attempt with the decision that led to it."""
    with dependencies().units() as unit:
        record = unit.emails.get(caller().user_id, path.email_id)
    if record is None:
        raise not_found()
    return answer(_email(record))


@blueprint.post(
    "/<uuid:email_id>/cancel",
    summary="Cancel an email",
    responses={200: EmailAccepted, **problems(404, 409)},
)
@scoped("emails:send")
def cancel(path: EmailPath) -> Response:
    """Takes back an email that still waits. A repeat is answered alike; 409 says why it is too late."""
    deps = dependencies()
    with deps.units() as unit:
        try:
            status = unit.emails.cancel(caller().user_id, path.email_id, deps.ids())
        except NotCancellable as late:
            raise Problem(
                409,
                f"The email is {late.status}: it can only be cancelled while it waits and no try may have sent it",
                extra={"email_status": late.status.value},
            ) from late
        unit.commit()
    if status is None:
        raise not_found()
    return answer(EmailAccepted(id=path.email_id, status=status))


@blueprint.post("/cancel", summary="Cancel emails", responses={200: CancelledMany, **problems(413, 415, 422)})
@scoped(SEND)
def cancel_many(body: CancelMany) -> Response:
    """Takes back those that still wait, up to 10,000 at once, oldest first. What a worker holds is left to it."""
    deps, wanted = dependencies(), _wanted(body)
    with deps.units() as unit:
        if body.dry_run:
            return answer(
                CancelledMany(cancelled=unit.emails.count_waiting(caller().user_id, wanted), has_more=False)
            )
        taken = unit.emails.cancel_many(caller().user_id, wanted, _MOST_AT_ONCE, deps.ids)
        unit.commit()
    return answer(CancelledMany(cancelled=len(taken), has_more=len(taken) == _MOST_AT_ONCE))


@blueprint.post(
    "/<uuid:email_id>/reschedule",
    summary="Reschedule an email",
    responses={200: EmailAccepted, **problems(404, 409, 413, 415, 422)},
)
@scoped(SEND)
def reschedule(path: EmailPath, body: Reschedule) -> Response:
    """Sends a scheduled email at another time. 409 once its time has come."""
    deps = dependencies()
    with deps.units() as unit:
        try:
            status = unit.emails.reschedule(caller().user_id, path.email_id, body.send_at, deps.ids())
        except NotCancellable as late:
            raise Problem(
                409,
                f"The email is {late.status}: only one whose time has not come can be rescheduled",
                extra={"email_status": late.status.value},
            ) from late
        except OutOfRange as wrong:
            raise invalid([FieldError("pointer", "/send_at", "out_of_range", str(wrong))]) from wrong
        unit.commit()
    if status is None:
        raise not_found()
    return answer(EmailAccepted(id=path.email_id, status=status))


@blueprint.post(
    "/reschedule", summary="Reschedule emails", responses={200: RescheduledMany, **problems(413, 415, 422)}
)
@scoped(SEND)
def reschedule_many(body: RescheduleMany) -> Response:
    """Sends those whose time has not come at another time, up to 10,000 at once, oldest first."""
    deps, wanted, owner = dependencies(), _wanted(body), caller().user_id
    with deps.units() as unit:
        try:
            movable, expiring = unit.emails.count_scheduled(owner, wanted, body.send_at)
        except OutOfRange as wrong:
            raise invalid([FieldError("pointer", "/send_at", "out_of_range", str(wrong))]) from wrong
        if body.dry_run:
            return answer(RescheduledMany(rescheduled=movable, expire_before=expiring, has_more=False))
        moved = unit.emails.reschedule_many(owner, wanted, body.send_at, _MOST_AT_ONCE, deps.ids)
        unit.commit()
    more = len(moved) == _MOST_AT_ONCE
    return answer(RescheduledMany(rescheduled=len(moved), expire_before=expiring, has_more=more))


@blueprint.post(
    "/<uuid:email_id>/resend",
    summary="Send an email again",
    responses={202: EmailAccepted, **problems(404, 409, 422)},
)
@scoped(SEND)
def resend(path: EmailPath, header: SendHeaders) -> Response:
    """A new email takes the place of one that failed, or whose fate is unknown; the latter may have arrived.

    409 for any other email, and where one was sent again already: `resent_as` names its successor then.
    """
    receipt = resend_one(path.email_id, header)
    (email,) = receipt.emails
    headers = {"Location": f"/v1/emails/{email.id}"} | replayed(receipt)
    return answer(EmailAccepted(id=email.id, status=email.status), 202, headers)


@blueprint.post(
    "/resend", summary="Send emails again", responses={200: ResentMany, **problems(413, 415, 422)}
)
@scoped(SEND)
def resend_many(body: ResendMany) -> Response:
    """Up to 200 at once, oldest first; none of them twice, however often this is asked. Those whose fate is unknown
    are meant by `status: unknown` only, since they may have arrived.
    """
    wanted = replace(
        _wanted(body),
        status=body.status or Status.FAILED,
        after=read_cursor(body.cursor, ("pointer", "/cursor")),
    )
    if body.dry_run:
        with dependencies().units() as unit:
            count = unit.resends.count(caller().user_id, wanted)
        return answer(ResentMany(resent=count, refused=[], has_more=False, next_cursor=None))
    done = resend_some(wanted)
    return answer(
        ResentMany(
            resent=done.emails,
            refused=[Unsent(id=email_id, detail=detail) for email_id, detail in done.refused],
            has_more=done.more,
            next_cursor=write_cursor(done.last) if done.more and done.last else None,
        )
    )


def _wanted(choice: EmailChoice, before: UUID | None = None) -> EmailQuery:
    asked = {name: getattr(choice, name) for name in EmailChoice.model_fields}
    return EmailQuery(**asked, before=before)


def _summary(row: RowMapping) -> dict[str, Any]:
    envelope = row["envelope"]
    return {
        **{name: row[name] for name in EmailSummary.model_fields if name in row},
        "sender": AddressOut(**envelope["from"]),
        "recipients": [
            *(RecipientOut(**r, status=Status(row["status"])) for r in envelope["recipients"]),
            *(RecipientOut(**_person(r), status=Status.SUPPRESSED) for r in envelope.get("left_out", ())),
        ],
    }


def _email(record: EmailRecord) -> EmailOut:
    events = [(row, event_value(row["event"])) for row in record.events]
    return EmailOut(
        **_summary(record.email)
        | {"recipients": _fates(record, [(row["attempt_id"], e) for row, e in events])},
        on_unknown=record.email["on_unknown"],
        **record.family,
        attachments=[EmailFile(**f, sha256=f["hash"]) for f in record.email["envelope"].get("files", ())],
        timeline=[TimelineEntry(**row) for row in record.timeline],
        attempts=[AttemptOut(**{**row, "decision": tell(row["decision"])}) for row in record.attempts],
        events=[_event(row, event) for row, event in events],
    )


def _fates(record: EmailRecord, events: list[tuple[UUID, DeliveryEvent]]) -> list[RecipientFate]:
    """What became of each recipient; where the ledger and the events do not say, it is what the email is.

    Where they do not say it any more, only an email to one alone tells what became of whom.
    """
    people = record.email["envelope"]["recipients"]
    attempts = {row["id"]: row["outcome"] and Outcome(row["outcome"]) for row in record.attempts}
    standing = fold([r["email"] for r in people], attempts, events)
    status = Status(record.email["status"])
    left_out = record.email["envelope"].get("left_out", ())
    forgotten = standing.lacks(status)

    def shown(fate: Fate) -> Status | Literal["unresolved"]:
        if standing.status is None or (forgotten and len(people) == 1):
            return status
        if forgotten and fate.status is Status.SENT:
            return "unresolved"
        return fate.status or "unresolved"

    return [
        *(RecipientFate(**_person(r), status=Status.SUPPRESSED, bounce=None) for r in left_out),
        *(
            RecipientFate(**person, status=shown(fate), bounce=fate.bounce)
            for person, fate in zip(people, standing.recipients, strict=True)
        ),
    ]


def _person(left_out: dict[str, Any]) -> dict[str, Any]:
    """Who is meant, without the reason why they are left out."""
    return {name: left_out[name] for name in ("email", "name", "kind")}


def _event(row: RowMapping, event: DeliveryEvent) -> EventOut:
    told = ("type", "recipient", "occurred_at", "bounce", "reject_reason", "status_code", "description")
    more = ("mta_response", "click_url", "user_agent", "machine")
    return EventOut(
        **{name: row[name] for name in ("id", "provider", "attempt_id", "received_at")},
        **{name: getattr(event, name) for name in (*told, *more)},
    )
