"""The API on a real database of each test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.api.world import Caller, World, make_world


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = make_world(database_url)
    yield made
    made.engine.dispose()


@pytest.fixture
def member(world: World) -> Caller:
    return world.user()


@pytest.fixture
def operator(world: World) -> Caller:
    return world.user("operator")
