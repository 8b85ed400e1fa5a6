"""What a past period says of a provider: counts, what the chooser makes of them, and how sure one may be.

Of acceptance, delivery per mailbox group and answer times posteriors are drawn, so that what is reckoned from several
of them keeps their doubt. A share of which less than `LEAST` was observed is not known, and nothing is said of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from domain.attempt import Outcome
from routing.acceptance import PRIOR_ACCEPTED, PRIOR_HUNG, PRIOR_SECONDS, PRIOR_STRENGTH
from routing.allocation import Floats
from routing.mailbox_groups import GROUPS

LEAST: Final = 100  # observations, below which nothing is known
_PRIOR_SHAPE, _WIDEST = (
    3.0,
    2.0,
)  # of the spread of log seconds: six observations of a variance of 0.5; at most
_NO_INFORMATION = 0.5  # Jeffreys' prior of a share: half an observation each way


@dataclass(slots=True)
class Record:
    """Of one provider: how tries ended, how long answers took, and what became of what it took.

    `told` and `delivered` per mailbox group: of the accepted whose end was told, and those that arrived.
    """

    tries: int = 0
    accepted: int = 0
    unknown: int = 0
    timed: int = 0
    logs: float = 0.0  # of the seconds that acceptances took
    squares: float = 0.0
    told: list[int] = field(default_factory=lambda: [0] * len(GROUPS))
    delivered: list[int] = field(default_factory=lambda: [0] * len(GROUPS))

    def tried(self, outcome: Outcome, seconds: float | None = None) -> None:
        self.tries += 1
        self.unknown += outcome is Outcome.UNKNOWN
        if outcome is Outcome.ACCEPTED:
            self.accepted += 1
            if seconds is not None:
                log = math.log(max(seconds, 1e-4))
                self.timed += 1
                self.logs += log
                self.squares += log * log

    def heard(self, group: int, *, delivered: bool) -> None:
        """What became of one that it had taken. "Unknown user" is not told here (routing.delivery_model)."""
        self.told[group] += 1
        self.delivered[group] += delivered

    def lacks(self, group: int) -> str | None:
        """Why its delivery to a group is not known; None: it is."""
        return None if self.told[group] >= LEAST else _too_few(self.told[group])

    def lacks_times(self) -> str | None:
        return None if self.timed >= LEAST else _too_few(self.timed)

    def kept(self, at: float) -> dict[str, Any]:
        """The same as routing.learner.Learner.recall takes it, as of a moment."""
        failed = self.tries - self.accepted
        mean = math.exp(self.logs / self.timed) if self.timed else 0.0
        return {
            "acceptance": {
                "counts": [at, self.tries, self.accepted],
                "seconds": [at, self.timed, self.timed * mean],
                "latency": [at, self.timed, self.logs, self.squares],
                "failures": [at, failed, self.unknown],
            },
            "delivery": [[at, n, d] for n, d in zip(self.told, self.delivered, strict=True)],
        }


def _too_few(n: int) -> str:
    return f"{n} of the {LEAST} observations that it takes"


@dataclass(frozen=True, slots=True)
class Draws:
    """Equally likely truths about one provider, a column each. `delivered` [group, draw]; seconds are lognormal with
    `log_mean` and `log_spread`.
    """

    accepted: Floats
    unknown: Floats
    delivered: Floats
    log_mean: Floats
    log_spread: Floats

    @property
    def seconds(self) -> Floats:
        """Mean time of an acceptance."""
        mean: Floats = np.exp(self.log_mean + self.log_spread**2 / 2)
        return mean


def draw(record: Record, chance: np.random.Generator, size: int) -> Draws:
    """The posterior: Dirichlet of the ends of tries, Beta of deliveries, Normal-inverse-gamma of log seconds.

    Acceptance has the chooser's own prior, for it takes the untried as well to be mostly sound.
    """
    failed = record.tries - record.accepted - record.unknown
    usual = PRIOR_STRENGTH * (1 - PRIOR_ACCEPTED)
    ends = chance.dirichlet(
        [
            PRIOR_STRENGTH * PRIOR_ACCEPTED + record.accepted,
            usual * PRIOR_HUNG + record.unknown,
            usual * (1 - PRIOR_HUNG) + failed,
        ],
        size,
    )
    delivered = np.stack(
        [
            chance.beta(_NO_INFORMATION + d, _NO_INFORMATION + n - d, size)
            for n, d in zip(record.told, record.delivered, strict=True)
        ]
    )
    n = record.timed
    mean = record.logs / n if n else math.log(PRIOR_SECONDS)
    squares = max(0.0, record.squares - n * mean * mean)
    variance = (_PRIOR_SHAPE / 2 + squares / 2) / chance.gamma(_PRIOR_SHAPE + n / 2, 1.0, size)
    variance = np.minimum(variance, _WIDEST**2)
    return Draws(
        ends[:, 0],
        ends[:, 1],
        delivered,
        mean + np.sqrt(variance / max(n, 1)) * chance.standard_normal(size),
        np.sqrt(variance),
    )
