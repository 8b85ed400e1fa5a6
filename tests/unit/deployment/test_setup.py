"""Which Python `./run` and `./test` set themselves up with."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def python(path: Path, name: str, *, optimised: bool, bare: bool = False) -> Path:
    """A Python on the path, as far as the set-up looks: it answers what it is asked by its exit code."""
    fails = [*(["*enable-optimizations*"] if not optimised else []), *(["*ensurepip*"] if bare else [])]
    cases = "".join(f"    {pattern}) exit 1 ;;\n" for pattern in fails)
    file = path / name
    file.write_text(f'#!/bin/sh\ncase "$2" in\n{cases}    *) exit 0 ;;\nesac\n')
    file.chmod(0o755)
    return file


def found(path: Path, **environment: str) -> list[str]:
    """What makes environments, and what works but does not."""
    told = subprocess.run(
        ["/bin/sh", "-euc", '. scripts/setup.sh; find_python; echo "$PYTHON_FOUND,$PYTHON_BARE"'],
        cwd=ROOT,
        env={"PATH": f"{path}:/usr/bin:/bin", "ROOT": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return told.stdout.strip().split(",")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def test_a_python_compiled_by_its_profile_comes_before_a_newer_one_that_was_not(path: Path):
    python(path, "python3.13", optimised=False)
    python(path, "python3.12", optimised=True)
    python(path, "python3.11", optimised=True)
    assert found(path)[0] == "python3.12"


def test_the_one_that_is_named_is_taken_as_it_is(path: Path):
    python(path, "python3.12", optimised=True)
    mine = python(path, "mine", optimised=False)
    assert found(path, PYTHON=str(mine)) == [str(mine), ""]


def test_one_that_lacks_the_modules_for_environments_is_known_as_such(path: Path):
    mine = python(path, "mine", optimised=False)
    system = python(path, "system", optimised=True, bare=True)
    assert found(path, PYTHON=f"{mine} {system}") == [str(mine), str(system)]
