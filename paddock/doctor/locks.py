"""Which files are locked, read off the kernel's list: to try a lock would be to hold it for a moment, and that could hurt."""

from __future__ import annotations

import os
import re

_FLOCK = re.compile(r"^\d+: FLOCK +ADVISORY +\w+ (-?\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) ")


def read_locks() -> dict[tuple[int, int], int]:
    """Device and inode → who holds a flock on it."""
    with open("/proc/locks", encoding="ascii") as file:
        return parse_locks(file.read())


def parse_locks(text: str) -> dict[tuple[int, int], int]:
    """Other kinds of locks, and who only waits, are left out."""
    found = {}
    for line in text.splitlines():
        match = _FLOCK.match(line)
        if match is not None:
            pid, major, minor, inode = match.groups()
            found[os.makedev(int(major, 16), int(minor, 16)), int(inode)] = int(pid)
    return found


def holder(path: str, locks: dict[tuple[int, int], int]) -> int:
    """The pid, which may be one that has passed the lock on; 0 when it is free or not there."""
    try:
        found = os.lstat(path)
    except OSError:
        return 0
    return locks.get((found.st_dev, found.st_ino), 0)
