"""/v1/providers/{id}/health: what was learned of accounts, and how to say that one is well."""

from __future__ import annotations

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from api.auditing import write_down
from api.auth import caller
from api.documents import problems
from api.errors import not_found
from api.ownership import changeable
from api.requests import answer, dependencies, empty, scoped
from api.schemas.health import AtMailboxHost, HealthOut
from api.schemas.providers import ProviderPath
from routing.breaker import Admission
from routing.mailbox_groups import GROUPS
from routing.snapshot import ProviderSnapshot

blueprint = APIBlueprint(
    "provider_health", __name__, url_prefix="/v1/providers", abp_tags=[Tag(name="providers")]
)
_ONE = "/<uuid:provider_id>"


@blueprint.get(
    f"{_ONE}/health", summary="Look up a provider's health", responses={200: HealthOut, **problems(404)}
)
@scoped("providers:read")
def get(path: ProviderPath) -> Response:
    """What the chooser goes by: whether it takes emails, what it delivers to each mailbox host, what is wrong."""
    deps = dependencies()
    with deps.units() as unit:
        if unit.providers.get(caller().user_id, path.provider_id) is None:
            raise not_found()
        now = unit.now()
    known = next((p for p in deps.board().providers if p.id == path.provider_id), None)
    if known is None:
        raise not_found()  # it has just been deleted
    return answer(_health(known, known.breaker.admission(now) is not Admission.OPEN_DOOR))


@blueprint.post(
    f"{_ONE}/healed", summary="Say that a provider is well", responses={204: None, **problems(404)}
)
@scoped("providers:write")
def healed(path: ProviderPath) -> Response:
    """What was held against it goes: failures, alarms, a taught rate. What it does from now on counts."""
    deps, asker = dependencies(), caller()
    with deps.units() as unit:
        row = changeable(asker, unit.providers.get(asker.user_id, path.provider_id))
        write_down(unit)
        deps.heal(row["id"])  # the line waits for it: it stands where this is done, and else not
        unit.commit()
    return empty()


def _health(provider: ProviderSnapshot, shut: bool) -> HealthOut:
    standing = provider.standing
    hosts = []
    if standing is not None:
        hosts = [
            AtMailboxHost(
                mailbox_group=name,
                delivered=round(standing.delivered[group], 4),
                sample=round(standing.sample[group], 1),
                alarm=group in standing.alarmed,
            )
            for group, name in enumerate(GROUPS)
            if standing.sample[group] >= 1 or group in standing.alarmed
        ]
    state, detail = _state(provider, shut)
    return HealthOut.model_validate(
        {
            "provider_id": provider.id,
            "state": state,
            "detail": detail,
            "accepted": None if standing is None else round(standing.accepted, 4),
            "rate_per_second": provider.rate_per_second,
            "feed_down": standing is not None and standing.feed_down,
            "mailbox_hosts": hosts,
        }
    )


def _state(provider: ProviderSnapshot, shut: bool) -> tuple[str, str]:
    standing = provider.standing
    if not provider.active:
        return "paused", "by an operator, or its owner"
    if provider.fault is not None:
        return "faulty", provider.fault
    if shut or (standing is not None and standing.share <= 0):
        return "down", provider.breaker.cause or "it does not take emails"
    if standing is None:
        return "unknown", "nothing was learned of it yet"
    if standing.share < 1:
        return "coming_back", f"it gets {standing.share:.0%} of its emails"
    alarms = ", ".join(GROUPS[group] for group in sorted(standing.alarmed))
    return "well", f"but for {alarms}" if alarms else ""
