"""A provider whose adapter cannot be built: who may read why."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from structlog.testing import capture_logs

from db.repositories.routes import ProviderRow
from domain.budgets import Spending
from routing.snapshot import QuotaLeft
from tests.builders import USER, new_id
from tests.unit.workers.sending_house import Clock
from workers.fleet import ConfiguredFleet

REASON = "sealed with the encryption key 'k1'; this process has: k2"


def a_row(owner: UUID | None) -> ProviderRow:
    return ProviderRow(
        id=new_id(), owner=owner, trusted=owner is None, name="broken", kind="smtp", sealed="", config={},
        base_cost=Decimal("0.001"), currency="USD", reliability=1.0, active=True, version=1, rate_per_second=None,
        quota=QuotaLeft(), refused_senders={}, warming={},
    )  # fmt: skip


def break_down(row: ProviderRow) -> Any:
    raise ValueError(REASON)


def test_what_is_wrong_with_a_shared_provider_stands_in_the_log_and_not_in_decisions() -> None:
    shared, own = a_row(None), a_row(USER)
    fleet = ConfiguredFleet(lambda: ([shared, own], [], {}, Spending()), break_down, Clock())
    with capture_logs() as logs:
        faults = {p.id: p.fault for p in fleet.snapshot().providers}
    assert faults[shared.id] == "its configuration cannot be used"
    assert REASON in (faults[own.id] or ""), "its owner may read, and mend it"
    assert [(line["provider"], line["reason"]) for line in logs] == [
        (str(shared.id), REASON),
        (str(own.id), REASON),
    ]
