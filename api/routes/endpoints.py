"""/v1/webhooks: where users want to be told what becomes of their emails."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import UUID

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from sqlalchemy import RowMapping

from api.auditing import commit
from api.auth import Caller, caller
from api.documents import problems
from api.errors import FieldError, Problem, invalid, not_found
from api.paging import page, read_cursor
from api.requests import answer, dependencies, empty, scoped
from api.schemas.endpoints import (
    MOST_REPLAYED,
    EndpointChange,
    EndpointCreate,
    EndpointMade,
    EndpointOut,
    EndpointPage,
    EndpointReplay,
    EndpointRotate,
    MessageOut,
    MessagePage,
    MessageQuery,
    MessageQueued,
    Replayed,
    WebhookPath,
)
from api.schemas.providers import PageQuery
from db.sealing import ENDPOINT, SealBroken, UnknownKey
from db.uow import SqlUnitOfWork
from domain.webhooks import SECRET_BYTES, TEST, new_secret, payload

blueprint = APIBlueprint("endpoints", __name__, url_prefix="/v1/webhooks", abp_tags=[Tag(name="webhooks")])
READ, WRITE = "webhooks:read", "webhooks:write"
_ONE = "/<uuid:webhook_id>"
_MOST = 50  # of one user


@blueprint.post("", summary="Add a webhook", responses={201: EndpointMade, **problems(409, 413, 415, 422)})
@scoped(WRITE)
def create(body: EndpointCreate) -> Response:
    """Called by Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`. The secret is shown once."""
    deps, asker = dependencies(), caller()
    _check_scheme(asker, body.url)
    webhook_id, secret = deps.ids(), new_secret(secrets.token_bytes(SECRET_BYTES))
    with deps.units() as unit:
        if unit.webhooks.count(asker.user_id) >= _MOST:
            raise Problem(409, f"A user has at most {_MOST} webhooks")
        sealed = deps.sealer.seal({"secret": secret}, owner=asker.user_id, kind=ENDPOINT, row=webhook_id)
        unit.webhooks.add(
            webhook_id, asker.user_id, body.url, body.description, sorted(set(body.types)), sealed
        )
        row = unit.webhooks.get(asker.user_id, webhook_id)
        commit(unit, webhook_id)
    return answer(_made(row, secret), 201, {"Location": f"/v1/webhooks/{webhook_id}"})


@blueprint.get("", summary="List webhooks", responses={200: EndpointPage, **problems(422)})
@scoped(READ)
def list_webhooks(query: PageQuery) -> Response:
    """The caller's, newest first."""
    before = read_cursor(query.cursor)
    with dependencies().units() as unit:
        rows = unit.webhooks.list(caller().user_id, before, query.limit + 1)
    return answer(page(EndpointPage, rows, query.limit, _endpoint))


@blueprint.get(_ONE, summary="Look up a webhook", responses={200: EndpointOut, **problems(404)})
@scoped(READ)
def get(path: WebhookPath) -> Response:
    """Where it is, what it is told of, and how it does."""
    with dependencies().units() as unit:
        row = unit.webhooks.get(caller().user_id, path.webhook_id)
    return answer(_endpoint(row))


@blueprint.patch(
    _ONE, summary="Change a webhook", responses={200: EndpointOut, **problems(404, 413, 415, 422)}
)
@scoped(WRITE)
def change(path: WebhookPath, body: EndpointChange) -> Response:
    """What is left out stays. `enabled: true` also brings one back that was disabled for failing."""
    asker, given = caller(), body.model_fields_set
    with dependencies().units() as unit:
        row = _locked(unit, asker, path)
        url = body.url if "url" in given else row["url"]
        _check_scheme(asker, url)
        unit.webhooks.change(
            path.webhook_id,
            url,
            body.description if "description" in given else row["description"],
            sorted(set(body.types)) if "types" in given else row["types"],
            body.enabled if "enabled" in given else row["enabled"],
        )
        fresh = unit.webhooks.get(asker.user_id, path.webhook_id)
        commit(unit)
    return answer(_endpoint(fresh))


@blueprint.delete(_ONE, summary="Delete a webhook", responses={204: None, **problems(404)})
@scoped(WRITE)
def delete(path: WebhookPath) -> Response:
    """What waits for it is told no more."""
    with dependencies().units() as unit:
        _locked(unit, caller(), path)
        unit.webhooks.delete(path.webhook_id)
        commit(unit)
    return empty()


@blueprint.post(
    f"{_ONE}/rotate",
    summary="Give a webhook a new secret",
    responses={200: EndpointMade, **problems(404, 409, 413, 415, 422)},
)
@scoped(WRITE)
def rotate(path: WebhookPath, body: EndpointRotate) -> Response:
    """Both secrets sign until the overlap ends, so that the receiver can change over in its own time."""
    deps, asker = dependencies(), caller()
    secret = new_secret(secrets.token_bytes(SECRET_BYTES))
    with deps.units() as unit:
        row = _locked(unit, asker, path)
        try:
            old = deps.sealer.open(row["secret"], owner=asker.user_id, kind=ENDPOINT, row=path.webhook_id)[
                "secret"
            ]
        except (SealBroken, UnknownKey) as error:
            if body.overlap_hours:
                raise Problem(
                    409, f"The former secret cannot be read: {error}. Ask for no overlap"
                ) from error
            old = secret
        both = {"secret": secret, "old": old}
        sealed = deps.sealer.seal(both, owner=asker.user_id, kind=ENDPOINT, row=path.webhook_id)
        unit.webhooks.rotate(path.webhook_id, sealed, body.overlap_hours)
        fresh = unit.webhooks.get(asker.user_id, path.webhook_id)
        commit(unit)
    return answer(_made(fresh, secret))


@blueprint.post(
    f"{_ONE}/test",
    summary="Send a webhook a test message",
    responses={202: MessageQueued, **problems(404, 409)},
)
@scoped(WRITE)
def test(path: WebhookPath) -> Response:
    """Told whatever its types are; its list of messages says how that ended."""
    deps, asker = dependencies(), caller()
    message_id = deps.ids()
    with deps.units() as unit:
        row = _locked(unit, asker, path)
        if not row["enabled"]:
            raise Problem(409, "The webhook is disabled: enable it first")
        said = payload(TEST, _time_of(message_id), {"webhook_id": str(path.webhook_id)})
        unit.webhooks.say(message_id, path.webhook_id, TEST, said)
        commit(unit)
    return answer(MessageQueued(message_id=message_id), 202)


@blueprint.post(
    f"{_ONE}/replay",
    summary="Tell a webhook again",
    responses={202: Replayed, **problems(404, 409, 413, 415, 422)},
)
@scoped(WRITE)
def replay(path: WebhookPath, body: EndpointReplay) -> Response:
    """What happened to the caller's emails in a range, oldest first, as far as timelines are kept. A message keeps its
    `webhook-id`, by which a receiver knows what it had.
    """
    deps, asker = dependencies(), caller()
    asked = body.asked_at or _time_of(deps.ids())
    with deps.units() as unit:
        row = _locked(unit, asker, path)
        if not row["enabled"]:
            raise Problem(409, "The webhook is disabled: enable it first")
        told = unit.webhooks.replay(
            asker.user_id,
            path.webhook_id,
            (body.since, body.until),
            sorted(set(body.types)) or row["types"],
            body.failed_only,
            asked,
            MOST_REPLAYED,
        )
        commit(unit)
    return answer(Replayed(messages=told, has_more=told == MOST_REPLAYED, asked_at=asked), 202)


@blueprint.get(
    f"{_ONE}/messages",
    summary="List what a webhook was told",
    responses={200: MessagePage, **problems(404, 422)},
)
@scoped(READ)
def messages(path: WebhookPath, query: MessageQuery) -> Response:
    """Newest first, with how the last try ended and when the next one is."""
    before = read_cursor(query.cursor)
    with dependencies().units() as unit:
        if unit.webhooks.get(caller().user_id, path.webhook_id) is None:
            raise not_found()
        rows = unit.webhooks.messages(path.webhook_id, query.state, before, query.limit + 1)
    return answer(page(MessagePage, rows, query.limit, lambda row: MessageOut(**row)))


def _check_scheme(asker: Caller, url: str) -> None:
    if urlsplit(url).scheme != "https" and not asker.is_operator:
        raise invalid(
            [FieldError("pointer", "/url", "url", "only an operator's webhook may do without https")]
        )


def _locked(unit: SqlUnitOfWork, asker: Caller, path: WebhookPath) -> RowMapping:
    row = unit.webhooks.lock(asker.user_id, path.webhook_id)
    if row is None:
        raise not_found()
    return row


def _time_of(id: UUID) -> datetime:
    """The time that a UUIDv7 bears (RFC 9562, 5.7)."""
    return datetime.fromtimestamp((id.int >> 80) / 1000, UTC)


def _endpoint(row: RowMapping | None) -> EndpointOut:
    if row is None:
        raise not_found()
    return EndpointOut(**{name: row[name] for name in EndpointOut.model_fields})


def _made(row: RowMapping | None, secret: str) -> EndpointMade:
    return EndpointMade(**_endpoint(row).model_dump(), secret=secret)
