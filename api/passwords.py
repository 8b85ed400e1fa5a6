"""Passwords: argon2id (RFC 9106), never more at once than a machine can bear.

A hash takes 64 MiB and some tens of milliseconds by intent. Those that come while enough are under way wait for a
moment; then they are told to come again, so that whoever posts emails keeps their threads.
"""

from __future__ import annotations

import secrets
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from api.errors import Problem

SHORTEST: Final = 12
LONGEST: Final = 256
_AT_ONCE: Final = 2
_WAIT: Final = 2.0  # seconds

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Checked:
    """`fresh`: the hash to be stored from now on, where the parameters were others when the former was made."""

    right: bool
    fresh: str | None = None


class Passwords:
    """Raises Problem 503 where too many are being checked."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turns = threading.BoundedSemaphore(_AT_ONCE)

    def hash(self, password: str) -> str:
        return self._in_turn(lambda: self._hasher.hash(_normal(password)))

    def nobodys(self) -> str:
        """The hash of a password that nobody knows."""
        return self.hash(secrets.token_urlsafe(32))

    def check(self, password: str, stored: str | None) -> Checked:
        """Whether a password is the stored one. Without one (None) it is wrong after the same work."""
        return self._in_turn(lambda: self._check(_normal(password), stored))

    def _check(self, password: str, stored: str | None) -> Checked:
        try:
            self._hasher.verify(self._of_nobody if stored is None else stored, password)
        except InvalidHashError:  # nobody can have it; yet it takes as long
            return Checked(right=False) if stored is None else self._check(password, None)
        except VerificationError:
            return Checked(right=False)
        if stored is None:
            return Checked(right=False)
        stale = self._hasher.check_needs_rehash(stored)
        return Checked(right=True, fresh=self._hasher.hash(password) if stale else None)

    @cached_property
    def _of_nobody(self) -> str:
        return self._hasher.hash("the password of nobody")

    def _in_turn(self, work: Callable[[], Result]) -> Result:
        if not self._turns.acquire(timeout=_WAIT):
            raise Problem(503, "Too many passwords are being checked", headers={"Retry-After": "2"})
        try:
            return work()
        finally:
            self._turns.release()


def weakness(password: str, email: str | None = None) -> str | None:
    """What is wrong with a new password (NIST SP 800-63B: length counts, not kinds of characters); None: nothing."""
    text = _normal(password)
    if len(text) < SHORTEST:
        return f"a password has at least {SHORTEST} characters"
    if len(set(text)) < 5:
        return "a password has at least 5 different characters"
    if email and (text.lower() == email.lower() or text.lower() == email.lower().partition("@")[0] * 2):
        return "a password is not the address"
    return None


def _normal(password: str) -> str:
    """One text for what looks the same, whichever keyboard it comes from (RFC 8265)."""
    return unicodedata.normalize("NFC", password)
