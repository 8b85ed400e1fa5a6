"""Accounts that reach the sandbox through a proxy of ours, one for each protocol."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from bench.faults.load import until
from bench.faults.proxy import Proxy
from bench.faults.scene import CHEAP, SMTP, Scene

_LONGEST_SEND = 75.0  # seconds until also the adapter that hangs has given up
_A_WHILE = 1.0
CHEAPEST, DEAREST = "0.0001", "9"


@dataclass(frozen=True, slots=True)
class Proxied:
    """A provider account and the proxy in front of it."""

    id: str
    name: str
    kind: str
    proxy: Proxy


@contextlib.contextmanager
def proxied(scene: Scene, cost: str) -> Iterator[list[Proxied]]:
    """An account of each kind. They go when no attempt is open with them; what was broken is counted as doubts."""
    smtp, http = scene.account(SMTP), scene.account(CHEAP)
    port = int(http["base_url"].rpartition(":")[2].strip("/"))
    web, mail = Proxy(("127.0.0.1", port), scene.chance), Proxy((smtp["host"], smtp["port"]), scene.chance)
    base_url = f"http://127.0.0.1:{web.port}"
    host = {"host": smtp["host"], "port": mail.port, "tls": smtp["tls"], "ca_pem": smtp["ca_pem"]}
    accounts: list[Proxied] = []
    try:
        accounts.append(_add(scene, "sendgrid", {"base_url": base_url}, http["credentials"], cost, web))
        accounts.append(_add(scene, "smtp", host, smtp["credentials"], cost, mail))
        yield accounts
    finally:
        for proxy in (web, mail):
            proxy.way = proxy.hold = None
        ids = [account.id for account in accounts]
        until(lambda: _open_at(scene, ids) == 0, _LONGEST_SEND, 0.2)
        for account in accounts:
            scene.api("DELETE", f"/v1/providers/{account.id}")
        # A worker goes on with what it knew of the providers until the end of its claim.
        until(lambda: _quiet_at(scene, ids), _LONGEST_SEND)
        for proxy in (web, mail):
            scene.doubts += proxy.broken
            proxy.close()


def _add(
    scene: Scene, kind: str, config: dict[str, Any], credentials: dict[str, str], cost: str, proxy: Proxy
) -> Proxied:
    name = f"proxied-{kind}-{uuid4().hex[:6]}"
    answer = scene.api(
        "POST",
        "/v1/providers",
        {"name": name, "kind": kind, "config": config, "credentials": credentials, "base_cost": cost},
    )
    if answer.status_code != 201:
        raise RuntimeError(f"the proxied account was refused: {answer.text[:300]}")
    return Proxied(answer.json()["id"], name, kind, proxy)


def _open_at(scene: Scene, providers: list[str]) -> int:
    sql = "SELECT count(*) FROM delivery_attempts WHERE outcome IS NULL AND provider_id = ANY(%s::uuid[])"
    return scene.ledger.count(sql, providers)


def _quiet_at(scene: Scene, providers: list[str]) -> bool:
    """Whether nothing is sent there now, nor a while later."""
    if _open_at(scene, providers):
        return False
    time.sleep(_A_WHILE)
    since = "SELECT count(*) FROM delivery_attempts WHERE provider_id = ANY(%s::uuid[]) AND opened_at > mm_now() - %s"
    return scene.ledger.count(since, providers, timedelta(seconds=_A_WHILE)) == 0
