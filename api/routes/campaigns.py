"""/v1/campaigns: emails that belong together, with progress, pause and cancel; /v1/halts: what is not sent for now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from sqlalchemy import RowMapping

from api.auditing import commit
from api.auth import caller
from api.documents import problems
from api.errors import FieldError, Problem, invalid, not_found
from api.paging import page, read_cursor
from api.parts import ROWS, in_parts, wake
from api.requests import answer, dependencies, empty, scoped
from api.schemas.campaigns import (
    CampaignChange,
    CampaignCreate,
    CampaignMoved,
    CampaignOut,
    CampaignPage,
    CampaignPath,
    CampaignShown,
    HaltCreate,
    HaltList,
    HaltOut,
    HaltPath,
    ProgressOut,
)
from api.schemas.providers import PageQuery
from db.repositories.campaigns import Plan
from db.repositories.selection import EmailQuery
from db.uow import SqlUnitOfWork
from domain.campaigns import Progress

blueprint = APIBlueprint("campaigns", __name__, url_prefix="/v1", abp_tags=[Tag(name="campaigns")])
READ, WRITE = "campaigns:read", "campaigns:write"
_ONE = "/campaigns/<uuid:campaign_id>"


@blueprint.post(
    "/campaigns", summary="Make a campaign", responses={201: CampaignShown, **problems(413, 415, 422)}
)
@scoped(WRITE)
def create(body: CampaignCreate) -> Response:
    """Emails that are posted with its id belong to it."""
    deps, asker = dependencies(), caller()
    campaign_id = deps.ids()
    with deps.units() as unit:
        unit.campaigns.write(campaign_id, asker.user_id, Plan(**body.model_dump()))
        shown = _shown(unit, unit.campaigns.get(asker.user_id, campaign_id))
        commit(unit, campaign_id)
    return answer(shown, 201, {"Location": f"/v1/campaigns/{campaign_id}"})


@blueprint.get("/campaigns", summary="List campaigns", responses={200: CampaignPage, **problems(422)})
@scoped(READ)
def list_campaigns(query: PageQuery) -> Response:
    """The caller's, newest first."""
    before = read_cursor(query.cursor)
    with dependencies().units() as unit:
        rows = unit.campaigns.list(caller().user_id, before, query.limit + 1)
    return answer(page(CampaignPage, rows, query.limit, _campaign))


@blueprint.get(_ONE, summary="Look up a campaign", responses={200: CampaignShown, **problems(404)})
@scoped(READ)
def get(path: CampaignPath) -> Response:
    """With how far it is."""
    with dependencies().units() as unit:
        shown = _shown(unit, unit.campaigns.get(caller().user_id, path.campaign_id))
    return answer(shown)


@blueprint.patch(
    _ONE, summary="Change a campaign", responses={200: CampaignShown, **problems(404, 413, 415, 422)}
)
@scoped(WRITE)
def change(path: CampaignPath, body: CampaignChange) -> Response:
    """What is left out stays. Another pace gives what waits other places."""
    asker, campaign = caller(), path.campaign_id
    with dependencies().units() as unit:
        row = unit.campaigns.lock(asker.user_id, path.campaign_id)
        if row is None:
            raise not_found()
        said = {name: row[name] for name in CampaignChange.model_fields}
        plan = Plan(**said | body.model_dump(exclude_unset=True))
        unit.campaigns.write(campaign, asker.user_id, plan)
        other_pace = row["status"] == "active" and row["per_minute"] != plan.per_minute
        if other_pace:
            unit.campaigns.rebegin(campaign)
        commit(unit)
    if other_pace:
        in_parts(lambda unit, after: unit.campaigns.wake_campaign(campaign, after, ROWS))
    with dependencies().units() as unit:
        return answer(_shown(unit, unit.campaigns.get(asker.user_id, campaign)))


@blueprint.post(
    f"{_ONE}/pause", summary="Pause a campaign", responses={200: CampaignShown, **problems(404, 409)}
)
@scoped(WRITE)
def pause(path: CampaignPath) -> Response:
    """Nothing more of it is sent from the next claim on: within a second. What is on the wire goes on."""
    deps, asker = dependencies(), caller()
    with deps.units() as unit:
        _turn(unit, path.campaign_id, "paused", "by its owner")
        shown = _shown(unit, unit.campaigns.get(asker.user_id, path.campaign_id))
        commit(unit)
    return answer(shown)


@blueprint.post(
    f"{_ONE}/resume", summary="Resume a campaign", responses={200: CampaignMoved, **problems(404, 409)}
)
@scoped(WRITE)
def resume(path: CampaignPath) -> Response:
    """What waits is due again, at the campaign's pace. One that is active goes on as it does."""
    deps = dependencies()
    with deps.units() as unit:
        was = _turn(unit, path.campaign_id, "active", None)["status"]
        if was != "active":
            unit.campaigns.rebegin(path.campaign_id)
        commit(unit)
    if was == "active":
        return _moved(path, 0)
    campaign = path.campaign_id
    return _moved(path, in_parts(lambda unit, after: unit.campaigns.wake_campaign(campaign, after, ROWS)))


