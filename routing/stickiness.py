"""Marketing stays where it is: mailbox hosts judge a sender by steadiness, which delivery figures do not show.

A sender domain's emails to a group of recipients keep to one provider for at least nine tenths, unless it fails.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

KEPT = 0.9  # share that stays although another would be better now


@dataclass(slots=True)
class Homes:
    """The provider of each sender domain and recipient group."""

    _homes: dict[tuple[str, int], int] = field(default_factory=dict)

    def of(self, sender: str, group: int) -> int | None:
        return self._homes.get((sender, group))

    def settle(
        self, sender: str, group: int, ranked: Sequence[int], well: Sequence[int], chance: random.Random
    ) -> int | None:
        """Who carries the next email. `ranked`: who may, the best first; `well`: those of them in no trouble.

        The first choice becomes the home. A home that may not carry it now is passed over; one in trouble is left
        for good, for the best that is well.
        """
        if not ranked:
            return None
        best = next((k for k in ranked if k in well), ranked[0])
        home = self._homes.setdefault((sender, group), best)
        if home in well:
            return home if best == home or chance.random() < KEPT else best
        if home in ranked:
            self._homes[sender, group] = best
        return best
