"""Erasing what is to be erased, part by part; several processes share the work."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Protocol

from db.repositories.erasures import Erasures
from domain.ports import Clock, Log

_SECONDS: Final = 20.0


class Unit(Protocol):
    @property
    def erasures(self) -> Erasures: ...

    def commit(self) -> None: ...


def erase(
    units: Callable[[], AbstractContextManager[Unit]],
    clock: Clock,
    log: Log,
    stopping: Callable[[], bool] = lambda: False,
    seconds: float = _SECONDS,
) -> int:
    """Do what is due, for at most `seconds`, but a part at least. Returns how many parts were done."""
    end, parts = clock.monotonic() + seconds, 0
    while not (stopping() or (parts and clock.monotonic() >= end)):
        with units() as unit:
            if not unit.erasures.work():
                break
            unit.commit()
        parts += 1
    if parts:
        log.info("erased", parts=parts)
    return parts
