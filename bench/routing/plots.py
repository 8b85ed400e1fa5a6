"""Pictures of a report, as SVG: excess per scenario and policy, and who carried the emails of a scenario when."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from bench.routing.catalogue import title
from bench.routing.run import Report, build_world, play
from bench.routing.simulator import Run
from bench.routing.world import World
from domain.message import OnUnknown

COLOURS = ("#1b6ca8", "#e07b39", "#5a9367", "#b5446e", "#7d6b9e", "#8c8c8c", "#c9a227")
_FONT = 'font-family="system-ui, sans-serif"'


def draw(report: Report, folder: Path) -> list[Path]:
    """Write the pictures into the folder; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for mode in report.order.modes:
        path = folder / f"excess-{mode.value}.svg"
        path.write_text(bars(report, mode))
        written.append(path)
    policy = report.order.policies[0]
    for scenario in report.order.scenarios:
        world = build_world(scenario, report.order.seeds[0])
        run = play(world, policy, report.order.modes[0])
        path = folder / f"traffic-{title(scenario)}.svg"
        path.write_text(shares(world, run, f"{title(scenario)}: who carried what, {title(policy)}"))
        written.append(path)
    return written


def bars(report: Report, mode: OnUnknown) -> str:
    """Excess on a logarithmic scale: from 0.5% to 1,000%."""
    rows = report.figures[mode]
    policies = list(next(iter(rows.values())))
    left, top, group, bar = 130, 60, 8 * len(policies) + 12, 8
    height = top + group * len(rows) + 30
    parts = [_text(left, 22, f"Excess over the best possible, under {mode.value}", 15)]
    for i, policy in enumerate(policies):
        key = left + 105 * i
        parts.append(f'<rect x="{key}" y="34" width="9" height="9" fill="{COLOURS[i % len(COLOURS)]}"/>')
        parts.append(_text(key + 13, 43, policy.replace("_", " "), 10))

    def along(excess: float) -> float:
        return float(600 * np.log10(min(max(excess, 0.005), 10.0) / 0.005) / np.log10(2000))

    for mark in (0.01, 0.05, 0.2, 1.0, 5.0):
        x = left + along(mark)
        parts.append(f'<line x1="{x:.1f}" y1="{top - 6}" x2="{x:.1f}" y2="{height - 24}" stroke="#ddd"/>')
        parts.append(_text(x - 8, height - 10, f"{mark:.0%}", 10))
    for row, (scenario, figures) in enumerate(rows.items()):
        y = top + row * group
        parts.append(_text(8, y + group // 2, scenario.replace("_", " "), 11))
        for i, policy in enumerate(policies):
            width = along(figures[policy].excess)
            colour = COLOURS[i % len(COLOURS)]
            parts.append(
                f'<rect x="{left}" y="{y + i * bar}" width="{width:.1f}" height="{bar - 1}" fill="{colour}">'
                f"<title>{escape(policy)}: {figures[policy].excess:.1%}</title></rect>"
            )
    return _svg(left + 105 * max(6, len(policies)) + 20, height, parts)


def shares(world: World, run: Run, caption: str, columns: int = 120) -> str:
    """A stack of the providers' parts of the first attempts over time."""
    names = world.names
    left, top, width, height = 60, 50, 720, 240
    column = np.minimum((world.arrivals / world.scenario.duration * columns).astype(int), columns - 1)
    counts = np.zeros((columns, len(names)))
    tried = run.first >= 0
    np.add.at(counts, (column[tried], run.first[tried]), 1)
    parts_of = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    tops = np.cumsum(parts_of, axis=1)
    bottoms = tops - parts_of
    parts = [_text(left, 20, caption, 14)]
    for k, name in enumerate(names):
        colour = COLOURS[k % len(COLOURS)]
        parts.append(f'<rect x="{left + 100 * k}" y="30" width="9" height="9" fill="{colour}"/>')
        parts.append(_text(left + 100 * k + 13, 39, name, 10))
        across = [left + width * i / columns for i in range(columns)]
        upper = [(a, top + height * (1 - v)) for a, v in zip(across, tops[:, k], strict=True)]
        lower = [(a, top + height * (1 - v)) for a, v in zip(across, bottoms[:, k], strict=True)]
        parts.append(f'<polygon points="{_points([*upper, *lower[::-1]])}" fill="{colour}"/>')
    hours = world.scenario.duration / 3600
    for i in range(5):
        x = left + width * i / 4
        parts.append(_text(x - 8, top + height + 16, f"{hours * i / 4:g} h", 10))
    for change in world.scenario.changes[:40]:
        a, b = (left + width * t / world.scenario.duration for t in (change.start, change.end))
        y = top + height + 24
        parts.append(f'<rect x="{a:.1f}" y="{y}" width="{max(1.0, b - a):.1f}" height="4" fill="#c00"/>')
    parts.append(_text(4, top + height + 30, "trouble", 10))
    return _svg(left + width + 20, top + height + 40, parts)


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _text(x: float, y: float, text: str, size: int) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" {_FONT}>{escape(text)}</text>'


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    inner = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}"><rect width="100%" height="100%" fill="white"/>\n{inner}\n</svg>\n'
    )
