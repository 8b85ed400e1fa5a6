"""The provider's connection hangs, is cut, drips, or loses its answer, in a TCP proxy of our own."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.faults.fault import Fault
from bench.faults.proxied import CHEAPEST, proxied
from bench.faults.proxy import WAYS, Way
from bench.faults.scene import Scene

_SECONDS = 5.0


def breaking(way: Way) -> Callable[[Scene], None]:
    """Send through a proxied account of each kind, and break its connections that way for a while."""

    def inject(scene: Scene) -> None:
        with proxied(scene, CHEAPEST) as accounts:  # so that they are chosen first
            for n in range(6):  # these have no other way
                for account in accounts:
                    scene.client.send(
                        f"q{scene.chance.getrandbits(48)}x{n}", routing={"pinned": [account.name]}
                    )
            for account in accounts:
                account.proxy.way = way
            time.sleep(_SECONDS)  # the fault's own length
            if not sum(account.proxy.broken for account in accounts):
                raise RuntimeError("no connection came to be broken")
            for account in accounts:
                account.proxy.way = None
            scene.relieve()

    return inject


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
