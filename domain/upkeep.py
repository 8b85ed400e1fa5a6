"""The clock's duties by name, and how long what has come to rest is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Duty(StrEnum):
    """What is done again and again. The names are those of the tasks, as an operator sees them."""

    SWEEP = "sweep"
    OPEN_QUOTA_WINDOWS = "open_quota_windows"
    MEASURE_PROVIDERS = "measure_providers"
    FORGET_IDEMPOTENCY_KEYS = "forget_idempotency_keys"
    PURGE = "purge"
    REPEAT_CALLS = "repeat_calls"
    LOOK_UP = "look_up"
    READ_REPORTS = "read_reports"
    COLLECT_FILES = "collect_files"
    WATCH_CAMPAIGNS = "watch_campaigns"
    CHECK_DOMAINS = "check_domains"
    ADD_UP_STATS = "add_up_stats"
    ERASE = "erase"


SLOW: Final = frozenset(
    {
        Duty.REPEAT_CALLS,
        Duty.LOOK_UP,
        Duty.READ_REPORTS,
        Duty.CHECK_DOMAINS,
        Duty.COLLECT_FILES,
        Duty.PURGE,
        Duty.ADD_UP_STATS,
        Duty.ERASE,
    }
)
"""What asks others, who may keep it waiting, or works through the database for long: some twenty seconds at a time."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Days that something is kept after it came to be; None: for ever.

    Nothing of an email that still moves is ever taken away. `emails` takes everything of an email with it.
    """

    bodies: float | None = 30
    attempts: float | None = 90
    timeline: float | None = 90
    events: float | None = 90
    performance: float | None = 400
    emails: float | None = None
    files: float | None = 30
    audit: float | None = 400
    stats: float | None = 800


@dataclass(frozen=True, slots=True)
class Rota:
    """How often each duty is due, in seconds by the database's clock, and what `PURGE` takes away."""

    every: Mapping[Duty, float]
    retention: Retention = Retention()
