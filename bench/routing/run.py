"""Plays scenarios × seeds × policies on a few processes, and puts the figures together."""

from __future__ import annotations

import multiprocessing
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

from bench.routing.briefing import brief
from bench.routing.catalogue import load_policy, load_scenario, title
from bench.routing.figures import Figures, mean_excess, measure, merge
from bench.routing.oracle import best_possible
from bench.routing.simulator import Run, Simulation
from bench.routing.world import World
from domain.message import OnUnknown

PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Order:
    scenarios: tuple[str, ...]
    policies: tuple[str, ...]
    seeds: tuple[int, ...]
    modes: tuple[OnUnknown, ...]

    def runs(self) -> int:
        return len(self.scenarios) * len(self.seeds) * len(self.modes) * (len(self.policies) + 1)


@dataclass(frozen=True, slots=True)
class Report:
    """`figures[mode][scenario][policy]`; `best[mode][scenario]` is the least possible objective."""

    order: Order
    figures: dict[OnUnknown, dict[str, dict[str, Figures]]]
    best: dict[OnUnknown, dict[str, float]]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The first mode's figures at the top; those of a second under its name."""
        head, *others = self.order.modes
        found = {"mode": head.value, "seeds": list(self.order.seeds), **self._of(head)}
        for mode in others:
            found[mode.value] = {"mode": mode.value, **self._of(mode)}
        found["seconds"] = round(self.seconds, 1)
        found["machine"] = f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}"
        return found

    def _of(self, mode: OnUnknown) -> dict[str, Any]:
        rows = self.figures[mode]
        return {
            "mean_excess": {policy: round(v, 6) for policy, v in mean_excess(rows).items()},
            "scenarios": {s: {p: f.as_json() for p, f in row.items()} for s, row in rows.items()},
            "best_possible": {s: round(v, 6) for s, v in self.best[mode].items()},
        }


def build_world(scenario: str, seed: int) -> World:
    return World(load_scenario(scenario)(seed), seed)


def play(world: World, policy: str, mode: OnUnknown) -> Run:
    return Simulation(world, load_policy(policy)(brief(world, mode)), mode).run()


Done = Callable[[str], None]


def carry_out(order: Order, done: Done) -> Report:
    """`done` is called with what has just ended. Raises catalogue.NotInCatalogue before anything is played."""
    for scenario in order.scenarios:
        load_scenario(scenario)
    for policy in order.policies:
        load_policy(policy)
    began = time.monotonic()
    best: dict[tuple[OnUnknown, str, int], float] = {}
    played: dict[tuple[OnUnknown, str, int, str], Figures] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        waiting: dict[Future[Any], tuple[OnUnknown, str, int, str | None]] = {}
        for mode in order.modes:
            for scenario in order.scenarios:
                for seed in order.seeds:
                    waiting[pool.submit(_best, scenario, seed, mode)] = (mode, scenario, seed, None)
                    for policy in order.policies:
                        future = pool.submit(_play, scenario, seed, policy, mode)
                        waiting[future] = (mode, scenario, seed, policy)
        for future in as_completed(waiting):
            mode, scenario, seed, name = waiting[future]
            found: Any = future.result()
            if name is None:
                best[mode, scenario, seed] = found
            else:
                played[mode, scenario, seed, name] = found
            done(f"{title(scenario)} {seed}")
    return _report(order, best, played, time.monotonic() - began)


def _best(scenario: str, seed: int, mode: OnUnknown) -> float:
    return best_possible(build_world(scenario, seed), mode)


def _play(scenario: str, seed: int, policy: str, mode: OnUnknown) -> Figures:
    world = build_world(scenario, seed)
    return measure(world, play(world, policy, mode))


def _report(
    order: Order,
    best: dict[tuple[OnUnknown, str, int], float],
    played: dict[tuple[OnUnknown, str, int, str], Figures],
    seconds: float,
) -> Report:
    figures: dict[OnUnknown, dict[str, dict[str, Figures]]] = {}
    least: dict[OnUnknown, dict[str, float]] = {}
    for mode in order.modes:
        for scenario in order.scenarios:
            row = figures.setdefault(mode, {}).setdefault(title(scenario), {})
            least.setdefault(mode, {})[title(scenario)] = sum(
                best[mode, scenario, seed] for seed in order.seeds
            ) / len(order.seeds)
            for policy in order.policies:
                row[title(policy)] = merge(
                    [
                        played[mode, scenario, seed, policy].against(best[mode, scenario, seed])
                        for seed in order.seeds
                    ]
                )
    return Report(order, figures, least, seconds)
