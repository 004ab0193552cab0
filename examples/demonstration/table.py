"""The demonstration's table: asked · expected · seen · verdict, wrapped to the terminal's width."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from examples.demonstration.row import Row, Seen

_TITLES = ("", "asked", "expected", "seen", "verdict")
_NARROWEST_COLUMNS = 100
_FIXED_COLUMNS = 2 + 11 + 4 * 3
"""The number, the verdict, and what separates the five columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row and what became of it."""

    row: Row
    seen: Seen


def verdict(seen: Seen) -> str:
    """In words, for the table."""
    return "as expected" if seen.as_expected else "NOT AS IT SHOULD BE"


def render(lines: Sequence[Line], width: int) -> str:
    """One table with a rule below each row."""
    inner = max(width, _NARROWEST_COLUMNS) - _FIXED_COLUMNS
    asked, expected = inner * 26 // 100, inner * 30 // 100
    widths = (2, asked, expected, inner - asked - expected, 11)
    rule = "─┼─".join("─" * size for size in widths) + "\n"
    text = _cells(_TITLES, widths) + rule
    for line in lines:
        row = line.row
        words = (str(row.number), f"{row.title}: {row.asked}", row.expected, line.seen.text, verdict(line.seen))
        text += _cells(words, widths) + rule
    return text


def _cells(words: Sequence[str], widths: Sequence[int]) -> str:
    columns = [textwrap.wrap(word, size) or [""] for word, size in zip(words, widths, strict=True)]
    height = max(map(len, columns))
    text = ""
    for place in range(height):
        cells = [column[place] if place < len(column) else "" for column in columns]
        text += " │ ".join(cell.ljust(size) for cell, size in zip(cells, widths, strict=True)).rstrip() + "\n"
    return text
