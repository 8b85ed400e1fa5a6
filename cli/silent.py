"""A worker that is found silent from outside, where it is too dead to find so itself."""

from __future__ import annotations

import time

from wiring.secret import Secret
from wiring.silence import Silence, redis_answers

_LOOK_SECONDS = 1.0
_PATIENCE = 10.0  # seconds more than the worker's own hearts have: they tell in the log what they found


class Silent:
    """`cli.supervisor`'s question whether a worker is stuck that has `lived` for so many seconds.

    It looks once a second at most.
    """

    def __init__(self, silence: Silence, limit: float, redis_url: Secret) -> None:
        self._silence, self._limit, self._redis_url = silence, limit + _PATIENCE, redis_url
        self._next = 0.0

    def __call__(self, lived: float) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + _LOOK_SECONDS
        silent = min(self._silence.seconds(), lived)  # its predecessor's silence is not its own
        if silent <= self._limit / 2:
            return False
        if not redis_answers(self._redis_url):
            self._silence.excuse()
            return False
        return silent > self._limit
