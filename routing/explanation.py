"""Why a provider was chosen: kept in figures while emails go out, told in words when somebody reads it.

What is kept of a decision is JSON text: names, numbers and the reasons of exclusions. Rows of equal emails are equal,
so their text is made once; everything that only a reader needs follows from the numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from routing.index import Worth
from routing.mailbox_groups import GROUPS
from routing.outlook import Score, Standing, Why

FORM = 2  # of what is kept; what has no number is older, and was kept as it is told

_SAYS = {
    "LOWEST_COST": "the lowest cost of those that can carry it",
    "LOWEST_EXPECTED_COST": "the lowest expected cost of those that can carry it",
    "RULE": "the routing rule's first choice of those that can carry it",
    "FAILOVER": "the next one after a provider that did not take it",
    "HOME": "where this sender's emails to this mailbox host go, for steadiness",
    "BREAKER_OPEN": "the lowest expected cost, while a better one does not answer",
    "RAMPING": "the lowest expected cost, while a better one is only coming back",
    "RATE_LIMITED": "the lowest expected cost, while the rate of a better one is spent",
    "DOMAIN_ALARM": "the lowest expected cost, while a better one loses email to this mailbox host",
    "QUOTA_PRESERVED": "the lowest expected cost, for what is left of a cheaper one is worth more later",
    "PROBE": "one email to see whether it is well again",
    "EXPLORE": "chosen to learn, for what is known of it leaves room for better",
    "PANIC": "none is well; it still takes some",
}
_ROW = (
    "provider", "price", "shadow", "work", "lost", "time", "delivered", "accepted", "sample", "alarmed", "well",
    "state", "index",
)  # fmt: skip


def words_of(reason: str) -> str:
    return _SAYS.get(reason) or _SAYS[reason.partition("_")[0]]


def row_text(name: str, standing: Standing, worth: Worth, group: int) -> str:
    """A provider's figures, all but how it was seen and its index: the beginning of a JSON array."""
    s, c = standing, standing.coefficients
    well = None
    if s.healthy is not None:
        h = s.healthy
        well = round(h.price + h.work + worth.value * h.loss[group] + worth.wait * h.time, 6)
    values = [
        name, round(c.price, 6), round(c.shadow, 6), round(c.work, 6), round(worth.value * s.loss[group], 6),
        round(worth.wait * s.time, 6), round(s.delivered[group], 5), round(s.accepted, 5), round(s.sample[group]),
        group in s.alarmed, well,
    ]  # fmt: skip
    return json.dumps(values, ensure_ascii=False)[:-1]


def seen_text(version: int, worth: Worth, group: int, scores: Sequence[Score], rows: Sequence[str]) -> str:
    """What was compared for which emails, as members of a JSON object. `version` of what was learned; `rows` in the
    candidates' order (`row_text`).
    """
    parts = [
        f'{rows[k]},"{why}",{"null" if index == math.inf else round(index, 6)}]' for k, index, why in scores
    ]
    head = f'"view":{version},"worth":[{worth.value:.6g},{worth.wait:.6g}],"group":"{GROUPS[group]}"'
    return f'{head},"seen":[{",".join(parts)}]'


def tell(kept: Mapping[str, Any]) -> dict[str, Any]:
    """What the API shows of what was kept. Money in $ per 1,000 emails, but `cost`: of this email."""
    if kept.get("form") != FORM:
        return dict(kept)
    chosen, reason = kept["chosen"], kept["reason"]
    rows = [dict(zip(_ROW, row, strict=True)) for row in kept.get("seen", ())]
    excluded = [
        {"provider": p, "because": because, "detail": detail, "until": until}
        for p, because, detail, until in kept["excluded"]
    ]
    told: dict[str, Any] = {"chosen": chosen, "reason": reason, "rule": kept["rule"]}
    if rows:
        told |= _compared(chosen, reason, rows)
        told |= {"snapshot": kept["view"], "worth": kept["worth"], "mailbox_group": kept["group"]}
        told["candidates"] = [_shown(row) for row in sorted(rows, key=_order(chosen))]
    else:
        told["candidates"] = [{"provider": p, "cost": c, "currency": u} for p, c, u in kept["costs"]]
        told["runner_up"] = told["candidates"][1]["provider"] if len(told["candidates"]) > 1 else None
    told["excluded"] = excluded
    told["explanation"] = in_words(
        chosen, told["reason"], told["runner_up"], [(e["provider"], e["detail"]) for e in excluded]
    )
    return told


def in_words(
    chosen: str | None, reason: str, runner_up: str | None, excluded: Sequence[tuple[str, str]]
) -> str:
    """A decision in one or two sentences."""
    if chosen is None:
        said = "No provider can carry it now."
    else:
        said = f"{chosen}: {words_of(reason)}."
        if runner_up is not None:
            said += f" Next would be {runner_up}."
    if excluded:
        said += " Not " + "; not ".join(f"{name} ({detail})" for name, detail in excluded) + "."
    return said


def _order(chosen: str) -> Any:
    return lambda row: (
        row["provider"] != chosen,
        row["state"] not in (Why.COMPARED, Why.HOPEFUL),
        math.inf if row["index"] is None else row["index"],
    )


def _compared(chosen: str, reason: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The runner-up, by how much it is dearer, and why the better one, if there is one, was passed over."""
    by_name = {row["provider"]: row for row in rows}
    others = [
        (row["index"], row["provider"])
        for row in rows
        if row["provider"] != chosen and row["state"] in (Why.COMPARED, Why.HOPEFUL)
    ]
    index, runner_up = min(others, default=(None, None))
    own = by_name[chosen]["index"]
    margin = None if index is None or own is None else round(index - own, 6)
    if reason == "LOWEST_EXPECTED_COST":
        reason = _passed_over(by_name, chosen) or reason
    return {"reason": reason, "runner_up": runner_up, "margin": margin}


def _passed_over(by_name: Mapping[str, Mapping[str, Any]], chosen: str) -> str | None:
    """Why not the one that would be best if it were well and nothing were scarce."""

    def plain(row: Mapping[str, Any]) -> float:
        if row["well"] is not None:
            return float(row["well"])
        return float(row["price"] + row["work"] + row["lost"] + row["time"])

    best = min(by_name.values(), key=plain)
    if best["provider"] == chosen or plain(best) >= plain(by_name[chosen]):
        return None
    if best["state"] not in (Why.COMPARED, Why.HOPEFUL):
        return str(best["state"])
    if best["alarmed"]:
        return "DOMAIN_ALARM"
    return "QUOTA_PRESERVED" if best["shadow"] > 0 else Why.RATE_LIMITED.value


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    known = row["index"] is not None
    parts = row["price"] + row["shadow"] + row["work"] + row["lost"] + row["time"]
    congestion = round(row["index"] - parts, 6) if known else None
    return {name: row[name] for name in _ROW if name != "well"} | {"congestion": congestion}
