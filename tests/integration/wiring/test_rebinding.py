"""Files are fetched from where their name led when it was looked at, whatever it leads to a moment later."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contract.certificates import make_authority
from tests.integration.wiring import rebinding_world
from tests.integration.wiring.rebinding_world import ANSWERS, PUBLIC, PUBLIC6

_APART = ("unshare", "--user", "--map-root-user", "--net", "--mount")
_ROOT = Path(__file__).parents[3]


def test_a_name_that_leads_elsewhere_a_moment_later_leads_nowhere_inside(tmp_path: Path) -> None:
    """A real resolver, real sockets and the service's own way of fetching, with the guard as it is."""
    try:
        subprocess.run([*_APART, "ip", "link", "set", "lo", "up"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as unable:
        pytest.skip(f"no network of its own can be made here: {unable}")
    make_authority(tmp_path, tuple(ANSWERS))
    ended = subprocess.run(
        [*_APART, sys.executable, "-m", rebinding_world.__name__, str(tmp_path)],
        cwd=_ROOT, capture_output=True, timeout=60, check=False, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout)
    assert told["found"] == {
        "turns-inside.example": ["public"],
        "turns-public.example": ["not_public"],
        "takes-turns.example": ["public", "not_public"] * 3,
        "both.example": ["not_public"],
        "inside.example": ["not_public"],
        "mapped.example": ["not_public"],
        "nat64.example": ["not_public"],
        "loopback6.example": ["not_public"],
        "public.example": ["public"],
    }
    assert told["questions"]["A turns-inside.example"] == 1, "what was looked at is what is connected to"
    assert set(told["visits"]) <= {PUBLIC, PUBLIC6}, "nobody inside was connected to"
    assert sum(told["visits"].values()) == 5
