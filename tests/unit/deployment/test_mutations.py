"""The mutations run for minutes and in CI only: that each still has something to take out is seen here."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


def mutations() -> list[Any]:
    file = ROOT / "tests" / "mutations" / "test_mechanisms.py"
    spec = importlib.util.spec_from_file_location("mutations_of_mechanisms", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found: list[Any] = module.MUTATIONS
    return found


@pytest.mark.parametrize("mutation", mutations(), ids=lambda m: m.mechanism)
def test_a_mutation_takes_out_what_is_there_and_names_a_test_that_is(mutation: Any) -> None:
    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1
    file, _, name = mutation.test.partition("::")
    assert f"def {name.partition('[')[0]}" in (ROOT / file).read_text()
