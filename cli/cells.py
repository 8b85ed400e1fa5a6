"""Cells of CSV files that no spreadsheet takes for a formula (OWASP, "CSV Injection"), and as they were before."""

from __future__ import annotations

from typing import Final

# How a cell begins that a spreadsheet would compute; the last are their full-width forms, which some take for the same.
_COMPUTED: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def cell(value: str | None) -> str:
    """With an apostrophe before what would be computed; `uncell` takes it away again."""
    text = value or ""
    return "'" + text if _needs(text) else text


def uncell(value: str | None) -> str:
    text = value or ""
    return text[1:] if text[:1] == "'" and _needs(text[1:]) else text


def _needs(text: str) -> bool:
    """Also where only apostrophes stand before it: else two texts would be written alike."""
    return text.lstrip("'").startswith(_COMPUTED)
