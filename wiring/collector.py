"""Python's collector of reference cycles, set for processes that live long and make few cycles."""

from __future__ import annotations

import gc
from typing import Final

_ALLOCATIONS: Final = (
    20_000  # containers made and not freed before the young are looked at; Python's own is 700
)
_ROUNDS: Final = 20


def spare_the_collector() -> None:
    """To be called when a process has started: what exists by then is not looked at again.

    A batch of emails makes tens of thousands of containers that go by their reference counts. Looking for cycles
    among them and all of the libraries took a tenth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, _ROUNDS, _ROUNDS)
