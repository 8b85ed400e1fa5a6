"""The chooser on the running service, learner included: what goes wrong at a provider moves its emails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.chooser import (
    CHEAP,
    first_tries,
    learning_service,
    send,
    state,
)
from tests.e2e.client import Service, until


@pytest.fixture(scope="module")
def learning() -> Iterator[Service]:
    with learning_service() as service:
        yield service


def test_a_stopped_event_feed_moves_nothing(learning: Service) -> None:
    send(learning, 6, "delivered@yahoo.com")
    (silent,) = send(learning, 20, "nothing-is-told@yahoo.com")
    assert first_tries(learning, silent[-30:]).keys() == {CHEAP}
    assert not any(
        h["alarm"] for h in state(learning, CHEAP)["mailbox_hosts"] if h["mailbox_group"] == "yahoo"
    )


def test_a_black_hole_loses_its_traffic_within_ten_seconds_and_gets_it_back(learning: Service) -> None:
    (before,) = send(learning, 5, "delivered@example.com")
    assert first_tries(learning, before).keys() == {CHEAP}
    learning.fail(CHEAP, "hang")
    send(learning, 10, "delivered@example.com")
    assert state(learning, CHEAP)["state"] == "down"
    (after,) = send(learning, 3, "delivered@example.com")
    assert CHEAP not in first_tries(learning, after)
    learning.cli("sandbox", "heal", "--all")  # nobody says that it is well: probes find it out
    until(
        lambda: (
            bool(send(learning, 1, "delivered@example.com")) and state(learning, CHEAP)["state"] == "well"
        ),
        60,
    )
    (again,) = send(learning, 3, "delivered@example.com")
    assert first_tries(learning, again).keys() == {CHEAP}


def test_what_one_mailbox_host_blocks_is_routed_around(learning: Service) -> None:
    (before,) = send(learning, 5, "delivered@gmail.com")
    assert first_tries(learning, before).keys() == {CHEAP}
    send(learning, 8, f"blocked-at-{CHEAP}@gmail.com")
    (after,) = send(learning, 3, f"blocked-at-{CHEAP}@gmail.com")
    assert CHEAP not in first_tries(learning, after)
    delivered = {h["mailbox_group"]: h["delivered"] for h in state(learning, CHEAP)["mailbox_hosts"]}
    assert delivered["google"] < delivered["other"]
