"""The decision: which provider carries an email now, which comes next, and why no other."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from domain.attempt import Attempt
from domain.errors import Unsupported
from domain.message import Submission
from routing.breaker import Admission
from routing.eligibility import Because, Exclusion, exclusion, matching_rule, visible
from routing.mailbox_groups import GROUPS, group_of
from routing.snapshot import ProviderSnapshot, RuleSnapshot, Snapshot

_GROUP = {name: number for number, name in enumerate(GROUPS)}


@dataclass(frozen=True, slots=True)
class Score:
    """The expected cost of trying a provider next and its parts, $ per 1,000 recipients."""

    index: float
    price: float
    shadow: float
    lost: float
    waited: float

    def as_json(self) -> dict[str, float]:
        return {name: round(value, 6) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A provider that may carry the email. `cost` is for the whole email, all recipients.

    `score`: its expected cost, where enough was learned to tell.
    """

    provider_id: UUID
    provider: str
    cost: Decimal
    currency: str
    probe: bool
    score: Score | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Candidates, the best first, and the reason of every exclusion. No candidate: nobody can carry it now."""

    candidates: tuple[Candidate, ...]
    exclusions: tuple[Exclusion, ...]
    rule: RuleSnapshot | None
    reason: str

    @property
    def chosen(self) -> Candidate | None:
        return self.candidates[0] if self.candidates else None

    @property
    def hopeless(self) -> bool:
        """Every provider is ruled out by the email itself: waiting would not help."""
        return not self.candidates and bool(self.exclusions) and all(e.hopeless for e in self.exclusions)

    @property
    def retry_at(self) -> datetime | None:
        """The earliest time at which an exclusion is known to pass."""
        return min((e.retry_at for e in self.exclusions if e.retry_at is not None), default=None)

    def explanation(self) -> str:
        """The decision in one or two sentences."""
        if self.chosen is None:
            said = "No provider can carry it now."
        else:
            said = f"{self.chosen.provider}: {_said(self.reason)}."
            if len(self.candidates) > 1:
                said += f" Next would be {self.candidates[1].provider}."
        if self.exclusions:
            said += " Not " + "; not ".join(f"{e.provider} ({e.detail})" for e in self.exclusions) + "."
        return said

    def as_json(self) -> dict[str, Any]:
        """What the ledger keeps and the API shows."""
        return {
            "chosen": self.chosen and self.chosen.provider,
            "reason": self.reason,
            "explanation": self.explanation(),
            "rule": self.rule and str(self.rule.id),
            "candidates": [
                {
                    "provider": c.provider,
                    "cost": f"{c.cost:f}",
                    "currency": c.currency,
                    "probe": c.probe,
                    "score": c.score and c.score.as_json(),
                }
                for c in self.candidates
            ],
            "excluded": [
                {
                    "provider": e.provider,
                    "because": e.because.value,
                    "detail": e.detail,
                    "until": e.retry_at and e.retry_at.isoformat(),
                }
                for e in self.exclusions
            ],
        }


_REASONS = {
    "LOWEST_COST": "the lowest cost of those that can carry it",
    "LOWEST_EXPECTED_COST": "the lowest expected cost of those that can carry it",
    "RULE": "the routing rule's first choice of those that can carry it",
    "FAILOVER": "the next one after a provider that did not take it",
    "PROBE": "one email to see whether it answers again",
}


def decide(
    submission: Submission,
    snapshot: Snapshot,
    history: Sequence[Attempt],
    now: datetime,
    chance: random.Random,
) -> Decision:
    """Rank the providers that may carry the email now.

    `history` is what rules providers out: the tries of this round, and earlier ones that could not be
    expressed. Providers of a rule come in the rule's order. Without a rule the lowest expected cost comes first,
    where the email's type has a worth and all that can carry it have been learned about; else the cheapest, then
    the more reliable. Equals are shuffled by `chance`.
    """
    rule = matching_rule(snapshot.rules, submission)
    tried: dict[UUID, bool] = {}
    for attempt in history:
        unexpressed = attempt.error == Unsupported.code
        tried[attempt.provider_id] = tried.get(attempt.provider_id, False) or unexpressed
    exclusions: list[Exclusion] = []
    eligible: list[ProviderSnapshot] = []
    for provider in visible(snapshot.providers, submission.user_id):
        reason = exclusion(provider, submission, rule, tried, now)
        if reason is None:
            eligible.append(provider)
        else:
            exclusions.append(reason)

    scores = _scores(eligible, submission, snapshot)

    def rank(provider: ProviderSnapshot) -> tuple[float | Decimal, ...]:
        if rule is not None:
            return (rule.providers.index(provider.id),)
        if scores:
            return (scores[provider.id].index, chance.random())
        return (provider.base_cost, -provider.reliability, chance.random())

    eligible.sort(key=rank)
    candidates = tuple(
        Candidate(
            provider_id=p.id,
            provider=p.name,
            cost=p.base_cost * submission.recipient_count,
            currency=p.currency,
            probe=p.breaker.admission(now) is Admission.PROBE,
            score=scores.get(p.id),
        )
        for p in eligible
    )
    return Decision(candidates, tuple(exclusions), rule, _reason(candidates, rule, len(tried), exclusions))


def _scores(
    eligible: Sequence[ProviderSnapshot], submission: Submission, snapshot: Snapshot
) -> dict[UUID, Score]:
    """The expected cost per provider, the mean over the recipients. Empty where it is not known of all."""
    worth = snapshot.worths.get(submission.email_type)
    if worth is None or any(p.standing is None for p in eligible):
        return {}
    groups = [_GROUP[group_of(r.address.domain)] for r in submission.envelope.recipients]
    found = {}
    for p in eligible:
        s = p.standing
        assert s is not None
        lost = worth.value * sum(s.loss[g] for g in groups) / len(groups)
        waited = worth.wait * s.time
        c = s.coefficients
        found[p.id] = Score(s.fixed + lost + waited, c.price, c.shadow, lost, waited)
    return found


def _reason(
    candidates: Sequence[Candidate], rule: RuleSnapshot | None, tries: int, exclusions: Sequence[Exclusion]
) -> str:
    if not candidates:
        return _first_of_all(exclusions)
    if candidates[0].probe:
        return "PROBE"
    if tries:
        return f"FAILOVER_{tries}"
    if rule is not None:
        return "RULE"
    return "LOWEST_COST" if candidates[0].score is None else "LOWEST_EXPECTED_COST"


def _said(reason: str) -> str:
    return _REASONS.get(reason) or _REASONS[reason.partition("_")[0]]


def _first_of_all(exclusions: Sequence[Exclusion]) -> str:
    """Why nobody can carry the email: the reason that stands in the way of the most providers."""
    if not exclusions:
        return "NO_PROVIDER"
    reasons = [e.because for e in exclusions]
    order = list(Because)
    return max(set(reasons), key=lambda r: (reasons.count(r), -order.index(r))).value
