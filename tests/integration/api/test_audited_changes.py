"""Every route that changes something: the change and its line in the audit log are there together, or neither is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text

from tests.integration.api.test_access import ROUTES, asking_well
from tests.integration.api.world import World

CHANGING = sorted(
    route for route, scope in ROUTES.items() if scope and scope.endswith(":write") and route[0] != "GET"
)
# They ask others, and change nothing of ours.
ONLY_ASKING = {("POST", "/v1/providers/<uuid:provider_id>/test")}


def lines(world: World) -> list[tuple[Any, ...]]:
    found = world.sql("SELECT action, target, user_id FROM audit_log ORDER BY id")
    return [tuple(row) for row in found]


def contents(world: World) -> dict[str, str]:
    """A fingerprint of each table but that of the tries to sign in, which count also where nothing comes of them."""
    names = [
        row[0]
        for row in world.sql("SELECT relname FROM pg_stat_user_tables WHERE relname <> 'sign_in_tries'")
    ]
    with world.engine.connect() as connection:
        return {
            name: connection.execute(
                text(f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {name} t")
            ).scalar_one()
            for name in names
        }


@contextmanager
def no_lines(world: World) -> Iterator[None]:
    """Nothing can be written in the audit log."""
    world.sql("ALTER TABLE audit_log ADD CONSTRAINT none CHECK (false) NOT VALID")
    yield
    world.sql("ALTER TABLE audit_log DROP CONSTRAINT none")


@pytest.mark.parametrize(("method", "rule"), CHANGING)
def test_a_change_leaves_one_line_that_names_what_was_changed(world: World, method: str, rule: str) -> None:
    ask = asking_well(world, method, rule)
    before = lines(world)
    answer = ask()
    assert answer.status_code < 300, answer.text
    told = lines(world)[len(before) :]
    if (method, rule) in ONLY_ASKING:
        assert told == []
        return
    [(action, target, _)] = told
    assert action == f"{method} {rule}"
    made = answer.get_json()["id"] if answer.status_code == 201 and "<" not in rule else None
    assert made is None or str(target) == made
    assert target is not None or "<" not in rule


@pytest.mark.parametrize(("method", "rule"), CHANGING)
def test_without_its_line_nothing_is_changed(world: World, method: str, rule: str) -> None:
    ask = asking_well(world, method, rule)
    before = contents(world)
    with no_lines(world):
        answer = ask()
    assert contents(world) == before
    assert (answer.status_code >= 500) is ((method, rule) not in ONLY_ASKING), answer.text
