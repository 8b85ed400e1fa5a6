from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.stack import Stack as Stack
from bench.stack import data_folder, remove
from tests.contract.certificates import make_authority
from tests.e2e.client import Service

# Short times, so that faults end soon.
QUICK = {
    "MAILMUX_LEASE_SECONDS": "3",
    "MAILMUX_HEARTBEAT_SECONDS": "1",
    "MAILMUX_SWEEP_SECONDS": "1",
    "MAILMUX_DOMAINS_SECONDS": "1",
    "MAILMUX_REPEAT_SECONDS": "1",
    "MAILMUX_LOOK_UP_SECONDS": "1",
    "MAILMUX_REPORTS_SECONDS": "1",
    "MAILMUX_PROVIDER_CONNECT_SECONDS": "2",
    "MAILMUX_PROVIDER_READ_SECONDS": "1",
    "MAILMUX_PROVIDER_TOTAL_SECONDS": "3",
}

FILE_SERVER = "127.0.0.2"  # the only address of this machine that the stack may fetch files from


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The running service, shared by the tests; at the end it must stop in order and leave nothing behind.

    Without the learner, which would choose by what earlier tests' bounces taught it.
    """
    folder = data_folder()
    authority = make_authority(folder.parent, (FILE_SERVER,))
    fetching = {"MAILMUX_FETCH_NETWORKS": f"{FILE_SERVER}/32", "SSL_CERT_FILE": str(authority.ca)}
    stack = Stack(folder, "--no-learner", environ=QUICK | fetching)
    try:
        stack.start()
        yield stack
        stack.stop()
    finally:
        stack.end()
        remove(folder)


@pytest.fixture
def service(stack: Stack) -> Iterator[Service]:
    """A user of the running service, with the first key. All providers are healthy again."""
    ready = stack.ready
    user = Service(
        ready["api_url"], ready["api_key"], ready["sandbox_url"], ready["data_dir"], ready["redis_url"]
    )
    user.heal()
    yield user
    user.http.close()
