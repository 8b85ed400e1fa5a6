"""What a new installation starts with: a first user with a key, and the sandbox's accounts as providers."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping

from api import keys
from api.auth import OPERATOR
from api.passwords import Passwords
from db.repositories.providers import Account, QuotaLimits
from db.sealing import Hook, SealBroken, Sealer, UnknownKey, open_hook, seal_hook
from db.uow import SqlUnitOfWork

FIRST_EMAIL = "admin@localhost"
# Apart, so that the choice by cost can be seen.
_COSTS = tuple(Decimal(cost) for cost in ("0.0004", "0.0006", "0.0010"))


@dataclass(frozen=True, slots=True)
class FirstUser:
    """The secrets of a user that was just made; they cannot be read again."""

    id: UUID
    email: str
    password: str = field(repr=False)
    key: str = field(repr=False)


def first_user(
    units: Callable[[], SqlUnitOfWork], ids: Callable[[], UUID], email: str = FIRST_EMAIL
) -> FirstUser | None:
    """Make an operator with a key of all scopes where there is no user at all; None where there is one.

    Processes that start at the same time take turns, so that one of them makes the user.
    """
    with units() as unit:
        unit.accounts.lock_first_user()
        if unit.accounts.any_user():
            return None
        made = FirstUser(ids(), email, secrets.token_urlsafe(18), (key := keys.mint()).reveal())
        unit.accounts.add_user(made.id, email, Passwords().hash(made.password), OPERATOR)
        unit.accounts.add_key(ids(), made.id, key.public_id, key.hash, keys.SCOPES, name="first key")
        unit.commit()
    return made


def sandbox_providers(
    units: Callable[[], SqlUnitOfWork],
    ids: Callable[[], UUID],
    sealer: Sealer,
    accounts: Sequence[Mapping[str, Any]],
) -> Mapping[str, UUID]:
    """Register the sandbox's accounts as shared providers; returns their ids by name.

    `accounts` are the entries of its accounts.json. Repeating it brings ports, secrets and certificates up to
    date and leaves prices, quotas and pauses as they are.
    """
    found: dict[str, UUID] = {}
    with units() as unit:
        unit.accounts.lock_first_user()
        for index, account in enumerate(accounts):
            name, kind, config = account["name"], account["dialect"], _config(account)
            row = unit.providers.lock_shared(name)
            found[name] = ids() if row is None else row["id"]
            if row is None:
                price = _COSTS[min(index, len(_COSTS) - 1)]
                sealed = sealer.seal(account["credentials"], owner=None, kind=kind, row=found[name])
                unit.providers.add(found[name], Account(None, name, kind, sealed, config, price))
                unit.providers.set_quota(ids(), found[name], QuotaLimits())
            elif _is_stale(row, sealer, config, account["credentials"]):
                sealed = sealer.seal(account["credentials"], owner=None, kind=row["kind"], row=row["id"])
                unit.providers.change(
                    row["id"],
                    Account(
                        None, name, kind, sealed, config, row["base_cost"], row["currency"], row["status"]
                    ),
                )
        unit.commit()
    return found


def sandbox_hooks(
    units: Callable[[], SqlUnitOfWork],
    sealer: Sealer,
    accounts: Sequence[Mapping[str, Any]],
    providers: Mapping[str, UUID],
) -> Mapping[str, str]:
    """Let the providers of the sandbox's accounts take their events; returns the paths of the webhooks by name."""
    paths: dict[str, str] = {}
    with units() as unit:
        for account in accounts:
            if "webhook" not in account:
                continue
            name, kind, secret = account["name"], account["dialect"], account["webhook"]["secret"]
            place: dict[str, Any] = {"owner": None, "kind": kind, "row": providers[name]}
            sealed = unit.inbound.sealed(providers[name])
            try:
                hook = None if sealed is None else open_hook(sealer, sealed, **place)
            except (SealBroken, UnknownKey):
                hook = None
            if hook is None or secret not in hook.secrets:
                hook = Hook(secrets.token_urlsafe(24) if hook is None else hook.token, [secret])
                unit.inbound.set_webhook(providers[name], seal_hook(sealer, hook, **place))
            paths[name] = f"/hooks/{kind}/{providers[name]}/{hook.token}"
        unit.commit()
    return paths


def _is_stale(
    row: RowMapping, sealer: Sealer, config: Mapping[str, Any], credentials: Mapping[str, str]
) -> bool:
    """A change makes every worker build its adapter anew, so none is written where nothing is new."""
    if row["config"] != config:
        return True
    try:
        return sealer.open(row["sealed"], owner=None, kind=row["kind"], row=row["id"]) != dict(credentials)
    except (SealBroken, UnknownKey):
        return True


def _config(account: Mapping[str, Any]) -> dict[str, Any]:
    if account["dialect"] == "smtp":
        return {name: account[name] for name in ("host", "port", "tls", "ca_pem")}
    return {"base_url": account["base_url"]}
