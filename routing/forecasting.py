"""How much email is expected, in the few time buckets that the planner looks at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from routing.allocation import Floats

BUCKETS = 10
SHORTEST = 1.0  # seconds of a first bucket that a cut leaves
FIRST = 300.0  # seconds of the first bucket, whose rates are priced


def horizon(
    per_second: Floats,
    step: float,
    now: float,
    end: float,
    buckets: int = BUCKETS,
    cuts: Sequence[float] = (),
) -> tuple[Floats, Floats]:
    """Emails and seconds per bucket, from `now` to `end`: a short first one, then equal parts, parted at `cuts` too.

    `per_second` is the forecast per `step` seconds from time 0.
    """
    left = max(1.0, end - now)
    first = min(FIRST, left)
    edges = now + np.concatenate([[0.0], first + np.linspace(0.0, left - first, buckets)])
    edges = np.unique([*edges, *(cut for cut in cuts if now + SHORTEST < cut < end)])
    times = np.arange(len(per_second) + 1) * step
    summed = np.concatenate([[0.0], np.cumsum(per_second) * step])
    emails = np.diff(np.interp(edges, times, summed))
    return np.maximum(emails, 0.0), np.diff(edges)
