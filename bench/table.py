"""What was measured, as one table for people and as build/bench.json for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """The bar that a figure has to reach; its text is what the table and the file say."""

    at_most: float | None = None
    at_least: float | None = None

    def text(self) -> str:
        """As a reader compares it."""
        if self.at_most is not None:
            return f"<= {self.at_most:g}"
        return f">= {self.at_least:g}"

    def reached(self, value: float) -> bool:
        """Whether the value is as good as the bar, or better."""
        if self.at_most is not None:
            return value <= self.at_most
        return self.at_least is not None and value >= self.at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number. ``peer`` is what stood beside it in the same run; without a goal it only informs."""

    name: str
    value: float
    unit: str
    runs: int
    peer: str = ""
    goal: Goal | None = None

    def verdict(self) -> str:
        """One word, or nothing where there is no goal."""
        if self.goal is None:
            return ""
        return "reached" if self.goal.reached(self.value) else "missed"


def render(figures: Sequence[Figure]) -> str:
    """The table, columns aligned."""
    rows = [("figure", "value", "unit", "goal", "", "against", "runs")]
    for figure in figures:
        goal = figure.goal.text() if figure.goal else ""
        value = f"{figure.value:,.3g}" if abs(figure.value) < 1000 else f"{figure.value:,.0f}"
        rows.append((figure.name, value, figure.unit, goal, figure.verdict(), figure.peer, str(figure.runs)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    numeric = (1, 6)
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in numeric else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def write_json(figures: Sequence[Figure], path: Path) -> None:
    """Replace ``path`` by the list of figures; its keys are fixed."""
    entries = [
        {
            "name": figure.name,
            "value": figure.value,
            "unit": figure.unit,
            "peer": figure.peer or None,
            "goal": figure.goal.text() if figure.goal else None,
            "runs": figure.runs,
        }
        for figure in figures
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(entries, indent=1) + "\n")
    partial.replace(path)
