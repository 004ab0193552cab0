"""How an engine of the tests is named, and whose it is: what a dead session left is told from what a living one needs."""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path

PREFIX = "paddock-engine-"
_numbers = itertools.count(1)


def new_name() -> str:
    """Names the directory, the network namespace and the cgroup; and this process, by number and start time."""
    return f"{PREFIX}{os.getpid()}-{_start_time(os.getpid())}-{next(_numbers)}"


def directory_of(name: str) -> Path:
    """Where the engine of this name has all its files. Short: a socket's path has 108 bytes at most."""
    return Path(tempfile.gettempdir()) / name


def is_abandoned(name: str) -> bool:
    """Whether the process that made it is gone. What is not named like one is nobody's business."""
    words = name.removeprefix(PREFIX).split("-")
    if not name.startswith(PREFIX) or len(words) != 3 or not all(word.isdecimal() for word in words):
        return False
    return _start_time(int(words[0])) != words[1]


def _start_time(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    state, *fields = stat.rsplit(")", 1)[1].split()
    return "" if state == "Z" else fields[18]
