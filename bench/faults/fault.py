"""What a fault is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.faults.scene import Scene


@dataclass(frozen=True, slots=True)
class Fault:
    """`inject` does it once, under load, and returns when the cause is over. `seconds` is about how long it takes.

    A `kill` is repeated as often as --kills says, everything else --rounds times.
    """

    name: str
    says: str
    inject: Callable[[Scene], None]
    seconds: float = 6.0
    kill: bool = False
