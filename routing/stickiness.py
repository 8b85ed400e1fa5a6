"""Marketing stays where it is: mailbox hosts judge a sender by steadiness, which delivery figures do not show.

A sender domain's emails to a group of recipients keep to one provider for at least nine tenths, unless it fails.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from uuid import UUID

KEPT = 0.9  # share that stays although another would be better now
FAILING = 0.03  # share of emails by which a home may deliver less than the best before it is left

Place = tuple[UUID, str, int]
"""Whose emails, from which sender domain, to which mailbox group (routing.mailbox_groups.GROUPS)."""

Homes = Mapping[Place, UUID]
"""The provider of each."""


def settle(
    home: int | None, best: int, well: Collection[int], here: Collection[int], chance: random.Random
) -> tuple[int, bool]:
    """Who carries the next email, and whether that becomes its home.

    `home` None: it has none that is still there. `best`: the first choice; `well`: those in no trouble; `here`: those
    that may carry it now. A home that may not, for its quota or rate is spent, is passed over; one in trouble is left
    for good, for the best.
    """
    if home is None:
        return best, True
    if home == best:
        return home, False
    if home in well:
        return (home, False) if chance.random() < KEPT else (best, False)
    return best, home in here and best in well
