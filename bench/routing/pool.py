"""The five providers and the daily traffic that the scenarios share."""

from __future__ import annotations

import math
from dataclasses import replace

from bench.routing.world import ProviderSpec
from routing.pricing import flat

ALPHA = ProviderSpec("alpha", flat(0.10), 0.997, 0.12, 0.5, (0.985, 0.930, 0.975, 0.980, 0.970))
BRAVO = ProviderSpec("bravo", flat(0.35), 0.996, 0.25, 0.6, (0.986, 0.984, 0.982, 0.986, 0.980))
CHARLIE = ProviderSpec("charlie", flat(0.80), 0.998, 0.20, 0.5, (0.991, 0.992, 0.985, 0.990, 0.988))
DELTA = ProviderSpec("delta", flat(1.30), 0.9995, 0.15, 0.4, (0.997, 0.997, 0.996, 0.997, 0.995))
ECHO = ProviderSpec("echo", flat(0.60), 0.995, 0.30, 0.6, (0.980, 0.975, 0.975, 0.982, 0.970))

POOL = (ALPHA, BRAVO, CHARLIE, DELTA, ECHO)
FREE_ECHO = replace(ECHO, prices=flat(0.0), rate=5.0)  # a free tier

DAY = 86_400.0
DAY_STEP = 300.0


def pool(*changed: ProviderSpec) -> tuple[ProviderSpec, ...]:
    """The five, some of them replaced by others of the same name."""
    by_name = {p.name: p for p in changed}
    return tuple(by_name.get(p.name, p) for p in POOL)


def daily(t: float) -> float:
    """Emails per second: a wave over the day, and a burst between nine and ten. Some 73,000 a day."""
    wave = 0.8 * (1 + 0.7 * math.sin((t / DAY - 0.25) * 2 * math.pi))
    return wave + (1.2 if 9 * 3600 < t % DAY < 10 * 3600 else 0.0)
