"""The arithmetic of the throughput harness."""

from __future__ import annotations

import asyncio

import pytest

from bench.throughput.goals import BY_NAME, middle_ratio, slipped
from bench.throughput.measure import Measured
from bench.throughput.programs.load import body
from bench.throughput.programs.receiver import SmtpSink
from bench.throughput.run import figures


def test_the_ratio_is_the_median_of_the_rounds_ratios() -> None:
    assert middle_ratio([10, 30, 8], [1, 10, 2]) == 4


@pytest.mark.parametrize(
    ("name", "measured", "met", "floor_met"),
    [
        ("batch-vs-post-office", 10, True, True),
        ("batch-vs-post-office", 9.9, False, True),
        ("batch-vs-post-office", 4.9, False, False),
        ("batch-cpu", 190, True, True),
        ("batch-cpu", 191, False, True),
        ("batch-cpu", 401, False, False),
    ],
)
def test_a_goal_is_met_from_its_better_side(name: str, measured: float, met: bool, floor_met: bool) -> None:
    found = BY_NAME[name].as_json(measured)
    assert (found["met"], found["floor_met"]) == (met, floor_met)


@pytest.mark.parametrize(
    ("name", "was", "now", "fails"),
    [
        ("single-vs-flask", 10, 6, False),
        ("single-vs-flask", 10, 5.9, True),
        ("batch-cpu-share", 0.06, 0.1, False),
        ("batch-cpu-share", 0.059, 0.1, True),
    ],
)
def test_the_gate_shuts_below_sixty_percent(name: str, was: float, now: float, fails: bool) -> None:
    assert bool(slipped({name: now}, {name: was})) is fails


def test_figures_are_told_of_what_was_measured_only() -> None:
    def runs(seconds: float, cpu: float) -> list[Measured]:
        return [Measured(1000, seconds, {"a": cpu, "b": 1.0}, 1.0, 10.0 * seconds)] * 3

    found = figures({"batches": runs(1, 99), "celery_postgres": runs(20, 5), "slow_provider": runs(2, 1)})
    assert found == {
        "batch-vs-celery-postgres": pytest.approx(20),
        "batch-cpu": pytest.approx(100),
        "batch-cpu-share": pytest.approx(100 / 6),
        "http-share": pytest.approx(0.125),  # of 2 × 100 in flight at 50 ms
    }


def test_a_batch_body_carries_its_emails_and_their_common_fields() -> None:
    assert body({"email": {"subject": "s"}, "size": 2}, 5) == (
        b'{"defaults": {"subject": "s"}, "emails": [{"to": ["u5@example.com"]}, {"to": ["u6@example.com"]}]}'
    )


def test_the_receiver_takes_what_arrives_in_pieces_and_what_arrives_together() -> None:
    written: list[bytes] = []

    class Transport(asyncio.Transport):
        def write(self, data: object) -> None:
            assert isinstance(data, bytes)
            written.append(data)

    email = b"MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\nSubject: x\r\n\r\nHello\r\n.\r\n"
    sink = SmtpSink()
    sink.connection_made(Transport())
    for start in range(0, len(email), 7):
        sink.data_received(email[start : start + 7])
    sink.data_received(email + email + b"QUIT\r\n")
    said = b"".join(written)
    assert said.count(b"250 2.0.0 Ok") == 3
    assert said.endswith(b"221 Bye\r\n")
