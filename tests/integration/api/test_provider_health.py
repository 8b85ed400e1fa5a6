"""What was learned of an account is shown to those who may see it, and an operator may say that it is well."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from api.app import create_app
from domain.capabilities import Capabilities
from routing.breaker import Breaker
from routing.index import Coefficients
from routing.mailbox_groups import GROUPS
from routing.outlook import Standing
from routing.snapshot import ProviderSnapshot, Snapshot
from tests.builders import new_id
from tests.integration.api.world import Caller, World

EVEN = (0.99,) * len(GROUPS)
STANDING = Standing(
    Coefficients(0.1, 0.0, 0.01, (0.01,) * len(GROUPS), 0.1),
    0.98765,
    EVEN,
    (0.0, 40.25, *[0.0] * (len(GROUPS) - 2)),
    EVEN,
)


def shown(world: World, caller: Caller, provider: UUID, **known: Any) -> Any:
    """The health of a provider that the workers see so."""
    seen = ProviderSnapshot(provider, "one", Capabilities(), Decimal("0.0004"), **known)
    app = create_app(replace(world.deps, board=lambda: Snapshot((seen,))))
    return replace(caller, app=app).get(f"/v1/providers/{provider}/health")


@pytest.mark.parametrize(
    ("known", "state"),
    [
        ({}, "unknown"),
        ({"standing": STANDING}, "well"),
        ({"standing": replace(STANDING, share=0.4)}, "coming_back"),
        ({"standing": replace(STANDING, share=0.0)}, "down"),
        (
            {"standing": STANDING, "breaker": Breaker(5, 1.0, datetime.now(UTC) + timedelta(minutes=1))},
            "down",
        ),
        ({"standing": STANDING, "active": False}, "paused"),
        ({"standing": STANDING, "fault": "no such host"}, "faulty"),
    ],
)
def test_its_state_is_told_in_a_word(world: World, member: Caller, known: dict[str, Any], state: str) -> None:
    assert shown(world, member, member.provider("one"), **known).get_json()["state"] == state


def test_what_is_delivered_to_each_mailbox_host_is_told_where_there_is_something_to_tell(
    world: World, member: Caller
) -> None:
    alarmed = replace(STANDING, alarmed=frozenset({3}), feed_down=True)
    answer = shown(world, member, member.provider("one"), standing=alarmed, rate_per_second=7.5).get_json()
    assert (answer["accepted"], answer["rate_per_second"], answer["feed_down"]) == (0.9877, 7.5, True)
    assert answer["mailbox_hosts"] == [
        {"mailbox_group": GROUPS[1], "delivered": 0.99, "sample": 40.2, "alarm": False},
        {"mailbox_group": GROUPS[3], "delivered": 0.99, "sample": 0.0, "alarm": True},
    ]
    assert GROUPS[3] in answer["detail"]


def test_who_may_change_it_says_that_it_is_well(world: World, member: Caller) -> None:
    healed: list[UUID] = []
    app = create_app(replace(world.deps, heal=healed.append))
    operator = world.user("operator")
    own, shared = member.provider("one"), operator.provider("all", shared=True)
    assert replace(member, app=app).post(f"/v1/providers/{own}/healed").status_code == 204
    assert replace(member, app=app).post(f"/v1/providers/{shared}/healed").status_code == 403
    assert replace(operator, app=app).post(f"/v1/providers/{shared}/healed").status_code == 204
    assert replace(member, app=app).post(f"/v1/providers/{new_id()}/healed").status_code == 404
    assert healed == [own, shared]
    assert shown(world, world.user(), own).status_code == 404
