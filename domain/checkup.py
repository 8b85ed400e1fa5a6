"""What a provider tells of an account when it is asked, nothing being sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SenderIdentity:
    """A domain or an address that the account sends from, and whether the provider lets it."""

    name: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much the account may send in any `hours`, in recipients. `limit` None: as much as it likes."""

    limit: int | None
    used: int
    hours: int

    @property
    def left(self) -> int | None:
        return None if self.limit is None else max(self.limit - self.used, 0)


@dataclass(frozen=True, slots=True)
class Checkup:
    """The credentials were taken. What the provider does not tell is None; `notes` are for people."""

    identities: tuple[SenderIdentity, ...] | None = None
    allowance: Allowance | None = None
    rate_per_second: float | None = None
    notes: tuple[str, ...] = ()
