"""The index: what trying a provider next is expected to cost, in $ per 1,000 emails. The lowest goes first.

One attempt ends as accepted (a), timed out (h, of which a share had been accepted), or failed; only a failure lets
the email go on. With price π, value V, delivery d, seconds ℓ worth w each, and κ for our own work, an attempt costs

    a·(π + V(1 - d)) + h·(what a doubt costs) + w·ℓ + κ

and settles the email with probability R = a + h under `hold`, a under `resend`. Trying in ascending order of
cost / R is optimal where attempts are independent (an exchange argument), so one number ranks the first choice and
the fallbacks. Scarce rates add μ·(1 - tokens/burst).

All of it is linear in V and w, so a provider's standing keeps three coefficients: I = fixed + V·loss + w·time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain.message import OnUnknown
from routing.acceptance import Ends

KAPPA = 0.01  # $ per 1,000 attempts
DUPLICATE = 2.0  # $ per 1,000 emails that may arrive twice
DOUBT_SECONDS, LOST_SECONDS = 30.0, 60.0  # how long a doubt seems to its reader: taken after all, or not
_LEAST_SETTLED = 0.01


@dataclass(frozen=True, slots=True)
class Worth:
    """What an email type asks of the choice: `value` of one delivered, `wait` of a second, $ per 1,000.

    `steady`: a sender's emails keep to one provider, as marketing's do (routing.stickiness). `urgent`: somebody waits
    for it, so that it is nobody's probe and tries nothing out.
    """

    value: float
    wait: float = 0.0
    steady: bool = False
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Coefficients:
    """I = fixed + V·loss[group] + w·time, with `fixed` split into price, shadow price and our own work."""

    price: float
    shadow: float
    work: float
    loss: tuple[float, ...]
    time: float

    @property
    def fixed(self) -> float:
        return self.price + self.shadow + self.work


def coefficients(
    ends: Ends, price: float, shadow: float, delivered: Sequence[float], on_unknown: OnUnknown
) -> Coefficients:
    """`shadow`: what the planner adds to the list price. `delivered`: the chance per group."""
    a, h, taken = ends.accepted, min(ends.timed_out, 1 - ends.accepted), ends.taken
    if on_unknown is OnUnknown.HOLD:
        settled = max(_LEAST_SETTLED, a + h)
        billed = (a + h * taken) / settled
        doubt = h * (taken * DOUBT_SECONDS + (1 - taken) * LOST_SECONDS)
        return Coefficients(
            price * billed,
            shadow * billed,
            KAPPA / settled,
            tuple(1 - billed * d for d in delivered),
            (ends.seconds + doubt) / settled,
        )
    settled = max(_LEAST_SETTLED, a)
    billed = (a + h * taken) / settled
    return Coefficients(
        price * billed,
        shadow * billed,
        (KAPPA + h * taken * DUPLICATE) / settled,
        tuple(1 - d for d in delivered),
        ends.seconds / settled,
    )
