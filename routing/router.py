"""The decision: which provider carries an email now, which comes next, and why no other."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import field, replace
from datetime import datetime
from decimal import Decimal
from json.encoder import encode_basestring_ascii as quoted
from typing import Any
from uuid import UUID

from domain.attempt import Attempt
from domain.budgets import AtBudget
from domain.delivery import HomeMove
from domain.errors import Unsupported
from domain.message import Submission
from domain.value import value
from routing.breaker import Admission
from routing.eligibility import Because, Exclusion, at_the_moment, beyond_budget
from routing.explanation import FORM, in_words, row_text, seen_text, tell
from routing.index import Worth
from routing.mailbox_groups import group_number
from routing.outlook import Choice, Outlook, Reason, Score, blended, choose, explored, pick
from routing.settling import Alike, Moment, Settled, settled_for
from routing.snapshot import ProviderSnapshot, RuleSnapshot, Snapshot
from routing.steady import at_home, wait_for_cheaper


@value
class Candidate:
    """A provider that may carry the email. `cost` is for the whole email, all recipients."""

    provider_id: UUID
    provider: str
    cost: Decimal
    currency: str
    probe: bool


@value
class Decision:
    """Who carries the email, and the reason of every exclusion. `chosen` None: nobody can carry it now.

    `fleet`: those that were looked at, and `scores` their indexes, where enough was learned to tell; else they come
    the best first. `seen`: what was compared, as the ledger keeps it. `move`: where a sender's steady emails are to go
    from now on. `at_budget`: what becomes of emails of its type where a budget is spent. `known`: what the ledger keeps
    of emails that are alike, by who was chosen and why.
    """

    chosen: Candidate | None
    fleet: Sequence[ProviderSnapshot]
    exclusions: Sequence[Exclusion]
    rule: RuleSnapshot | None
    reason: str
    recipients: int = 1
    scores: Sequence[Score] | None = None
    seen: str | None = None
    move: HomeMove | None = None
    at_budget: AtBudget = AtBudget.DEFER
    known: dict[tuple[str, str], str] | None = field(default=None, compare=False, repr=False)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Those that could carry it, the best first."""
        ranked = self.fleet
        if self.scores is not None:
            by_rule = self.rule is not None and self.rule.in_order
            order = self.scores if by_rule else sorted(self.scores, key=lambda s: s[1])
            ranked = [self.fleet[k] for k, *_ in order]
        others = [p for p in ranked if self.chosen is None or p.id != self.chosen.provider_id]
        first = () if self.chosen is None else (self.chosen,)
        return (*first, *(_candidate(p, self.recipients) for p in others))

    @property
    def hopeless(self) -> bool:
        """Every provider is ruled out by the email itself: waiting would not help."""
        return self.chosen is None and bool(self.exclusions) and all(e.hopeless for e in self.exclusions)

    @property
    def out_of_money(self) -> bool:
        """Only a spent budget is in its way, and emails of its type do not wait for that."""
        if self.chosen is not None or self.at_budget is not AtBudget.FAIL:
            return False
        others = [e for e in self.exclusions if e.because is not Because.BUDGET]
        waits = (e.because is Because.TRIED or e.retry_at is not None for e in others)
        return len(others) < len(self.exclusions) and not any(waits)

    @property
    def retry_at(self) -> datetime | None:
        """The earliest time at which an exclusion is known to pass."""
        return min((e.retry_at for e in self.exclusions if e.retry_at is not None), default=None)

    def explanation(self) -> str:
        """The decision in one or two sentences."""
        names = [c.provider for c in self.candidates]
        excluded = [(e.provider, e.detail) for e in self.exclusions]
        chosen = None if self.chosen is None else self.chosen.provider
        return in_words(chosen, self.reason, names[1] if len(names) > 1 else None, excluded)

    def kept(self) -> str:
        """What the ledger keeps, as JSON text (routing.explanation.tell makes words of it)."""
        if self.known is None or self.chosen is None:
            return self._written()
        alike = self.chosen.provider, self.reason
        text = self.known.get(alike)
        if text is None:
            text = self.known[alike] = self._written()
        return text

    def _written(self) -> str:
        chosen = "null" if self.chosen is None else quoted(self.chosen.provider)
        rule = "null" if self.rule is None else f'"{self.rule.id}"'
        excluded = "[]"
        if self.exclusions:
            rows = [
                (e.provider, e.because.value, e.detail, e.retry_at and e.retry_at.isoformat())
                for e in self.exclusions
            ]
            excluded = json.dumps(rows, ensure_ascii=False)
        head = (
            f'{{"form":{FORM},"chosen":{chosen},"reason":"{self.reason}","rule":{rule},"excluded":{excluded}'
        )
        if self.seen is None:
            costs = [(c.provider, f"{c.cost:f}", c.currency) for c in self.candidates]
            return f'{head},"costs":{json.dumps(costs, ensure_ascii=False)}}}'
        return f"{head},{self.seen}}}"

    def as_json(self) -> dict[str, Any]:
        """What the API shows."""
        return tell(json.loads(self.kept()))


