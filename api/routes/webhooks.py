"""/v1/providers/{id}/webhook: where a provider is to send its events, and what proves them."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field, StrictBool
from sqlalchemy import RowMapping

from api.auditing import commit
from api.auth import caller
from api.documents import problems
from api.errors import FieldError, Problem, invalid, pointer
from api.fields import Body, Out, Text, example
from api.ownership import changeable
from api.requests import answer, dependencies, empty, scoped
from api.schemas.providers import ProviderPath
from db.sealing import Hook, SealBroken, UnknownKey, open_hook, seal_hook
from providers import registry

blueprint = APIBlueprint("webhooks", __name__, url_prefix="/v1", abp_tags=[Tag(name="providers")])

Secret = Annotated[dict[Text, Text], Field(max_length=20, json_schema_extra={"writeOnly": True})]


class WebhookChange(Body):
    """The secrets that prove this provider's calls. `GET /v1/provider-kinds` says what one holds."""

    model_config = example({"secrets": [{"username": "mailmux", "password": "of your own choice"}]})

    secrets: list[Secret] = Field(
        min_length=1,
        max_length=5,
        description="Any one of them proves a call. To rotate: add the new one beside the old one, change it at the "
        "provider, then take the old one out.",
    )
    new_address: StrictBool = Field(
        default=False, description="Give it another address: calls to the old one are refused from then on."
    )


class WebhookOut(Out):
    """`url` is what the provider is to call. It bears a token: keep it as you keep a password."""

    url: str | None = Field(description="Null: it has none yet.")
    secrets: int = Field(description="How many secrets there are. They cannot be read again.")


@blueprint.get(
    "/providers/<uuid:provider_id>/webhook",
    summary="Look up a provider's webhook",
    responses={200: WebhookOut, **problems(404, 409)},
)
@scoped("providers:write")
def get(path: ProviderPath) -> Response:
    """Where the provider is to send its events. `PUT` sets it up."""
    asker = caller()
    with dependencies().units() as unit:
        row = changeable(asker, unit.providers.get(asker.user_id, path.provider_id))
        sealed = unit.inbound.sealed(row["id"])
    return answer(WebhookOut(url=None, secrets=0) if sealed is None else _webhook(row, _open(row, sealed)))


@blueprint.put(
    "/providers/<uuid:provider_id>/webhook",
    summary="Set up a provider's webhook",
    responses={200: WebhookOut, **problems(404, 409, 413, 415, 422)},
)
@scoped("providers:write")
def put(path: ProviderPath, body: WebhookChange) -> Response:
    """Takes the place of all secrets that there were. The address stays unless `new_address` says otherwise."""
    deps, asker = dependencies(), caller()
    with deps.units() as unit:
        row = changeable(asker, unit.providers.lock(asker.user_id, path.provider_id))
        _check(row["kind"], body.secrets)
        sealed = unit.inbound.sealed(row["id"])
        old = None if sealed is None or body.new_address else _open(row, sealed)
        hook = Hook(secrets.token_urlsafe(24) if old is None else old.token, body.secrets)
        place = {"owner": row["user_id"], "kind": row["kind"], "row": row["id"]}
        unit.inbound.set_webhook(row["id"], seal_hook(deps.sealer, hook, **place))
        commit(unit)
    return answer(_webhook(row, hook))


@blueprint.delete(
    "/providers/<uuid:provider_id>/webhook",
    summary="Take a provider's webhook away",
    responses={204: None, **problems(404)},
)
@scoped("providers:write")
def delete(path: ProviderPath) -> Response:
    """Calls are answered 404 from then on, within seconds.

    Where the account itself is deleted they are taken for another 30 days: providers still tell of what it sent.
    """
    asker = caller()
    with dependencies().units() as unit:
        row = changeable(asker, unit.providers.lock(asker.user_id, path.provider_id))
        unit.inbound.set_webhook(row["id"], None)
        commit(unit)
    return empty()


def _check(kind: str, given: list[dict[str, Any]]) -> None:
    try:
        registry.webhook_secrets(kind, given)
    except registry.InvalidSettings as wrong:
        raise invalid(
            [
                FieldError("pointer", pointer(p.path.split(".")), "webhook_secret", p.message)
                for p in wrong.problems
            ]
        ) from wrong
    except registry.UnknownKind as unknown:
        raise Problem(409, str(unknown)) from unknown


def _open(row: RowMapping, sealed: str) -> Hook:
    try:
        return open_hook(dependencies().sealer, sealed, owner=row["user_id"], kind=row["kind"], row=row["id"])
    except (SealBroken, UnknownKey) as error:
        raise Problem(409, f"What proves its calls cannot be read: {error}. Set it anew") from error


def _webhook(row: RowMapping, hook: Hook) -> WebhookOut:
    base = dependencies().public_url or request.host_url.rstrip("/")
    return WebhookOut(url=f"{base}/hooks/{row['kind']}/{row['id']}/{hook.token}", secrets=len(hook.secrets))
