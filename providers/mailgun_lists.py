"""Whom Mailgun does not write to: bounces, complaints and unsubscriptions of each domain.

Source: Mailgun's own OpenAPI document, "Bounces", "Complaints", "Unsubscribe": `paging.next` is the address of the next
page, which is empty after the last one. Of it the query is followed, never the host.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

from domain.suppression import ListPage
from providers.lists import listed

_PAGE = 1000
_LISTS = ("bounces", "complaints", "unsubscribes")
_CURSOR = re.compile(
    r"([A-Za-z0-9.-]{1,253})/(bounces|complaints|unsubscribes)\?([A-Za-z0-9%&=._~+@:/-]{0,1500})\Z"
)


def page(ask: Callable[[str], Any], domain: str | None, cursor: str | None) -> ListPage:
    """`domain` None: all domains of the account. `cursor`: DOMAIN/LIST?QUERY. Raises ValueError where it is another."""
    if cursor is None:
        domains = [domain] if domain else _domains(ask)
        if not domains:
            return ListPage((), None)
        here, name, query = domains[0], _LISTS[0], f"limit={_PAGE}"
    else:
        parts = _CURSOR.match(cursor)
        if parts is None or (domain and parts[1] != domain):
            raise ValueError("no such page")
        here, name, query = parts.groups()
    found = ask(f"/v3/{quote(here, safe='')}/{name}?{query}")
    items = found.get("items") or ()
    entries = [listed("mailgun", name, e.get("address"), e.get("created_at")) for e in items]
    rest = _next(found) if items else ""
    following = f"{here}/{name}?{rest}" if rest else _after(ask, domain, here, name)
    return ListPage([e for e in entries if e is not None], following)


def _next(found: Any) -> str:
    return urlsplit(str((found.get("paging") or {}).get("next") or "")).query


def _after(ask: Callable[[str], Any], domain: str | None, here: str, name: str) -> str | None:
    """Where to go on after the last page of a list."""
    first = f"?limit={_PAGE}"
    if name != _LISTS[-1]:
        return f"{here}/{_LISTS[_LISTS.index(name) + 1]}{first}"
    rest = [] if domain else [d for d in _domains(ask) if d > here]
    return f"{rest[0]}/{_LISTS[0]}{first}" if rest else None


def _domains(ask: Callable[[str], Any]) -> list[str]:
    """Of the account, in the order of their names."""
    names: list[str] = []
    while True:
        found = ask(f"/v4/domains?limit={_PAGE}&skip={len(names)}").get("items") or ()
        names += [str(d["name"]) for d in found]
        if len(found) < _PAGE:
            return sorted(set(names))