@blueprint.post(
    f"{_ONE}/cancel", summary="Cancel a campaign", responses={200: CampaignMoved, **problems(404)}
)
@scoped(WRITE)
def cancel(path: CampaignPath) -> Response:
    """Takes back what is unsent; what a worker holds at this moment follows within seconds. For good."""
    deps, asker = dependencies(), caller()
    with deps.units() as unit:
        _turn(unit, path.campaign_id, "cancelled", "by its owner")
        commit(unit)

    def take_back(unit: SqlUnitOfWork, after: UUID) -> Sequence[UUID]:
        query = EmailQuery(campaign_id=path.campaign_id, after=after)
        return unit.emails.cancel_many(asker.user_id, query, ROWS, deps.ids)

    return _moved(path, in_parts(take_back))


@blueprint.delete(_ONE, summary="Delete a campaign", responses={204: None, **problems(404, 409)})
@scoped(WRITE)
def delete(path: CampaignPath) -> Response:
    """For good; its emails stay, and their statistics. Refused while some of them wait or are in doubt."""
    deps = dependencies()
    with deps.units() as unit:
        waiting = unit.campaigns.delete(caller().user_id, path.campaign_id, deps.ids())
        if waiting is None:
            raise not_found()
        if waiting:
            raise Problem(409, f"{waiting} emails of the campaign are not at their end: cancel it first")
        commit(unit)
    return empty()


@blueprint.get("/halts", summary="List halts", responses={200: HaltList, **problems()})
@scoped(READ)
def list_halts() -> Response:
    """The caller's; of operators all. Campaigns that are paused are not among them."""
    asker = caller()
    with dependencies().units() as unit:
        rows = unit.campaigns.halts(None if asker.is_operator else asker.user_id)
    return answer(HaltList(data=[HaltOut(**row) for row in rows]))


@blueprint.post("/halts", summary="Halt emails", responses={201: HaltOut, **problems(413, 415, 422)})
@scoped(WRITE)
def halt(body: HaltCreate) -> Response:
    """Emails of a user, of a type or of a lane are not sent, from the next claim on; they are accepted, and wait."""
    deps, asker = dependencies(), caller()
    others = body.everybody or body.kind == "lane" or body.user_id not in (None, asker.user_id)
    if others and not asker.is_operator:
        raise Problem(403, "Only an operator may halt others' emails", type="operators-only")
    user_id = None if body.everybody else body.user_id or (None if body.kind == "lane" else asker.user_id)
    halt_id = deps.ids()
    with deps.units() as unit:
        if user_id is not None and user_id != asker.user_id and not unit.accounts.exists(user_id):
            raise invalid([FieldError("pointer", "/user_id", "unknown_user", "there is no such user")])
        same = [h for h in unit.campaigns.halts(user_id) if _is(h, user_id, body)]
        if not same:
            unit.campaigns.halt(halt_id, user_id, body.kind, body.value, body.reason)
            same = [h for h in unit.campaigns.halts(user_id) if h["id"] == halt_id]
            commit(unit, halt_id)
    return answer(HaltOut(**same[0]), 201)


@blueprint.delete("/halts/<uuid:halt_id>", summary="Lift a halt", responses={204: None, **problems(404)})
@scoped(WRITE)
def lift(path: HaltPath) -> Response:
    """What waited is due again."""
    asker = caller()
    with dependencies().units() as unit:
        whose = None if asker.is_operator else asker.user_id
        if not unit.campaigns.lift(path.halt_id, whose):
            raise not_found()
        commit(unit)
    wake(whose)
    return empty()


def _is(row: RowMapping, user_id: UUID | None, body: HaltCreate) -> bool:
    return (row["user_id"], row["kind"], row["value"]) == (user_id, body.kind, body.value)


def _turn(unit: SqlUnitOfWork, campaign_id: UUID, status: str, reason: str | None) -> RowMapping:
    row = unit.campaigns.lock(caller().user_id, campaign_id)
    if row is None:
        raise not_found()
    if row["status"] == "cancelled" and status != "cancelled":
        raise Problem(409, "The campaign was cancelled", extra={"campaign_status": "cancelled"})
    if row["status"] != status:
        unit.campaigns.set_status(campaign_id, status, reason, dependencies().ids())
    return row


def _moved(path: CampaignPath, emails: int) -> Response:
    with dependencies().units() as unit:
        row = unit.campaigns.get(caller().user_id, path.campaign_id)
    return answer(CampaignMoved(**_campaign(row).model_dump(), emails=emails))


def _campaign(row: RowMapping | None) -> CampaignOut:
    if row is None:
        raise not_found()
    return CampaignOut(**{name: row[name] for name in CampaignOut.model_fields})


def _shown(unit: SqlUnitOfWork, row: RowMapping | None) -> CampaignShown:
    shown: dict[str, Any] = _campaign(row).model_dump()
    found = unit.campaigns.progress(shown["id"])
    progress = Progress(
        found["statuses"] or {},
        found["lately"],
        found["span"],
        found["taken"],
        found["hard_bounces"],
        found["spent"],
    )
    return CampaignShown(
        **shown,
        progress=ProgressOut(
            total=progress.total,
            waiting=progress.waiting,
            sent=progress.sent,
            statuses=dict(progress.statuses),
            hard_bounces=progress.hard_bounces,
            spent=progress.spent,
            per_minute_lately=progress.rate * 60,
            seconds_left=progress.seconds_left(shown["per_minute"]),
        ),
    )
