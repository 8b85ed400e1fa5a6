"""How long one call takes, alone in its process, one after the other."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

PASSES = 5


@dataclass(frozen=True, slots=True)
class Timing:
    """µs. `what` was done among so many providers. `calm_p99`: of every call's fastest time in several passes, so that
    what other processes, interrupts and cold caches took now and then is left out, and what a call itself takes is not.
    """

    what: str
    providers: int
    p50: float
    p99: float
    calm_p99: float


def timed(what: str, providers: int, call: Callable[[int], object], rounds: int) -> Timing:
    """`call` gets the number of its round, and does the same for it in every pass. One pass more comes before those
    that count."""
    each = max(1, rounds // PASSES)
    took = np.empty((PASSES, each))
    for i in range(each):
        call(i)
    gc.collect()
    gc.disable()
    try:
        for row in took:
            for i in range(each):
                began = time.perf_counter_ns()
                call(i)
                row[i] = time.perf_counter_ns() - began
    finally:
        gc.enable()
    p50, p99 = np.percentile(took / 1000, [50, 99])
    calm = np.percentile(took.min(axis=0) / 1000, 99)
    return Timing(what, providers, round(float(p50), 2), round(float(p99), 2), round(float(calm), 2))
