"""The provider's connection hangs, is cut, drips, or loses its answer, in a TCP proxy of our own."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import uuid4

from bench.faults.fault import Fault
from bench.faults.load import until
from bench.faults.proxy import WAYS, Proxy, Way
from bench.faults.scene import CHEAP, SMTP, Scene

_SECONDS = 5.0


def breaking(way: Way) -> Callable[[Scene], None]:
    """Send through a proxied account of each kind, and break its connections that way for a while."""

    def inject(scene: Scene) -> None:
        smtp, http = scene.account(SMTP), scene.account(CHEAP)
        port = int(http["base_url"].rpartition(":")[2].strip("/"))
        proxies = [
            Proxy(("127.0.0.1", port), scene.chance),
            Proxy((smtp["host"], smtp["port"]), scene.chance),
        ]
        accounts = [
            _add(scene, "sendgrid", {"base_url": f"http://127.0.0.1:{proxies[0].port}"}, http["credentials"]),
            _add(
                scene,
                "smtp",
                {"host": smtp["host"], "port": proxies[1].port, "tls": smtp["tls"], "ca_pem": smtp["ca_pem"]},
                smtp["credentials"],
            ),
        ]
        try:
            for n in range(6):  # these have no other way
                for account in accounts:
                    scene.client.send(
                        f"q{scene.chance.getrandbits(48)}x{n}", routing={"pinned": [account[1]]}
                    )
            for proxy in proxies:
                proxy.way = way
            time.sleep(_SECONDS)
        finally:
            for proxy in proxies:
                proxy.way = None
            # Those in a hang keep their emails until the adapter's own time is over.
            until(lambda: _open_at(scene, [a[0] for a in accounts]) == 0, 75, 0.2)
            for account in accounts:
                scene.api("DELETE", f"/v1/providers/{account[0]}")
            for proxy in proxies:
                scene.doubts += proxy.broken
                proxy.close()

    return inject


def _add(scene: Scene, kind: str, config: dict[str, object], credentials: dict[str, str]) -> tuple[str, str]:
    """A cheap account, so that it is chosen first; returns its id and name."""
    name = f"proxied-{kind}-{uuid4().hex[:6]}"
    answer = scene.api(
        "POST",
        "/v1/providers",
        {"name": name, "kind": kind, "config": config, "credentials": credentials, "base_cost": "0.0001"},
    )
    if answer.status_code != 201:
        raise RuntimeError(f"the proxied account was refused: {answer.text[:300]}")
    return answer.json()["id"], name


def _open_at(scene: Scene, providers: list[str]) -> int:
    sql = "SELECT count(*) FROM delivery_attempts WHERE outcome IS NULL AND provider_id = ANY(%s::uuid[])"
    return int(scene.query(sql, providers)[0][0])


_SAYS = {
    "reset": "the provider's connections are reset",
    "half-close": "the provider's connections are half closed",
    "hang": "the provider's connections hang",
    "drip": "the provider's connections drip and end",
    "drop-answer": "the provider takes emails and its answers are dropped",
}
FAULTS = tuple(
    Fault(f"provider-{way}", _SAYS[way], breaking(way), 45 if way in ("hang", "half-close") else 12)
    for way in WAYS
)
