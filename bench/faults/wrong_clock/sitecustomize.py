"""Python imports this by its name at the start: `time.time` is off by so many seconds, and later as many the other way.

WRONG_CLOCK: both, in seconds. What asks the system itself, as ids do, is told the right time.
"""

import os
import time

_off, _, _turns_after = os.environ["WRONG_CLOCK"].partition(" ")
_turn = time.monotonic() + float(_turns_after)
_time, _time_ns = time.time, time.time_ns


def _wrong() -> float:
    return float(_off) if time.monotonic() < _turn else -float(_off)


time.time = lambda: _time() + _wrong()
time.time_ns = lambda: _time_ns() + int(_wrong() * 1e9)
