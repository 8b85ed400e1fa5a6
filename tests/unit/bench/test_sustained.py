"""What a run says of the goal: paired ratios, a backlog that grows, and one that only swings."""

from __future__ import annotations

import base64
import queue
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.sustained.figures import FLOOR, GOAL, Paced, Report, Sample, slope
from bench.sustained.provider import call, gathered
from domain.events import EventType, WebhookRequest
from providers import registry
from tests.builders import new_id
from tests.contract.adapters import CREDENTIALS
from tests.contract.emails import a_world


def paced(*backlogs: int, left: int = 0, rate: float = 100.0) -> Paced:
    samples = [Sample(float(second), backlog) for second, backlog in enumerate(backlogs)]
    return Paced(rate, 1000, samples, left)


def report(alone: list[float], everything: list[float], run: Paced | None = None) -> Report:
    return Report(1000, 50, alone, everything, {"api": 90.4}, {"api": 180.6}, run or paced(1, 1, 1, 1))


def test_each_round_is_compared_with_its_own_sends_alone() -> None:
    slow_then_fast = report([100.0, 1000.0, 500.0], [50.0, 700.0, 300.0])
    assert slow_then_fast.ratio == pytest.approx(0.6)
    assert slow_then_fast.as_json()["met"]
    assert not report([100.0], [39.0]).as_json()["floor_met"]
    assert FLOOR < GOAL


@pytest.mark.parametrize(
    ("backlogs", "growth"),
    [
        ((5, 5, 5, 5), 0.0),
        ((0, 10, 20, 30, 40), 10.0),
        ((40, 30, 20, 10, 0), -10.0),
        ((1, 2), 0.0),
        ((), 0.0),
    ],
)
def test_the_growth_is_the_slope_of_the_backlog(backlogs: tuple[int, ...], growth: float) -> None:
    assert slope(paced(*backlogs).samples) == pytest.approx(growth)


def test_the_way_of_the_first_emails_is_no_growth() -> None:
    filling = paced(0, 300, 600, *[600] * 12)
    assert filling.growth == pytest.approx(0.0)
    assert not filling.growing


@pytest.mark.parametrize(
    ("backlogs", "growing"),
    [(range(0, 400, 20), True), ([500, 450, 550, 480, 520, 500] * 3, False), ([100] * 20, False)],
)
def test_a_backlog_that_grows_is_told_from_one_that_swings(backlogs: list[int], growing: bool) -> None:
    run = paced(*backlogs)
    assert run.growing is growing
    assert bool(report([1.0], [1.0], run).complaints()) is growing


def test_what_was_never_told_of_is_complained_about() -> None:
    (complaint,) = report([1.0], [1.0], paced(1, 1, 1, left=3)).complaints()
    assert complaint.startswith("3 of 1000 emails")


def test_events_are_gathered_up_to_so_many_and_not_waited_for_long() -> None:
    taken: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in "abcde":
        taken.put(name)
    assert gathered(taken, 3, 0.0) == ["a", "b", "c"]
    assert gathered(taken, 3, 0.0) == ["d", "e"]


def test_its_calls_are_such_as_the_service_proves_and_reads() -> None:
    key, attempts = ec.generate_private_key(ec.SECP256R1()), [str(new_id()) for _ in range(3)]
    now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    body, headers = call(key, attempts, int(now.timestamp()))
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    config, _ = registry.validate("sendgrid", {}, CREDENTIALS["sendgrid"])
    secret = {"verification_key": base64.b64encode(public).decode()}
    webhook = registry.receiver("sendgrid", "bench", config, [secret], a_world())
    assert webhook is not None
    request = WebhookRequest("https://x", {name.lower(): value for name, value in headers.items()}, body)
    webhook.verify(request, now)
    told = [e.event for e in webhook.parse(request).events]
    assert [(e.type, str(e.attempt_id)) for e in told] == [(EventType.DELIVERED, a) for a in attempts]
