"""What is different about emails that nobody waits for, and that keep to one provider: marketing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from domain.delivery import HomeMove
from domain.message import Submission
from routing.eligibility import Because, Exclusion
from routing.index import Worth
from routing.outlook import Choice, Reason, Why
from routing.snapshot import ProviderSnapshot
from routing.stickiness import FAILING, Homes, settle

PATIENCE = timedelta(minutes=15)
EXPIRY_MARGIN = timedelta(minutes=5)  # an email does not wait into its end
CHEAPER_BY = 0.05  # $ per 1,000 that waiting has to save
CHEAPER_WAIT = (
    30.0,
    120.0,
)  # seconds until an email that waits is looked at again: all at once would be a rush
_FULL = frozenset({Because.RATE_LIMITED, Because.QUOTA_DAY, Because.QUOTA_24H})


def waits_until(begin: datetime, expires_at: datetime | None) -> datetime:
    """How long an email that nobody waits for may wait for a cheaper provider, from when it may go."""
    until = begin + PATIENCE
    return until if expires_at is None else min(until, expires_at - EXPIRY_MARGIN)


def wait_for_cheaper(
    choice: Choice,
    fleet: Sequence[ProviderSnapshot],
    exclusions: Sequence[Exclusion],
    worth: Worth,
    group: int,
    until: datetime | None,
    now: datetime,
    chance: random.Random,
) -> Exclusion | None:
    """Why the choice is not taken: another provider is cheaper, and has room before `until`. None: it is taken."""
    if until is None or choice.reason not in (Reason.LOWEST_EXPECTED_COST, Reason.EXPLORE):
        return None
    full = {
        e.provider_id
        for e in exclusions
        if e.because in _FULL and e.retry_at is not None and e.retry_at < until
    }
    for provider in fleet if full else ():
        s = provider.standing
        if provider.id not in full or s is None or s.share < 1 or group in s.alarmed:
            continue
        if s.fixed + worth.value * s.loss[group] + s.rate_price + CHEAPER_BY < choice.score:
            chosen = fleet[choice.provider]
            retry_at = min(until, now + timedelta(seconds=chance.uniform(*CHEAPER_WAIT)))
            detail = f"{provider.name} is cheaper, and has room soon"
            return Exclusion(chosen.id, chosen.name, Because.CHEAPER_SOON, detail, retry_at)
    return None


def at_home(
    choice: Choice,
    fleet: Sequence[ProviderSnapshot],
    numbers: Sequence[int],
    submission: Submission,
    group: int,
    homes: Homes,
    chance: random.Random,
) -> tuple[Choice, HomeMove | None]:
    """The choice of what keeps to one provider, and the home that it gets by it, if that is another one."""
    place = submission.user_id, submission.envelope.sender.domain, group
    known = homes.get(place)
    home = next((k for k, p in enumerate(fleet) if p.id == known), None)
    indexes = {k: index for k, index, why in choice.scores if why in (Why.COMPARED, Why.HOPEFUL)}
    known_of = [p.standing for p in fleet]
    best = known_of[choice.provider]
    least = 0.0 if best is None else best.delivered[group] - FAILING
    well = [
        k for k in indexes
        if (s := known_of[k]) is not None and group not in s.alarmed and s.delivered[group] >= least
    ]  # fmt: skip
    k, moves = settle(home, choice.provider, well, numbers, chance)
    if k != choice.provider:
        choice = choice._replace(provider=k, score=indexes[k], reason=Reason.HOME)
    return choice, HomeMove(place, fleet[k].id, known) if moves and fleet[k].id != known else None
