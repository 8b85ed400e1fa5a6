"""The way of an email out: claim → decide → ledger → send → record. Framework-free; one email is a batch of one.

Nothing goes on the wire that is not committed in the ledger first, and nothing at all once the run's lease has
passed. The transaction that records one window's outcomes opens the next window's attempts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain.attempt import Outcome
from domain.delivery import Claim, Close, Ending, HomeMove, LeaseLost, Move, Release
from domain.errors import SenderNotVerified, StorageUnavailable
from domain.lifecycle import Event, advance
from domain.message import Lane
from routing.live import Signal
from routing.policy import (
    ACCEPTED,
    Finish,
    Hold,
    Postpone,
    TryNext,
    after_attempt,
)
from workers.dispatcher import Dispatcher, Run
from workers.ledger import NOT_ATTEMPTED, after, ending, opening, outgoing, signal, storable
from workers.loading import Loading
from workers.planning import Board, Parcel, Plan, Route, plan
from workers.reporting import report_begun, report_ended
from workers.sending import Packed, Reply

_SENDER_RETRY = timedelta(minutes=15)
_RECORD_WAITS = (0.1, 0.2, 0.5, 1.0, 2.0, 2.0, 2.0, 2.0)  # seconds between tries to record, within the lease


def drain(lane: Lane, run: Run, deps: Dispatcher) -> float | None:
    """Deliver what is due in the lane, for at most `drain_seconds`.

    Returns the seconds until the lane's next email is due (0 or less: more is due now), None where it is
    empty. Raises LeaseLost when the run has died, StorageUnavailable when the database stays away.
    """
    end = deps.clock.monotonic() + deps.knobs.drain_seconds

    def enough() -> bool:
        return deps.stopping() or deps.clock.monotonic() >= end

    size = deps.knobs.first_claim
    while run.alive() and not enough():
        with deps.units() as unit:
            claim = unit.delivery.claim(lane, run.id, size, deps.clock.chance.shuffle)
            unit.commit()
        if not claim.jobs:
            return claim.next_due
        began = deps.clock.monotonic()
        read = Delivery(claim, run, deps, deps.knobs.flights_of(lane), enough).deliver()
        if read < len(claim.jobs):
            size = max(1, read)  # so many are as much as is read at once
        else:
            size = deps.knobs.next_claim(lane, read, deps.clock.monotonic() - began)
    with deps.units() as unit:
        return unit.delivery.next_due(lane)


@dataclass(frozen=True, slots=True)
class Flight:
    """Emails that are in the ledger and on their way. `replies()` waits for how they ended."""

    opened: Sequence[tuple[UUID, Route]]
    replies: Callable[[], list[Reply]]


class Delivery:
    """One claim's way through. `flights`: how many emails go out at once, and how many such flights at a time."""

    def __init__(
        self,
        claim: Claim,
        run: Run,
        deps: Dispatcher,
        flights: tuple[int, int],
        enough: Callable[[], bool],
    ) -> None:
        self._seats, self._most_flights = flights
        self._flights: deque[Flight] = deque()
        self._enough = enough
        self._claim = claim
        self._run = run
        self._deps = deps
        self._began = deps.clock.monotonic()
        self._endings: list[Ending] = []
        self._moves: list[Move] = []
        self._looked_again = False
        self._calls: list[Packed] = []  # written down with the window's attempts

    def deliver(self) -> int:
        """Carry every claimed email to its next rest: an end, a wait, a hold, or back when it is enough for now.

        Returns how many were read; the others are too much at once.
        """
        try:
            loading = Loading(self._claim, self._run.id, self._deps, self._now)
            parcels = loading.parcels()
            self._moves += loading.moves
            self._carry(deque(parcels))
            return len(self._claim.jobs) - loading.unread
        except (LeaseLost, StorageUnavailable):
            raise
        except Exception:
            self._save_what_is_known()
            raise
        finally:
            for flight in self._flights:  # nothing goes on the wire behind the back of whoever comes next
                flight.replies()

    def _carry(self, waiting: deque[Parcel]) -> None:
        board = self._board()
        while waiting or self._flights or self._endings or self._moves:
            if self._enough():
                self._moves += [Release(p.submission.id, 0.0, p.case.round, p.case.held) for p in waiting]
                waiting.clear()
            if waiting or not self._flights:
                window = [waiting.popleft() for _ in range(min(self._seats, len(waiting)))]
                routes, board = self._decide(window, board)
                moves, board.moves = board.moves, []
                stopping, board.stopping = board.stopping, set()
                opened, back = self._record(routes, moves, stopping)
                if opened:
                    self._flights.append(self._start(opened))  # before anything else: these are in the ledger
                if back:
                    self._deps.fleet.outdate()
                    board = self._board()
                    waiting.extendleft(reversed(back))
            if len(self._flights) == self._most_flights or (self._flights and not waiting):
                waiting.extendleft(reversed(self._land(board)))

    def _save_what_is_known(self) -> None:
        """Record how emails ended before one broke the others' way. An end whose next step is not known stays open."""
        while self._flights:
            flight = self._flights.popleft()
            self._note(flight.opened, flight.replies())
        moved = {move.attempt_id for move in self._moves}
        self._endings = [e for e in self._endings if e.outcome is Outcome.NOT_SENT or e.attempt_id in moved]
        if self._endings or self._moves:
            self._record([], [])

    def _board(self) -> Board:
        return Board(self._deps.fleet.snapshot(), self._deps.live, self._deps.newsroom.view())

    def _decide(self, window: Sequence[Parcel], board: Board) -> tuple[list[tuple[UUID, Route]], Board]:
        """Choose providers; note what happens to emails that cannot go now. Mints the attempts' ids."""
        planned = self._plan(window, board)
        if not self._looked_again and any(isinstance(step, Finish) for _, step in planned.others):
            # What is known of the providers may be older than an email, which must not end for that.
            self._looked_again = True
            self._deps.fleet.outdate()
            board = self._board()
            planned = self._plan(window, board)
        for parcel, step in planned.others:
            self._moves.append(self._move(parcel, step))
        return [(self._deps.ids(), route) for route in planned.routes], board

    def _plan(self, window: Sequence[Parcel], board: Board) -> Plan:
        return plan(window, board, self._now(), self._deps.knobs.patience, self._deps.clock)

    def _record(
        self,
        routes: Sequence[tuple[UUID, Route]],
        homes: Sequence[HomeMove],
        stopping: Collection[UUID] = (),
    ) -> tuple[list[tuple[UUID, Route]], list[Parcel]]:
        """One transaction: how the last window ended, and the ledger lines of this one, before any wire.

        `stopping`: budgets that kept emails back. Returns what may be sent, and the emails whose provider's quota, or
        whose budget, another worker spent first.
        """
        openings = [opening(attempt_id, route) for attempt_id, route in routes]
        packed = self._deps.sender.pack([outgoing(attempt_id, route) for attempt_id, route in routes])
        for wait in (*_RECORD_WAITS, None):
            try:
                with self._deps.units() as unit:
                    unit.delivery.fence(self._run.id)
                    unit.delivery.settle(self._run.id, self._claim.token, self._endings, self._moves)
                    if homes:
                        unit.delivery.move_homes(homes)
                    opened = unit.delivery.open(self._run.id, self._claim.token, openings)
                    stopped = unit.delivery.stop(stopping) if stopping else ()
                    self._calls = [c for c in packed if opened.attempts.issuperset(c.call.attempts)]
                    unit.delivery.note_calls([c.line for c in self._calls])
                    unit.commit()
                break
            except StorageUnavailable:
                # The commit may have happened. Outcomes and moves are idempotent; attempts that may now be
                # open never reached the wire, so they are settled as such and their emails decided again.
                if wait is None or not self._run.alive():
                    raise
                self._endings += [Ending(o.attempt_id, Outcome.NOT_SENT, NOT_ATTEMPTED) for o in openings]
                openings, packed = [], []
                self._deps.clock.sleep(wait)
        if any(e.events for e in self._endings):
            self._deps.ring_events()
        self._endings, self._moves = [], []
        for notice in (*opened.notices, *stopped):
            self._deps.log.warning("budget_told", told=notice.type.value, **notice.data())
        if not openings:
            return [], [route.parcel for _, route in routes]
        if len(opened.attempts) == len(routes):
            return list(routes), []
        going = [(i, route) for i, route in routes if i in opened.attempts]
        back = [
            r.parcel
            for i, r in routes
            if i not in opened.attempts and r.candidate.provider_id in opened.spent
        ]
        return going, back

    def _start(self, opened: Sequence[tuple[UUID, Route]]) -> Flight:
        """Send emails at once: here and now, or aside while the next flight is prepared."""
        letters = [outgoing(attempt_id, route) for attempt_id, route in opened]
        report_begun(self._deps.newsroom, opened, self._now())
        send, alive = self._deps.sender.send, self._run.alive
        if self._most_flights == 1:
            replies = send(letters, alive, self._calls)
            return Flight(opened, lambda: replies)
        return Flight(opened, self._deps.crew.submit(send, letters, alive, self._calls).result)

    def _land(self, board: Board) -> list[Parcel]:
        """Wait for the oldest flight and note how each email ended. Returns those to be decided again now."""
        flight = self._flights[0]
        replies = flight.replies()
        self._flights.popleft()
        report_ended(self._deps.newsroom, flight.opened, replies, self._now())
        again = self._note(flight.opened, replies)
        signals: list[Signal] = []
        if board.at_ease and all(reply.sent is not None for reply in replies):
            return again  # it would teach the breakers nothing
        for (_, route), reply in zip(flight.opened, replies, strict=True):
            if reply.sent is None and reply.error is None:
                continue  # the lease had passed
            signals.append(signal(route, reply.error))
            if isinstance(reply.error, SenderNotVerified):
                until = self._now() + _SENDER_RETRY
                self._deps.fleet.outdate()
                board.refuse_sender(
                    route.candidate.provider_id, route.parcel.submission.envelope.sender.domain, until
                )
        if signals:
            board.learn(signals, self._now())
        return again

    def _note(self, opened: Sequence[tuple[UUID, Route]], replies: Sequence[Reply]) -> list[Parcel]:
        """Note endings and next steps. Returns the emails that are to be decided again now."""
        again: list[Parcel] = []
        for (attempt_id, route), reply in zip(opened, replies, strict=True):
            self._endings.append(ending(attempt_id, route, reply))
            if reply.sent is None and reply.error is None:
                continue  # the lease had passed: the fence will refuse this claim's records
            if reply.error is None:
                self._moves.append(self._move(route.parcel, ACCEPTED, attempt_id, route))
                continue
            parcel = after(attempt_id, route, reply.error)
            step = after_attempt(parcel.case, reply.error, self._deps.knobs.patience)
            if isinstance(step, TryNext):
                again.append(parcel)
            else:
                self._moves.append(self._move(parcel, step, attempt_id, route))
        return again

    def _move(
        self,
        parcel: Parcel,
        step: Finish | Hold | Postpone,
        attempt_id: UUID | None = None,
        route: Route | None = None,
    ) -> Move:
        """What the queue and the visible status become by a step."""
        job_id, round_ = parcel.submission.id, parcel.case.round
        match step:
            case Finish(event, reason):
                provider = (
                    route.candidate.provider_id if route is not None and event is Event.ACCEPTED else None
                )
                return Close(job_id, advance(parcel.status, event), storable(reason), attempt_id, provider)
            case Hold(delay, reason):
                status = advance(parcel.status, Event.LOST_SIGHT)
                return Release(job_id, delay, round_, True, status, storable(reason), attempt_id)
            case Postpone(delay, next_round, reason, visible):
                shown = advance(parcel.status, Event.POSTPONED) if visible else None
                return Release(job_id, delay, next_round, False, shown, storable(reason), attempt_id)

    def _now(self) -> datetime:
        """The database's time, carried on from the claim by the monotonic clock."""
        return self._claim.now + timedelta(seconds=self._deps.clock.monotonic() - self._began)
