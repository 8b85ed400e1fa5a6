"""What a database needs before the service can work on it: its schema, and what a new installation starts with."""

from __future__ import annotations

import json
from pathlib import Path

from db.uow import open_engine
from wiring import seed
from wiring.bootstrap import build_sealer, new_id, unit_factory
from wiring.migrate import upgrade
from wiring.settings import Settings


def prepare(settings: Settings, sandbox_accounts: Path | None) -> None:
    """Bring the schema up to date and register the sandbox's accounts, where there are any, as providers.

    Raises ServiceFailed where the database cannot be reached.
    """
    upgrade(settings.database_url)
    if sandbox_accounts is None:
        return
    accounts = json.loads(sandbox_accounts.read_text())["accounts"]
    engine = open_engine(settings.database_url.reveal(), pool_size=1, application="mailmux-up")
    seed.sandbox_providers(unit_factory(engine), new_id, build_sealer(settings), accounts)
    engine.dispose()


def first_user(settings: Settings) -> seed.FirstUser | None:
    """Make the first user and its key, where there is no user."""
    engine = open_engine(settings.database_url.reveal(), pool_size=1, application="mailmux-up")
    user = seed.first_user(unit_factory(engine), new_id)
    engine.dispose()
    return user
