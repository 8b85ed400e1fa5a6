"""Scenarios and policies by name: the files of two folders, or any Python file by its path."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import bench.routing.policies
import bench.routing.scenarios
from bench.routing.briefing import Briefing
from bench.routing.simulator import Policy
from bench.routing.world import Scenario

# In the order in which tables show them; others follow.
SCENARIOS_FIRST = (
    "stationary", "outage", "black_hole", "brownout", "flapping", "drift", "latency", "storm", "domain_block",
    "correlated", "delayed_bounces", "silent_drop", "quota", "tiers", "bad_day", "feed_stopped",
)  # fmt: skip
POLICIES_FIRST = (
    "mailmux", "static_failover", "round_robin", "cheapest_breaker", "ewma", "thompson", "success_windows",
)  # fmt: skip
_NO_POLICY = {"baseline"}


class NotInCatalogue(Exception):
    """There is no such scenario or policy; the message says which there are."""


def scenario_names() -> list[str]:
    return _listed(bench.routing.scenarios, SCENARIOS_FIRST)


def policy_names() -> list[str]:
    return [name for name in _listed(bench.routing.policies, POLICIES_FIRST) if name not in _NO_POLICY]


def load_scenario(name: str) -> Callable[[int], Scenario]:
    """By its name, or by the path of a file with `build(seed)`. Raises NotInCatalogue."""
    build: Callable[[int], Scenario] = _module(name, bench.routing.scenarios, scenario_names(), "build").build
    return build


def load_policy(name: str) -> Callable[[Briefing], Policy]:
    """By its name, or by the path of a file with `make(briefing)`. Raises NotInCatalogue."""
    make: Callable[[Briefing], Policy] = _module(name, bench.routing.policies, policy_names(), "make").make
    return make


def title(name: str) -> str:
    """A short name for tables and JSON."""
    return Path(name).stem


def _listed(package: ModuleType, first: tuple[str, ...]) -> list[str]:
    found = {m.name for m in pkgutil.iter_modules(package.__path__)}
    return [n for n in first if n in found] + sorted(found - set(first))


def _module(name: str, package: ModuleType, known: list[str], function: str) -> Any:
    if name.endswith(".py"):
        if not Path(name).is_file():
            raise NotInCatalogue(f"there is no file {name}")
        module = _file(name)
    elif name in known:
        module = importlib.import_module(f"{package.__name__}.{name}")
    else:
        raise NotInCatalogue(
            f"there is no {name!r}; there are {', '.join(known)}, or the path of a Python file"
        )
    if not callable(getattr(module, function, None)):
        raise NotInCatalogue(f"{name} has no function {function}()")
    return module


def _file(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
