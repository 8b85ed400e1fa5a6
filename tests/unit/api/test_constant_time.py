"""What proves something is compared in constant time: never with ==, which tells by its time how much was right."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from api.keys import mint

ROOT = Path(__file__).parents[3]
PROOF = re.compile(r"(?:^|_)(?:secret|signature|proof|digest|mac|hmac|password|checksum)s?$")


def compared(source: str) -> list[int]:
    """The lines that compare a proof with == or !=."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Compare)
        and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops)
        and any(
            PROOF.search(part.id if isinstance(part, ast.Name) else part.attr)
            for part in (node.left, *node.comparators)
            if isinstance(part, ast.Name | ast.Attribute)
        )
    ]


@pytest.mark.parametrize("room", ["api", "db", "domain", "providers", "wiring"])
def test_no_proof_is_compared_so_that_its_time_tells(room: str) -> None:
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / room).rglob("*.py"))
        for line in compared(path.read_text())
    }
    assert not found


def test_such_a_comparison_would_be_found() -> None:
    assert compared("if given == self.secret: pass\nif signature != wanted: pass") == [1, 2]


def test_a_key_matches_its_own_hash_alone() -> None:
    key, other = mint(), mint()
    assert key.matches(key.hash)
    assert not key.matches(other.hash)
    assert not key.matches("")
