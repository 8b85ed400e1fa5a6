from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.certificates import Authority, make_authority
from tests.contract.driver import Driver
from tests.contract.drivers import DRIVERS


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=sorted(DRIVERS))
def driver(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Driver]:
    built = DRIVERS[request.param](authority)
    yield built
    built.stop()


@pytest.fixture(params=sorted(set(DRIVERS) - {"memory"}))
def wired(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Driver]:
    """A driver with a server on a socket."""
    built = DRIVERS[request.param](authority)
    yield built
    built.stop()
