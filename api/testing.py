"""The account of a user's test keys: apart from the user's in everything that belongs to an account (ADR 0014)."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from db.repositories.accounts import Accounts
from db.sealing import Sealer


def test_account_of(accounts: Accounts, user_id: UUID, sealer: Sealer, ids: Callable[[], UUID]) -> UUID:
    """Where there is none yet it is made, with the provider that its emails go to."""
    found = accounts.test_account(user_id)
    if found is not None:
        return found
    account, provider = ids(), ids()
    if accounts.add_test_account(account, user_id):
        accounts.add_test_provider(
            provider, account, sealer.seal({}, owner=account, kind="memory", row=provider)
        )
        return account
    made = accounts.test_account(user_id)
    assert made is not None  # another request has made it, and users are not taken away
    return made
