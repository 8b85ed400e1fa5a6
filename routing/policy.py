"""What happens next to an email: the retry policy as values, so that delivery only carries it out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from domain.attempt import Attempt, Outcome
from domain.errors import ProviderError, RecipientSuppressed, Rejected, Unsupported
from domain.lifecycle import Event
from domain.message import OnUnknown
from domain.value import value
from routing.eligibility import Because
from routing.router import Decision

_UNSEEN = ("RATE_LIMITED", "CHEAPER_SOON")  # waits that are nobody's trouble
ROUND_WAITS = (1.0, 10.0, 60.0, 240.0, 900.0)  # seconds before another round over all providers
NO_ROUTE_WAIT = 60.0  # seconds, where no exclusion says when it passes
BUDGET_WAIT = 900.0  # seconds at most for a budget, which is refunded, raised or taken away before its time
SHORTEST_WAIT = 0.02


@value
class Patience:
    """How long to wait for evidence and for providers, in seconds."""

    unknown_ttl: float = 86_400.0
    resend_after: float = 60.0
    give_up_after: float = 259_200.0


@value
class TryNext:
    """Decide again at once, without the provider just tried."""


@value
class Postpone:
    """Come back in `delay` seconds. A wait that is `visible` shows as deferred; a short one for a rate does not."""

    delay: float
    round: int
    reason: str
    visible: bool = True


@value
class Hold:
    """It may have been sent: wait `delay` seconds for evidence."""

    delay: float
    reason: str


@value
class Finish:
    event: Event
    reason: str | None = None


Step = TryNext | Postpone | Hold | Finish


@value
class Case:
    """What the policy knows of one email. `attempts` are all that the ledger has, in any order."""

    accepted_at: datetime
    round: int
    on_unknown: OnUnknown
    attempts: Sequence[Attempt]
    expires_at: datetime | None = None
    held: bool = False

    @property
    def doubts(self) -> int:
        """How many tries may have reached the recipient without our knowing."""
        return sum(a.outcome is Outcome.UNKNOWN for a in self.attempts)

    def tried_now(self) -> list[Attempt]:
        """The tries that rule their provider out now: those of this round, and those that it could not express."""
        return [
            a
            for a in self.attempts
            if a.outcome is Outcome.NOT_SENT and (a.round == self.round or a.error == Unsupported.code)
        ]


def before_sending(case: Case, now: datetime, patience: Patience) -> Finish | None:
    """Whether an email that is due should not be tried any more; None: go on."""
    if case.held and (case.on_unknown is OnUnknown.HOLD or case.doubts != 1):
        return Finish(
            Event.LOST_SIGHT, f"no evidence within {_words(patience.unknown_ttl)}; it stays unknown"
        )
    if case.expires_at is not None and now >= case.expires_at:
        return _end(case, Event.EXPIRED, "it expired before a provider took it")
    if now >= case.accepted_at + timedelta(seconds=patience.give_up_after):
        return _end(case, Event.GAVE_UP, f"no provider took it within {_words(patience.give_up_after)}")
    return None


ACCEPTED = Finish(Event.ACCEPTED)


def after_attempt(case: Case, error: ProviderError | None, patience: Patience) -> Step:
    """What follows the end of one try. `case` already holds the try; `error` None: accepted."""
    if error is None:
        return ACCEPTED
    if error.outcome is Outcome.UNKNOWN:
        return Hold(hold_seconds(case.on_unknown, case.doubts, patience), str(error))
    if isinstance(error, RecipientSuppressed):
        return _end(case, Event.SUPPRESSED, str(error))
    if isinstance(error, Rejected):
        return _end(case, Event.GAVE_UP, str(error))
    return TryNext()


def hold_seconds(on_unknown: OnUnknown, doubts: int, patience: Patience) -> float:
    """How long to wait for evidence: shortly where the email may be sent once more, else until the doubt is final."""
    return patience.resend_after if on_unknown is OnUnknown.RESEND and doubts == 1 else patience.unknown_ttl


def without_route(
    case: Case, decision: Decision, now: datetime, patience: Patience, chance: random.Random
) -> Postpone | Finish:
    """What to do where nobody can carry the email now: give up only where waiting cannot help.

    That is so where the email itself rules every provider out, and where only a spent budget does and its type does not
    wait for that. After tries in this round, another round over all providers follows with growing waits; else the
    email waits until the first exclusion passes. No wait goes beyond the email's end, and none for a budget is long.
    """
    if decision.hopeless or decision.out_of_money:
        return _end(case, Event.GAVE_UP, decision.explanation())
    if case.tried_now():
        wait = ROUND_WAITS[min(case.round, len(ROUND_WAITS) - 1)] * chance.uniform(0.9, 1.1)
        next_round = case.round + 1
    elif decision.retry_at is not None:
        wait, next_round = (decision.retry_at - now).total_seconds(), case.round
    else:
        wait, next_round = NO_ROUTE_WAIT * chance.uniform(0.9, 1.1), case.round
    if any(e.because is Because.BUDGET for e in decision.exclusions):
        wait = min(wait, BUDGET_WAIT * chance.uniform(0.9, 1.1))
    wait = max(SHORTEST_WAIT, min(wait, _left(case, now, patience)))
    visible = decision.reason not in _UNSEEN or (decision.reason == "RATE_LIMITED" and wait > ROUND_WAITS[1])
    return Postpone(wait, next_round, f"{decision.reason}: {decision.explanation()}", visible)


def _end(case: Case, event: Event, reason: str) -> Finish:
    """An end that says "not sent" is only true where no try is in doubt."""
    if case.doubts:
        return Finish(Event.LOST_SIGHT, f"{reason}; an earlier try may have been sent")
    return Finish(event, reason)


def _left(case: Case, now: datetime, patience: Patience) -> float:
    """Seconds until the email's end."""
    end = case.accepted_at + timedelta(seconds=patience.give_up_after)
    if case.expires_at is not None:
        end = min(end, case.expires_at)
    return (end - now).total_seconds()


def _words(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:g} h" if hours >= 1 else f"{seconds:g} s"
