"""Of what was claimed, what may go now: read whole, with its files, without those who may not be written to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from domain.attempt import Outcome
from domain.delivery import Claim, ClaimedJob, Close, LoadedEmail, Move, Release
from domain.files import FilesUnavailable
from domain.lifecycle import Event, Status, advance
from domain.message import Submission
from domain.suppression import without
from routing.policy import Case
from workers.dispatcher import Dispatcher
from workers.files import unreadable
from workers.planning import Parcel

_BODILESS = "its text and HTML are not in the database any more"
HALTED = 600.0  # seconds until an email is looked at again that is halted; lifting the halt comes before


class Loading:
    """Reads a claim's emails. `moves`: what becomes of those that do not go now; `unread`: how many there was no room
    for.

    Those whose claims keep dying are ended before their content is touched.
    """

    def __init__(self, claim: Claim, run: UUID, deps: Dispatcher, now: Callable[[], datetime]) -> None:
        self.moves: list[Move] = []
        self.unread = 0
        self._claim = claim
        self._run = run
        self._deps = deps
        self._now = now

    def parcels(self) -> list[Parcel]:
        """Those that may go now."""
        cap = self._deps.knobs.claim_cap
        spent = [j for j in self._claim.jobs if j.claims > cap]
        jobs = self._without_those_to_come([j for j in self._claim.jobs if j.claims <= cap])
        with self._deps.units() as unit:
            doubted = unit.delivery.doubted([j.job_id for j in spent]) if spent else ()
            for job in spent:
                event = Event.LOST_SIGHT if job.job_id in doubted else Event.GAVE_UP
                reason = f"{cap} workers died over it; it is not tried again by itself"
                self.moves.append(Close(job.job_id, advance(job.status, event), reason))
            emails = unit.delivery.load([j.job_id for j in jobs], self._deps.knobs.most_bytes)
        parcels = []
        for job in jobs:
            email = emails.get(job.job_id)
            if email is None:  # too much at once: the next claim reads it
                self.unread += 1
                self.moves.append(Release(job.job_id, 0.0, job.round, job.held))
                continue
            if email.bodiless:
                self._deps.log.warning("email_without_body", email=str(job.job_id))
                event = Event.LOST_SIGHT if _in_doubt(job, email) else Event.GAVE_UP
                self.moves.append(Close(job.job_id, advance(job.status, event), _BODILESS))
                continue
            if email.left_out:
                submission = self._leave_out(job, email)
                if submission is None:
                    continue
                email = replace(email, submission=submission)
            if email.files:
                completed = self._with_files(job, email)
                if completed is None:
                    continue
                email = replace(email, submission=completed)
            case = Case(
                accepted_at=email.accepted_at,
                round=job.round,
                on_unknown=email.submission.on_unknown,
                attempts=email.attempts,
                expires_at=email.submission.expires_at,
                held=job.held,
            )
            parcels.append(Parcel(email.submission, case, job.status))
        return parcels

    def _without_those_to_come(self, jobs: Sequence[ClaimedJob]) -> Sequence[ClaimedJob]:
        """Leaves out what is halted, and of throttled campaigns what is to have a later place in time."""
        unplaced = {j.job_id for j in jobs if not j.placed}
        if not self._claim.halts and not unplaced:
            return jobs
        later: dict[UUID, float] = {}  # seconds
        with self._deps.units() as unit:
            if self._claim.halts:
                halted = unit.delivery.halt(self._run, self._claim.token, [j.job_id for j in jobs])
                later = dict.fromkeys(halted, HALTED)
            if unplaced := unplaced.difference(later):
                waits = unit.delivery.place(self._run, self._claim.token, unplaced)
                later |= {job_id: seconds for job_id, seconds in waits.items() if seconds > 0}
            unit.commit()
        self.moves += [Release(j.job_id, later[j.job_id], j.round, j.held) for j in jobs if j.job_id in later]
        return [j for j in jobs if j.job_id not in later]

    def _with_files(self, job: ClaimedJob, email: LoadedEmail) -> Submission | None:
        """None: they cannot be read now, and what becomes of the email is noted."""
        try:
            return self._deps.files.complete(email)
        except FilesUnavailable as error:
            self._deps.log.warning("files_unreadable", email=str(job.job_id), reason=str(error))
            age = (self._now() - email.accepted_at).total_seconds()
            give_up = self._deps.knobs.patience.give_up_after
            self.moves.append(unreadable(email, job.status, job.round, job.held, error, age, give_up))
            return None

    def _leave_out(self, job: ClaimedJob, email: LoadedEmail) -> Submission | None:
        """The email without those who may not be written to any more; None: nobody is left, and it has ended."""
        submission = without(email.submission, {one.recipient for one in email.left_out})
        if submission.envelope.recipients:
            with self._deps.units() as unit:
                unit.delivery.leave_out(job.job_id, email.left_out)
                unit.commit()
            return submission
        # One that may have been sent stays unknown: it is only not sent again.
        status = Status.UNKNOWN if _in_doubt(job, email) else advance(job.status, Event.SUPPRESSED)
        self.moves.append(Close(job.job_id, status, email.left_out[0].reason))
        return None


def _in_doubt(job: ClaimedJob, email: LoadedEmail) -> bool:
    """Whether it may have been sent."""
    return job.status is Status.UNKNOWN or any(a.outcome is Outcome.UNKNOWN for a in email.attempts)