def decide(
    submission: Submission,
    snapshot: Snapshot,
    history: Sequence[Attempt],
    now: datetime,
    chance: random.Random,
    patient_until: datetime | None = None,
) -> Decision:
    """Find the provider that carries the email now.

    `history` is what rules providers out: the tries of this round, and earlier ones that could not be
    expressed. Providers of a rule come in the rule's order. Without a rule, and among those of a rule with a policy of
    its own, the lowest expected cost comes first, where the email's type has a worth and all that can carry it have
    been learned about; else the rule's order, or the cheapest, then the more reliable. Equals are shuffled by `chance`.
    What nobody waits for may wait until `patient_until` for a provider that is cheaper, and has no room at this moment.
    """
    settled = settled_for(submission, snapshot)
    moment = settled.at(snapshot)
    numbers: Sequence[int] = settled.numbers
    exclusions: Sequence[Exclusion] = settled.exclusions
    if history or moment.uneasy:
        numbers, exclusions = _of_the_moment(settled, moment, submission, history, now)
    if snapshot.budgets:
        numbers, exclusions = _within_budgets(moment, numbers, exclusions, submission, now)
    if settled.outlook is not None and numbers:
        return _weigh(
            settled, moment, numbers, exclusions, submission, snapshot, history, chance, now, patient_until
        )
    going = [moment.fleet[k] for k in numbers]
    decision = _by_cost(settled, going, exclusions, submission, history, chance, now)
    if snapshot.budgets and decision.chosen is None:
        return replace(decision, at_budget=snapshot.at_budget_of(submission.user_id, submission.email_type))
    return decision


def _of_the_moment(
    settled: Settled,
    moment: Moment,
    submission: Submission,
    history: Sequence[Attempt],
    now: datetime,
) -> tuple[Sequence[int], Sequence[Exclusion]]:
    """Who of the fleet may carry the email now, and why not the others."""
    tried: dict[UUID, bool] = {}
    for attempt in history:
        unexpressed = attempt.error == Unsupported.code
        tried[attempt.provider_id] = tried.get(attempt.provider_id, False) or unexpressed
    fleet = moment.fleet
    out: dict[int, Exclusion] = {}
    for number in settled.numbers if tried else moment.uneasy:
        provider = fleet[number]
        if tried and not provider.uneasy and provider.id not in tried:
            continue
        reason = at_the_moment(provider, submission, tried, now)
        if reason is not None:
            out[number] = reason
    if not out:
        return settled.numbers, settled.exclusions
    return [k for k in settled.numbers if k not in out], [*settled.exclusions, *out.values()]


def _within_budgets(
    moment: Moment,
    numbers: Sequence[int],
    exclusions: Sequence[Exclusion],
    submission: Submission,
    now: datetime,
) -> tuple[Sequence[int], Sequence[Exclusion]]:
    """Those of them that no spent budget stands in the way of. One whose day or month is over is whole again."""
    snapshot = moment.snapshot
    if snapshot.at_budget_of(submission.user_id, submission.email_type) is AtBudget.IGNORE:
        return numbers, exclusions
    budgets = [budget for budget in snapshot.budgets if budget.ends > now]
    found = {k: beyond_budget(moment.fleet[k], submission, budgets) for k in numbers}
    spent = [e for e in found.values() if e is not None]
    if not spent:
        return numbers, exclusions
    return [k for k in numbers if found[k] is None], [*exclusions, *spent]


