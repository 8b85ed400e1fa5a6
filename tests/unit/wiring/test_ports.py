"""A port is one service's, also where two are started at the same moment."""

from __future__ import annotations

import socket
import sys

import pytest

from wiring.embedded.processes import claim_port, free_port


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no abstract namespace")
def test_who_finds_a_port_free_at_the_same_moment_does_not_get_it() -> None:
    port = free_port()
    with claim_port(port) or pytest.fail("nobody has it"):
        assert free_port(port) == port  # nothing listens yet: looking tells a second one nothing
        assert claim_port(port) is None
    again = claim_port(port)
    assert again is not None
    again.close()


def test_a_claim_keeps_nobody_from_listening() -> None:
    port = free_port()
    claim = claim_port(port)
    assert claim is not None
    with claim, socket.socket() as server:
        server.bind(("127.0.0.1", port))
        server.listen()
        assert free_port(port) != port
