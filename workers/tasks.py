"""The Celery tasks: unwrap, call the use case, wrap. Their messages carry no email."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog
from celery import Celery

from domain.delivery import LeaseLost
from domain.message import Lane
from domain.ports import DeliveryQueue
from domain.upkeep import Duty, Rota
from routing.policy import Patience
from workers import inbound, repeats, reports, upkeep
from workers.delivery import Dispatcher, drain
from workers.queue import DRAIN_TASK, EVENTS_TASK, LIFE_TASK, duty_task
from workers.run import Heart
from workers.upkeep import Units

log = structlog.get_logger(__name__)


class WorkerDeps(Protocol):
    """What a worker process has built for itself after it was forked."""

    @property
    def units(self) -> Units: ...

    @property
    def queue(self) -> DeliveryQueue: ...

    @property
    def heart(self) -> Heart: ...

    @property
    def dispatcher(self) -> Dispatcher: ...

    @property
    def patience(self) -> Patience: ...

    @property
    def rota(self) -> Rota: ...


class LazyDeps(Protocol):
    def __call__(self) -> WorkerDeps: ...


def register_tasks(app: Celery, deps: LazyDeps) -> None:
    """Give the app its tasks. `deps()` is called within the process that runs them."""

    def drain_lane(lane: str) -> None:
        drain_in_run(Lane(lane), deps())

    def apply_events() -> None:
        apply_and_wake(deps())

    def sweep() -> None:
        upkeep.sweep(deps().units, deps().queue, deps().patience)

    def perform(duty: Duty) -> Callable[[], None]:
        def performed() -> None:
            if upkeep.perform(duty, deps().rota, deps().units):
                log.info("duty_done", duty=duty.value)

        return performed

    def repeat_calls() -> None:
        repeat_when_due(deps())

    def read_reports() -> None:
        read_when_due(deps())

    def show_life() -> None:
        """Nothing: that it was done is what is wanted to be known."""

    app.task(name=LIFE_TASK)(show_life)
    app.task(name=DRAIN_TASK)(drain_lane)
    app.task(name=EVENTS_TASK)(apply_events)
    app.task(name=duty_task(Duty.SWEEP))(sweep)
    app.task(name=duty_task(Duty.REPEAT_CALLS))(repeat_calls)
    app.task(name=duty_task(Duty.READ_REPORTS))(read_reports)
    for duty in Duty:
        if duty not in (Duty.SWEEP, Duty.REPEAT_CALLS, Duty.READ_REPORTS):
            app.task(name=duty_task(duty))(perform(duty))


def apply_and_wake(deps: WorkerDeps) -> None:
    """Apply the events that are due, and see that the rest is looked at when it is."""
    due_in = inbound.apply_events(
        deps.units, deps.queue, deps.dispatcher.clock, log, newsroom=deps.dispatcher.newsroom
    )
    if due_in is not None:
        deps.heart.wake_events(due_in)


def repeat_when_due(deps: WorkerDeps) -> None:
    """Make calls again whose end is not known. The transaction that makes it this process's turn ends before them."""
    if upkeep.perform(Duty.REPEAT_CALLS, deps.rota, deps.units):
        dispatcher = deps.dispatcher
        dispatcher.fleet.snapshot()  # so that adapters are as they are configured now
        repeats.repeat_calls(deps.units, dispatcher.sender.adapter, deps.queue, log, dispatcher.stopping)


def read_when_due(deps: WorkerDeps) -> None:
    """Read the accounts' mailboxes of bounces and complaints."""
    if upkeep.perform(Duty.READ_REPORTS, deps.rota, deps.units):
        dispatcher = deps.dispatcher
        providers = [provider.id for provider in dispatcher.fleet.snapshot().providers]
        adapter = dispatcher.sender.adapter
        reports.collect_reports(deps.units, providers, adapter, deps.queue, log, dispatcher.stopping)


def drain_in_run(lane: Lane, deps: WorkerDeps) -> None:
    """Drain under this process's run, and see that the lane is rung again when more falls due.

    Where a drain breaks off, its run is abandoned: what it holds in doubt is then settled as for a dead worker.
    """
    run = deps.heart.run()
    try:
        due_in = drain(lane, run, deps.dispatcher)
    except LeaseLost:
        run.abandon()
        log.warning("drain_fenced", lane=lane.value, run=str(run.id))
        return
    except BaseException:
        run.abandon()
        raise
    if due_in is not None:
        deps.heart.wake(lane, due_in)