def _weigh(
    settled: Settled,
    moment: Moment,
    numbers: Sequence[int],
    exclusions: Sequence[Exclusion],
    submission: Submission,
    snapshot: Snapshot,
    history: Sequence[Attempt],
    chance: random.Random,
    now: datetime,
    patient_until: datetime | None,
) -> Decision:
    """The choice by what was learned."""
    outlook, worth, fleet = settled.outlook, settled.worth, moment.fleet
    assert outlook is not None
    assert worth is not None
    recipients = submission.envelope.recipients
    group = group_number(recipients[0].address.domain)
    mixed = len(recipients) > 1 and any(group_number(r.address.domain) != group for r in recipients)
    if mixed:
        outlook = blended(outlook, [group_number(r.address.domain) for r in recipients])

    alike: Alike | None = None
    in_order = settled.rule is not None and settled.rule.in_order
    if in_order:
        choice = _by_rule(outlook, worth, group, numbers, moment, chance)
    elif mixed:
        patient = not worth.urgent
        choice = choose(
            outlook, worth, group, numbers, moment.room, chance,
            explores=patient, probes=patient, taken=moment.taken,
        )  # fmt: skip
    else:
        patient = not worth.urgent
        hopeful = patient and explored(chance)
        alike = settled.alike(moment, numbers, group, hopeful=hopeful)
        choice = pick(
            outlook, worth, group, alike.weighing, chance,
            hopeful=hopeful, probes=patient, taken=moment.taken,
        )  # fmt: skip
    if choice is None:
        shut = [Exclusion.while_down(fleet[k], now) for k in numbers]
        return Decision(None, (), [*exclusions, *shut], settled.rule, _first_of_all([*exclusions, *shut]))
    move: HomeMove | None = None
    if worth.steady and not in_order and not choice.probe:
        waiting = wait_for_cheaper(choice, fleet, exclusions, worth, group, patient_until, now, chance)
        if waiting is not None:
            return Decision(None, (), [waiting], settled.rule, waiting.because.value)
        if not mixed:
            choice, move = at_home(choice, fleet, numbers, submission, group, snapshot.homes, chance)
            if settled.rule is not None:  # other emails of the sender may go by providers that it leaves out
                move = None
    if alike is not None:
        seen = alike.seen
    else:
        rows = (
            [row_text(p.name, outlook.standings[k], worth, group) for k, p in enumerate(fleet)]
            if mixed
            else settled.rows(fleet, group)
        )
        seen = seen_text(outlook.version, worth, group, choice.scores, rows)
    provider = fleet[choice.provider]
    candidate = _candidate(
        provider,
        len(recipients),
        probe=choice.probe or provider.breaker.admission(now) is Admission.PROBE,
    )
    reason = choice.reason.value
    if choice.reason is Reason.LOWEST_EXPECTED_COST:
        reason = f"FAILOVER_{len(history)}" if history else "RULE" if in_order else reason
    return Decision(
        candidate,
        fleet,
        exclusions,
        settled.rule,
        reason,
        len(recipients),
        choice.scores,
        seen,
        move,
        known=None if alike is None or exclusions is not settled.exclusions else alike.kept,
    )


def _by_rule(
    outlook: Outlook,
    worth: Worth,
    group: int,
    numbers: Sequence[int],
    moment: Moment,
    chance: random.Random,
) -> Choice | None:
    """Strictly in the rule's order; one that is not well only where all of them are not."""
    patient = not worth.urgent
    choice: Choice | None = None
    for k in numbers:
        own = choose(
            outlook, worth, group, (k,), moment.room, chance,
            explores=False, probes=patient, taken=moment.taken,
        )  # fmt: skip
        if own is not None and (choice is None or choice.reason is Reason.PANIC):
            choice = own
        if choice is not None and choice.reason is not Reason.PANIC:
            break
    return choice


def _by_cost(
    settled: Settled,
    eligible: Sequence[ProviderSnapshot],
    exclusions: Sequence[Exclusion],
    submission: Submission,
    history: Sequence[Attempt],
    chance: random.Random,
    now: datetime,
) -> Decision:
    """The choice where nothing has been learned yet: by the rule, or by the list price."""
    rule = settled.rule

    def rank(provider: ProviderSnapshot) -> tuple[float | Decimal, ...]:
        return (provider.price, -provider.reliability, chance.random())

    ranked = tuple(eligible) if rule is not None else tuple(sorted(eligible, key=rank))
    if not ranked:
        return Decision(None, (), exclusions, rule, _first_of_all(exclusions))
    probe = ranked[0].breaker.admission(now) is Admission.PROBE
    reason = "LOWEST_COST"
    if probe:
        reason = "PROBE"
    elif history:
        reason = f"FAILOVER_{len({a.provider_id for a in history})}"
    elif rule is not None:
        reason = "RULE"
    recipients = submission.recipient_count
    chosen = _candidate(ranked[0], recipients, probe=probe)
    return Decision(chosen, ranked, exclusions, rule, reason, recipients)


def _candidate(provider: ProviderSnapshot, recipients: int, *, probe: bool = False) -> Candidate:
    return Candidate(provider.id, provider.name, provider.base_cost * recipients, provider.currency, probe)


def _first_of_all(exclusions: Sequence[Exclusion]) -> str:
    """Why nobody can carry the email: the reason that stands in the way of the most providers that it may wait for."""
    if not exclusions:
        return "NO_PROVIDER"
    reasons = [e.because for e in exclusions if not e.hopeless] or [e.because for e in exclusions]
    order = list(Because)
    return max(set(reasons), key=lambda r: (reasons.count(r), -order.index(r))).value
