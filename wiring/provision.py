"""What a database needs before the service can work on it: its schema, and what a new installation starts with."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from urllib.parse import urlsplit

from db.uow import open_engine
from wiring import seed
from wiring.bootstrap import build_sealer, new_id, unit_factory
from wiring.embedded.processes import ServiceFailed
from wiring.migrate import upgrade
from wiring.settings import Settings


def prepare(settings: Settings, sandbox_accounts: Path | None, api_url: str | None = None) -> None:
    """Bring the schema up to date and register the sandbox's accounts, where there are any, as providers.

    `api_url`: where the API will be, so that the sandbox, which runs, calls its webhooks. Raises ServiceFailed where
    the database or the sandbox cannot be reached.
    """
    upgrade(settings.database_url)
    if sandbox_accounts is None:
        return
    told = json.loads(sandbox_accounts.read_text())
    accounts = told["accounts"]
    engine = open_engine(settings.database_url.reveal(), pool_size=1, application="mailmux-up")
    units, sealer = unit_factory(engine), build_sealer(settings)
    providers = seed.sandbox_providers(units, new_id, sealer, accounts)
    paths = seed.sandbox_hooks(units, sealer, accounts, providers)
    engine.dispose()
    if api_url is not None:
        token = sandbox_accounts.with_name("control-token").read_text().strip()
        for name, path in paths.items():
            _point(told["control"]["url"], token, name, api_url + path)


def _point(control_url: str, token: str, account: str, hook: str) -> None:
    """Tell the sandbox where an account's events go."""
    parts = urlsplit(control_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request(
            "PUT",
            f"/control/accounts/{account}/webhook",
            json.dumps({"url": hook}),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise ServiceFailed(f"the sandbox does not answer at {control_url}: {error}") from error
    finally:
        connection.close()
    if status != http.HTTPStatus.OK:
        raise ServiceFailed(f"the sandbox does not take the webhook of {account} ({status})")


def first_user(settings: Settings) -> seed.FirstUser | None:
    """Make the first user and its key, where there is no user."""
    engine = open_engine(settings.database_url.reveal(), pool_size=1, application="mailmux-up")
    user = seed.first_user(unit_factory(engine), new_id)
    engine.dispose()
    return user
