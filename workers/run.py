"""The life of a worker process: a run with a lease, kept by a thread that also sweeps and wakes lanes."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from uuid import UUID

from domain.errors import StorageUnavailable
from domain.message import Lane
from domain.ports import Clock, DeliveryQueue, Log
from routing.policy import Patience
from workers.upkeep import Units, sweep


class LeasedRun:
    """One row of `worker_runs`. Once its lease has passed it is dead for good."""

    def __init__(self, run_id: UUID, until: float, clock: Clock) -> None:
        self.id = run_id
        self._until = until
        self._clock = clock

    def alive(self) -> bool:
        return self._clock.monotonic() < self._until

    def prolong(self, until: float) -> None:
        if self.alive():
            self._until = until

    def abandon(self) -> None:
        """Let the lease end now: what the run holds falls to the sweeper when its row's lease passes."""
        self._until = float("-inf")


class Heart:
    """Keeps this process's run alive, sweeps, and rings a lane when its next email falls due.

    `lease` and `beat` in seconds; a beat must come several times within a lease. `look_round()` is called at every
    beat, and must not take long.
    """

    def __init__(
        self,
        units: Units,
        queue: DeliveryQueue,
        clock: Clock,
        ids: Callable[[], UUID],
        log: Log,
        *,
        lease: float = 15.0,
        beat: float = 5.0,
        patience: Patience | None = None,
        look_round: Callable[[], None] = lambda: None,
    ) -> None:
        self._look_round = look_round
        self._units, self._queue, self._clock, self._ids, self._log = units, queue, clock, ids, log
        self._lease, self._beat, self._patience = lease, beat, patience or Patience()
        self._run: LeasedRun | None = None
        self._wakes: dict[Lane | None, float] = {}  # None: providers' events
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._live, name="mailmux-heart", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End in order: the run's row goes, so that nobody waits for its lease."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout=self._beat)
        run, self._run = self._run, None
        if run is not None:
            run.abandon()
            with self._units() as unit:
                unit.runs.end(run.id)
                unit.commit()

    def run(self) -> LeasedRun:
        """The living run of this process; a new one where the last has died. Raises StorageUnavailable."""
        with self._changed:
            if self._run is None or not self._run.alive():
                self._run = self._start_run()
            return self._run

    def wake(self, lane: Lane, delay: float) -> None:
        """Ring the lane in `delay` seconds."""
        self._wake(lane, delay)

    def wake_events(self, delay: float) -> None:
        """Ring for providers' events in `delay` seconds, where the sweeper would not do it as soon."""
        if delay <= self._beat:
            self._wake(None, delay)

    def _wake(self, what: Lane | None, delay: float) -> None:
        with self._changed:
            at = self._clock.monotonic() + max(0.0, delay)
            self._wakes[what] = min(at, self._wakes.get(what, at))
            self._changed.notify_all()

    def _start_run(self) -> LeasedRun:
        run_id, began = self._ids(), self._clock.monotonic()
        with self._units() as unit:
            unit.runs.start(run_id, socket.gethostname()[:255], os.getpid(), self._lease)
            unit.commit()
        self._log.info("run_started", run=str(run_id))
        return LeasedRun(run_id, began + self._lease, self._clock)

    def _live(self) -> None:
        next_beat = self._clock.monotonic() + self._beat
        while True:
            with self._changed:
                if self._stopping:
                    return
                now = self._clock.monotonic()
                due = [lane for lane, at in self._wakes.items() if at <= now]
                for lane in due:
                    del self._wakes[lane]
                if not due and now < next_beat:
                    self._changed.wait(min([next_beat, *self._wakes.values()]) - now)
                    continue
            for lane in due:
                if lane is None:
                    self._queue.ring_events()
                else:
                    self._queue.ring(lane)
            if self._clock.monotonic() >= next_beat:
                next_beat = self._clock.monotonic() + self._beat
                for step in (self._renew, self._sweep, self._look_round):
                    self._try(step)

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except StorageUnavailable as error:
            self._log.warning("heartbeat_without_database", error=str(error))
        # The heart must not stop beating; what went wrong is in the log.
        except Exception:  # noqa: BLE001
            self._log.exception("heartbeat_failed")

    def _renew(self) -> None:
        run = self._run
        if run is None or not run.alive():
            self.run()  # also while there is nothing to send, so that everybody sees that a worker is there
            return
        began = self._clock.monotonic()
        with self._units() as unit:
            renewed = unit.runs.renew(run.id, self._lease)
            unit.commit()
        if renewed:
            run.prolong(began + self._lease)
        else:
            run.abandon()
            self._log.warning("run_lost", run=str(run.id))

    def _sweep(self) -> None:
        swept = sweep(self._units, self._queue, self._patience)
        if swept.runs or swept.doubts or swept.freed:
            self._log.warning("swept", runs=swept.runs, doubts=swept.doubts, freed=swept.freed)
        with self._units() as unit:
            soon = {lane: unit.delivery.next_due(lane) for lane in Lane}
            events = unit.inbound.next_due()
        for lane, seconds in soon.items():
            if seconds is not None and 0 < seconds <= self._beat:
                self.wake(lane, seconds)
        if events is not None:
            self.wake_events(events)
