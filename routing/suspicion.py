"""A provider that loses email for some groups: since when, how much is left, and when to look again."""

from __future__ import annotations

import math
from dataclasses import dataclass

from routing.progress import Trial

SHORTEST_LOOK, LONGEST_LOOK = 1.0, 900.0  # seconds between probes
HOPEFUL, HOPEFUL_LOOK = 1.0, 3.0  # evidence from which on probes follow one another quickly, and how
FORCED_END = 7200.0  # seconds after which it is forgotten, unless probes still get lost


@dataclass(slots=True)
class Suspicion:
    """`left`: the share of the usual deliveries that still arrives. `trial`: since it was noticed, of its end.

    `evidence` of recovery, in nats.
    """

    trial: Trial
    since: float
    left: float
    next_probe_at: float
    evidence: float = 0.0

    def probed(self, now: float, cost: float, gain: float) -> None:
        """The next probe comes after a wait that balances what probes cost and what a late discovery costs."""
        doubt = 1 / (1 + math.exp(self.evidence - 2.0))
        self.next_probe_at = now + probe_wait(
            now - self.since, cost * doubt, gain, SHORTEST_LOOK, LONGEST_LOOK
        )

    def weigh(self, evidence: float, now: float) -> None:
        self.evidence = evidence
        if evidence >= HOPEFUL:
            self.next_probe_at = min(self.next_probe_at, now + HOPEFUL_LOOK)


def probe_wait(age: float, cost: float, gain: float, shortest: float, longest: float) -> float:
    """How long to wait between probes of `cost` when a recovery would gain `gain` per second.

    A trouble that has lasted for `age` is expected to last as long again: age/wait probes will be in vain, and
    wait/2 will be lost at the end. The sum is least at the square root of 2·age·cost/gain.
    """
    if gain <= 0:
        return longest
    return min(longest, max(shortest, math.sqrt(2 * max(age, 0.0) * cost / gain)))
