"""How a verb prints what it found: -o table, wide, json or name. stdout gets data only."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Sequence
from dataclasses import dataclass

STYLES = ("table", "wide", "json", "name")
_NS_PER_S = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A table's column; `wide` ones show with -o wide only."""

    title: str
    wide: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing found: its name, one cell for each column, and the wire's message as JSON text."""

    name: str
    cells: tuple[str, ...]
    document: str


def add_style_arguments(parser: argparse.ArgumentParser) -> None:
    """-o and --no-headers."""
    parser.add_argument("-o", "--output", choices=STYLES, default="table", help="what to print (default: table)")
    parser.add_argument("--no-headers", action="store_true", help="leave the table's first line out")


def show(columns: Sequence[Column], rows: Sequence[Row], arguments: argparse.Namespace) -> None:
    """Print the rows in the style that was asked for."""
    style: str = arguments.output
    if style == "json":
        sys.stdout.write(json_list([row.document for row in rows]))
    elif style == "name":
        sys.stdout.write("".join(f"{row.name}\n" for row in rows))
    else:
        sys.stdout.write(table(columns, rows, wide=style == "wide", headers=not arguments.no_headers))


def json_list(documents: Sequence[str]) -> str:
    """A JSON array of documents that are JSON text already."""
    inner = ",\n".join(document.strip() for document in documents)
    return f"[\n{inner}\n]\n" if documents else "[]\n"


def table(columns: Sequence[Column], rows: Sequence[Row], *, wide: bool, headers: bool) -> str:
    """Left-aligned columns with two blanks between; the last is not padded. A cell's line breaks become blanks."""
    lines = shown_cells(columns, rows, wide=wide, headers=headers)
    if not lines:
        return ""
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in lines
    )


def shown_cells(columns: Sequence[Column], rows: Sequence[Row], *, wide: bool, headers: bool) -> list[list[str]]:
    """A table's lines before they stand in line."""
    shown = [index for index, column in enumerate(columns) if wide or not column.wide]
    lines = [[columns[index].title for index in shown]] if headers else []
    return lines + [[printable(" ".join(row.cells[index].split())) or "-" for index in shown] for row in rows]


def printable(text: str) -> str:
    """Names and commands are strangers' words: nothing of them may steer the terminal of whoever looks at them."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def age(since_ns: int, now_ns: int) -> str:
    """How long ago, in one unit: 7s, 12m, 5h, 3d. Empty when it never was."""
    if since_ns <= 0:
        return ""
    seconds = max(now_ns - since_ns, 0) // _NS_PER_S
    for size_s, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size_s:
            return f"{seconds // size_s}{unit}"
    return f"{seconds}s"


def moment(time_ns: int) -> str:
    """A wall-clock time in UTC, as RFC 3339 with milliseconds; `-` when it never was."""
    if time_ns <= 0:
        return "-"
    stamp = datetime.datetime.fromtimestamp(time_ns / _NS_PER_S, tz=datetime.UTC)
    return stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def bytes_text(count: int | None) -> str:
    """A size for people: 64 MiB, 1.5 GiB; `-` when unknown."""
    if count is None:
        return "-"
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.1f}".removesuffix(".0") + f" {unit}"
        size /= 1024
    return f"{size:.1f}".removesuffix(".0") + " TiB"
