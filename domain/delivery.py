"""What passes between delivery and the database: claims, ledger lines, next steps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from domain.attempt import Attempt, Outcome
from domain.budgets import BudgetNotice
from domain.events import InboundEvent
from domain.files import StoredFile
from domain.lifecycle import Status
from domain.message import OnUnknown, Submission
from domain.suppression import LeftOut, Report
from domain.value import value

MOST_BYTES: Final = 64 * 1024 * 1024
"""Of the bodies and files that a process reads at once: a claim's emails may have 50 MB each."""


class LeaseLost(Exception):
    """This run's lease has passed: others may hold its emails now. It must send and record nothing more."""


@value
class ClaimedJob:
    """A queue row that this run holds. `claims` counts this claim and those before that did not end in order.

    `placed`: it has no place in time to get, or has had it (throttled campaigns).
    """

    job_id: UUID
    claims: int
    round: int
    held: bool
    status: Status
    placed: bool = True


@value
class Claim:
    """Rows claimed together. `token` fences them; `now` is the database's time of the claim. `halts`: some emails
    are not to be sent for now, and these may be among them. `next_due`: seconds until the first email of the lane was
    due, before these were taken; None where there was none.
    """

    token: int
    now: datetime
    jobs: Sequence[ClaimedJob]
    halts: bool = False
    next_due: float | None = None


@value
class LoadedEmail:
    """`files` are to be read from the store, and are not yet in the submission. `bodiless`: its content is not in the
    database any more, so that it cannot be sent.
    """

    submission: Submission
    accepted_at: datetime
    attempts: tuple[Attempt, ...]
    files: tuple[StoredFile, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    bodiless: bool = False


@value
class Opening:
    """A line of the ledger to be opened. `cost` is an estimate for all recipients; `decision` is JSON text.

    `warming`: the sender domain, where that warms up at the provider. `user_id`: whose budgets it is counted in; None:
    in nobody's. `heeds_budgets`: whether it waits where one of them is spent.
    """

    attempt_id: UUID
    job_id: UUID
    provider_id: UUID
    round: int
    recipients: int
    cost: Decimal
    currency: str
    decision: str = "{}"
    warming: str | None = None
    user_id: UUID | None = None
    heeds_budgets: bool = True


@value
class CallLine:
    """A call to a provider, to be written down before it is made. `attempts` in the order of its emails."""

    provider_id: UUID
    key: str
    payload_hash: bytes
    attempts: tuple[UUID, ...]
    repeatable_seconds: int | None


@value
class DoubtfulCall:
    """A call that nobody knows the end of. `jobs` belong to `attempts`; `unknown`: those attempts in doubt."""

    provider_id: UUID
    key: str
    payload_hash: bytes
    attempts: tuple[UUID, ...]
    jobs: tuple[UUID, ...]
    unknown: frozenset[UUID]


@value
class Opened:
    """`attempts` are committed and may go on the wire; `spent` are providers whose quota, or a budget, had no room for
    more. `notices`: what was told of budgets.
    """

    attempts: frozenset[UUID]
    spent: frozenset[UUID]
    notices: Sequence[BudgetNotice] = ()


@value
class Ending:
    """How an open attempt ended. `refused_sender`: a sender domain that the provider said is not verified; `reports`:
    recipients that it said it does not write to; `events`: what it told at once, by the account.
    """

    attempt_id: UUID
    outcome: Outcome
    error: str | None = None
    detail: str | None = None
    provider_message_id: str | None = None
    latency_ms: float | None = None
    refused_sender: tuple[UUID, str] | None = None
    reports: tuple[Report, ...] = ()
    events: tuple[tuple[UUID, InboundEvent], ...] = ()


@value
class Release:
    """Give a row back, due in `delay` seconds. `status` None: nothing that the user should see has changed."""

    job_id: UUID
    delay: float
    round: int
    held: bool = False
    status: Status | None = None
    reason: str | None = None
    attempt_id: UUID | None = None


@value
class Close:
    """Nothing more will be done: the row goes, the job gets its last status."""

    job_id: UUID
    status: Status
    reason: str | None = None
    attempt_id: UUID | None = None
    provider_id: UUID | None = None


Move = Release | Close


@value
class Doubt:
    """An attempt that a dead run left open. `doubts` counts this and earlier unknown attempts of the email."""

    attempt_id: UUID
    job_id: UUID
    status: Status
    on_unknown: OnUnknown
    round: int
    doubts: int


@value
class HomeMove:
    """The steady emails of a place (a user's, from a sender domain, to a mailbox group by its number) get another home.
    `left`: the provider that was it, or None.
    """

    place: tuple[UUID, str, int]
    home: UUID
    left: UUID | None
