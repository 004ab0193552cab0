"""Whose children a process has."""

from __future__ import annotations

from pathlib import Path


def children_of(pid: int) -> set[int]:
    """Dead ones that nobody has reaped among them.

    Not by `/proc/<pid>/task/<tid>/children`: that file leaves out some while others come and go, and so does the list of
    threads. Not psutil's: it leaves out children older than their parent, and who adopts an orphan may be younger.
    """
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()[1]
        except OSError:
            continue
        if int(parent) == pid:
            found.add(int(stat.parent.name))
    return found
