"""Lists of what is on the machine itself: nothing is cut off that nobody asked to be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

import cli.database
from cli.keys import keys
from cli.providers import providers

MANY = 201
NAMED: dict[str, Any] = {"kind": "smtp", "owner_email": None, "status": True, "webhook": None}
KEY: dict[str, Any] = {
    "email": "ada@example.com", "test": False, "name": "", "scopes": (), "revoked_at": None, "expires_at": None,
    "created_at": datetime(2026, 1, 1, tzinfo=UTC),
}  # fmt: skip


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [NAMED | {"id": number, "name": f"p{number}"} for number in range(MANY)]
    known = [SimpleNamespace(public_id=f"k{number}", **KEY) for number in range(MANY)]

    @contextmanager
    def open_unit() -> Iterator[Any]:
        yield SimpleNamespace(
            providers=SimpleNamespace(every=lambda: rows),
            accounts=SimpleNamespace(list_keys=lambda _: known),
        )

    monkeypatch.setattr(cli.database, "open_unit", open_unit)


@pytest.mark.parametrize("group", [providers, keys], ids=["providers", "keys"])
@pytest.mark.parametrize(("asked", "shown"), [((), MANY), (("--limit", "3"), 3)], ids=["all", "three"])
def test_a_local_list_is_whole_unless_somebody_asks_for_less(
    group: Any, asked: tuple[str, ...], shown: int
) -> None:
    told = CliRunner().invoke(group, ["list", "--local", "--json", *asked])
    assert told.exit_code == 0, told.output
    assert len(told.output.splitlines()) == shown
