"""A choice in figures and words: what every provider would have cost, and why it was not compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from routing.index import Worth
from routing.outlook import Choice, Outlook, Reason, Why

_SAYS = {
    "LOWEST_EXPECTED_COST": "the lowest expected cost",
    "BREAKER_OPEN": "the lowest expected cost, while a better one does not answer",
    "RAMPING": "the lowest expected cost, while a better one is only coming back",
    "RATE_LIMITED": "the lowest expected cost, while the rate of a better one is spent",
    "DOMAIN_ALARM": "the lowest expected cost, while a better one loses email to this mailbox host",
    "QUOTA_PRESERVED": "the lowest expected cost, for what is left of a cheaper one is worth more later",
    "PROBE": "one email to see whether it is well again",
    "EXPLORE": "chosen to learn, for what is known of it leaves room for better",
    "PANIC": "none is well; it still takes some",
}


def explain(
    choice: Choice, outlook: Outlook, worth: Worth, group: int, names: Sequence[str]
) -> dict[str, Any]:
    """What is stored with the attempt and shown by the API. Money in $ per 1,000 emails."""
    rows = [_row(outlook, worth, group, names, *score) for score in choice.scores]
    others = [
        (score, k)
        for k, score, why in choice.scores
        if k != choice.provider and why in (Why.COMPARED, Why.HOPEFUL)
    ]
    next_score, runner_up = min(others, default=(None, None))
    reason = _reason(choice, outlook, worth, group)
    return {
        "chosen": names[choice.provider],
        "reason": reason,
        "explanation": f"{names[choice.provider]}: {_SAYS[reason]}.",
        "runner_up": None if runner_up is None else names[runner_up],
        "margin": None if next_score is None else round(next_score - choice.score, 6),
        "snapshot": outlook.version,
        "providers": rows,
    }


def _reason(choice: Choice, outlook: Outlook, worth: Worth, group: int) -> str:
    """Why not the one that would be best if it were well and nothing were scarce; else the choice's own reason."""
    if choice.reason is not Reason.LOWEST_EXPECTED_COST:
        return choice.reason.value

    def plain(k: int) -> float:
        s = outlook.standings[k]
        c = s.healthy or s.coefficients
        return c.price + c.work + worth.value * c.loss[group] + worth.wait * c.time

    why_of = {k: why for k, _, why in choice.scores}
    best = min(why_of, key=plain)
    s = outlook.standings[best]
    if best == choice.provider or plain(best) >= plain(choice.provider):
        return choice.reason.value
    if why_of[best] not in (Why.COMPARED, Why.HOPEFUL):
        return why_of[best].value
    if group in s.alarmed:
        return "DOMAIN_ALARM"
    return "QUOTA_PRESERVED" if s.coefficients.shadow > 0 else Why.RATE_LIMITED.value


def _row(
    outlook: Outlook, worth: Worth, group: int, names: Sequence[str], provider: int, index: float, why: Why
) -> dict[str, Any]:
    s = outlook.standings[provider]
    c = s.coefficients
    lost = worth.value * (s.hopeful if why is Why.HOPEFUL else s.loss)[group]
    waited = worth.wait * s.time
    known = index != math.inf
    return {
        "provider": names[provider],
        "price": round(c.price, 6),
        "shadow": round(c.shadow, 6),
        "work": round(c.work, 6),
        "lost": round(lost, 6),
        "time": round(waited, 6),
        "congestion": round(index - s.fixed - lost - waited, 6) if known else None,
        "index": round(index, 6) if known else None,
        "delivered": round(s.delivered[group], 5),
        "accepted": round(s.accepted, 5),
        "sample": round(s.sample[group]),
        "alarmed": group in s.alarmed,
        "state": why.value,
    }
