"""The faults, each a small class. `FAULTS` lists them in the order in which they are told."""

from __future__ import annotations

from bench.faults.acts import boundaries, clocks, kills, memory, pauses, provider, restores, twins, webhooks
from bench.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
    *kills.FAULTS,
    *boundaries.FAULTS,
    *pauses.FAULTS,
    *provider.FAULTS,
    *memory.FAULTS,
    *twins.FAULTS,
    *webhooks.FAULTS,
    *clocks.FAULTS,
    *restores.FAULTS,
)
