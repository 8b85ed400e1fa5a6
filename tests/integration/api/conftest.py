"""The API on a real database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Databases
from tests.integration.api.world import Caller, World, make_world


@pytest.fixture(scope="module")
def module_world(databases: Databases) -> Iterator[World]:
    """One database for a module: its tests keep apart by having users of their own."""
    with databases.clone() as url:
        made = make_world(url)
        yield made
        made.close()


@pytest.fixture
def world(module_world: World) -> World:
    module_world.forget()
    return module_world


@pytest.fixture
def member(world: World) -> Caller:
    return world.user()


@pytest.fixture
def operator(world: World) -> Caller:
    return world.user("operator")
