"""The campaign's books: what is not accounted for is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.campaign import Report

RIGHT = Report(10, 1.0, 3, 1.0, 0.1, 1, 0.5, 6, 4, 4, {"sent": 4, "cancelled": 6})


def test_books_that_agree_are_well() -> None:
    assert RIGHT.problems == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"pause_seconds": 2.1}, "after the pause"),
        ({"statuses": {"sent": 4, "cancelled": 5}}, "9 are accounted for"),
        ({"received": 5}, "5 were received"),
        ({"statuses": {"sent": 4, "cancelled": 5, "queued": 1}}, "queued"),
    ],
)
def test_whatever_disagrees_is_told(wrong: dict[str, object], says: str) -> None:
    (problem,) = replace(RIGHT, **wrong).problems  # type: ignore[arg-type]  # fields of several types
    assert says in problem
