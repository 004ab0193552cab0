"""Lines over time as SVG: a few dozen elements do not need a plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""Told apart by colour-blind readers too (Okabe and Ito)."""

LEGEND_LIMIT_COUNT = 12
POINTS_LIMIT_COUNT = 1_000
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT = 900, 220, 60, 40, 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Points in the order of time; values from 0 to 1."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One set of axes."""

    title: str
    lines: tuple[Line, ...]


def plot(title: str, duration_s: float, panels: Sequence[Panel]) -> str:
    """The whole picture, one panel below the other."""
    height = _TOP + len(panels) * (_HEIGHT + 50)
    body = [f'<text x="{_LEFT}" y="24" font-size="18">{escape(title)}</text>']
    for number, panel in enumerate(panels):
        body += _panel(panel, duration_s, _TOP + number * (_HEIGHT + 50) + 10)
    lines = "\n".join(body)
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>\n{lines}\n</svg>\n'
    )


def _panel(panel: Panel, duration_s: float, top: int) -> list[str]:
    right, bottom = _WIDTH - _RIGHT, top + _HEIGHT
    found = [f'<text x="{_LEFT}" y="{top - 4}">{escape(panel.title)}</text>']
    for step in range(5):
        y = bottom - _HEIGHT * step / 4
        found.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#dddddd"/>')
        found.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{step / 4:g}</text>')
        x = _LEFT + (right - _LEFT) * step / 4
        found.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{duration_s * step / 4:g} s</text>')
    for number, line in enumerate(panel.lines):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(
            f"{_LEFT + (right - _LEFT) * time_s / duration_s:.1f},{bottom - _HEIGHT * min(value, 1.0):.1f}"
            for time_s, value in _thinned(line.points)
        )
        found.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}"/>')
        if number < LEGEND_LIMIT_COUNT:
            found.append(
                f'<text x="{right + 10}" y="{top + 14 + 16 * number}" fill="{colour}">{escape(line.name)}</text>'
            )
    return found


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """No more points than there are pixels."""
    return points[:: max(1, len(points) // POINTS_LIMIT_COUNT)]
