"""The Celery tasks: unwrap, call the use case, wrap. Their messages carry no email."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

import structlog
from celery import Celery

from domain.delivery import LeaseLost
from domain.message import Lane
from domain.ports import DeliveryQueue
from domain.sender_domains import Resolver
from domain.upkeep import Duty, Rota
from routing.policy import Patience
from workers import campaigns, domains, erasing, inbound, lookups, repeats, reports, stats, upkeep
from workers.counting import Count
from workers.delivery import drain
from workers.dispatcher import Dispatcher
from workers.queue import DRAIN_TASK, EVENTS_TASK, LIFE_TASK, duty_task
from workers.run import Heart
from workers.upkeep import Units

log = structlog.get_logger(__name__)


class HouseUnit(campaigns.Unit, domains.Unit, erasing.Unit, lookups.Unit, Protocol):
    """A transaction with what is not delivery's."""


class WorkerDeps(Protocol):
    """What a worker process has built for itself after it was forked."""

    @property
    def units(self) -> Units: ...

    @property
    def house(self) -> Callable[[], AbstractContextManager[HouseUnit]]:
        """As `units`, with what is not delivery's."""
        ...

    @property
    def queue(self) -> DeliveryQueue: ...

    @property
    def heart(self) -> Heart: ...

    @property
    def dispatcher(self) -> Dispatcher: ...

    @property
    def patience(self) -> Patience: ...

    @property
    def count(self) -> Count: ...

    @property
    def resolver(self) -> Resolver: ...

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

    def alone(work: Callable[[WorkerDeps], None]) -> Callable[[], None]:
        def worked() -> None:
            work(deps())

        return worked

    def show_life() -> None:
        """Nothing: that it was done is what is wanted to be known."""

    app.task(name=LIFE_TASK)(show_life)
    app.task(name=DRAIN_TASK)(drain_lane)
    app.task(name=EVENTS_TASK)(apply_events)
    app.task(name=duty_task(Duty.SWEEP))(sweep)
    for duty in set(Duty) - {Duty.SWEEP}:
        work = _ALONE.get(duty)
        app.task(name=duty_task(duty))(perform(duty) if work is None else alone(work))


def apply_and_wake(deps: WorkerDeps) -> None:
    """Apply the events that are due, and see that the rest is looked at when it is."""
    due_in = inbound.apply_events(
        deps.units,
        deps.queue,
        deps.dispatcher.clock,
        log,
        newsroom=deps.dispatcher.newsroom,
        count=lambda account, event: deps.count.add("events", str(account), event),
    )
    if due_in is not None:
        deps.heart.wake_events(due_in)


def repeat_when_due(deps: WorkerDeps) -> None:
    """Make calls again whose end is not known. The transaction that makes it this process's turn ends before them."""
    if upkeep.perform(Duty.REPEAT_CALLS, deps.rota, deps.units):
        dispatcher = deps.dispatcher
        dispatcher.fleet.snapshot()  # so that adapters are as they are configured now
        repeats.repeat_calls(
            deps.units, dispatcher.sender.adapter, deps.queue, dispatcher.clock, log, dispatcher.stopping,
            dispatcher.files,
        )  # fmt: skip


def look_up_when_due(deps: WorkerDeps) -> None:
    """Ask providers for emails in doubt."""
    if upkeep.perform(Duty.LOOK_UP, deps.rota, deps.units):
        dispatcher = deps.dispatcher
        lookups.look_up(
            deps.house, dispatcher.fleet, dispatcher.sender.adapter, deps.queue, dispatcher.clock, log,
            dispatcher.stopping,
        )  # fmt: skip


def read_when_due(deps: WorkerDeps) -> None:
    """Read the accounts' mailboxes of bounces and complaints."""
    if upkeep.perform(Duty.READ_REPORTS, deps.rota, deps.units):
        dispatcher = deps.dispatcher
        providers = [provider.id for provider in dispatcher.fleet.snapshot().providers]
        adapter = dispatcher.sender.adapter
        reports.collect_reports(
            deps.units, providers, adapter, deps.queue, dispatcher.clock, log, dispatcher.stopping
        )


def collect_when_due(deps: WorkerDeps) -> None:
    """Take unused files out of the store."""
    if upkeep.perform(Duty.COLLECT_FILES, deps.rota, deps.units):
        dispatcher = deps.dispatcher
        is_over = upkeep.timely(dispatcher.clock, dispatcher.stopping)
        dispatcher.files.collect(deps.units, log, is_over)


def watch_when_due(deps: WorkerDeps) -> None:
    """Pause campaigns that are to stop by themselves."""
    if upkeep.perform(Duty.WATCH_CAMPAIGNS, deps.rota, deps.units):
        dispatcher = deps.dispatcher
        campaigns.watch(
            deps.house, dispatcher.ids, log, deps.rota.every[Duty.WATCH_CAMPAIGNS],
            upkeep.timely(dispatcher.clock, dispatcher.stopping, _MOMENT),
        )  # fmt: skip


def check_domains_when_due(deps: WorkerDeps) -> None:
    """Ask the accounts, and the DNS, about sender domains."""
    if upkeep.perform(Duty.CHECK_DOMAINS, deps.rota, deps.units):
        dispatcher = deps.dispatcher
        domains.check_domains(
            deps.house, dispatcher.fleet, dispatcher.sender.adapter, deps.resolver, dispatcher.clock,
            dispatcher.stopping,
        )  # fmt: skip


def add_up_when_due(deps: WorkerDeps) -> None:
    """Bring the statistics up to now."""
    if upkeep.perform(Duty.ADD_UP_STATS, deps.rota, deps.units):
        stats.add_up(deps.units, deps.dispatcher.clock, deps.dispatcher.stopping)


def erase_when_due(deps: WorkerDeps) -> None:
    """Take away what is to be erased, for a while; the rest when it is due again."""
    if upkeep.perform(Duty.ERASE, deps.rota, deps.units):
        erasing.erase(deps.house, deps.dispatcher.clock, log, deps.dispatcher.stopping)


# What opens sockets, or transactions of its own.
_MOMENT = 2.0  # seconds that a duty has which the worker does that OTPs wait for
_ALONE: Mapping[Duty, Callable[[WorkerDeps], None]] = {
    Duty.REPEAT_CALLS: repeat_when_due,
    Duty.LOOK_UP: look_up_when_due,
    Duty.READ_REPORTS: read_when_due,
    Duty.WATCH_CAMPAIGNS: watch_when_due,
    Duty.CHECK_DOMAINS: check_domains_when_due,
    Duty.COLLECT_FILES: collect_when_due,
    Duty.ADD_UP_STATS: add_up_when_due,
    Duty.ERASE: erase_when_due,
}


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
