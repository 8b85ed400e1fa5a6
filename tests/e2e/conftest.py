from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.client import Service
from tests.e2e.stack import Stack as Stack
from tests.e2e.stack import data_folder, remove


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The running service, shared by the tests; at the end it must stop in order and leave nothing behind."""
    folder = data_folder()
    stack = Stack(folder)
    try:
        stack.start()
        yield stack
        stack.stop()
    finally:
        stack.end()
        remove(folder)


@pytest.fixture(scope="session")
def service(stack: Stack) -> Service:
    """A user of the running service, with the first key."""
    ready = stack.ready
    return Service(
        ready["api_url"], ready["api_key"], ready["sandbox_url"], ready["data_dir"], ready["redis_url"]
    )
