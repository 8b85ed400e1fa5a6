"""What is observed of attempts, in the words that the models learn from."""

from __future__ import annotations

from enum import StrEnum


class End(StrEnum):
    """How one attempt ended, as far as the provider's health is concerned."""

    ACCEPTED = "accepted"
    FAILED = "failed"  # refused, provably not taken
    NO_CONNECTION = "no_connection"
    TIMED_OUT = "timed_out"  # no answer: it may have been taken
    THROTTLED = "throttled"
    QUOTA_SPENT = "quota_spent"
    ACCOUNT_FAULT = "account_fault"  # a bad key, a suspended account
