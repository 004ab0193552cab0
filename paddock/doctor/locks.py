"""Which files are locked, read off the kernel's list: to try a lock would be to hold it for a moment, and that could hurt."""

from __future__ import annotations

import os
import re

_FLOCK = re.compile(r"^\d+: FLOCK +ADVISORY +\w+ (-?\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) ")


class Locks:
    """Who holds which: device and inode, or, where a file system shows others than it tells the kernel, the inode."""

    def __init__(self, held: dict[tuple[int, int], int]) -> None:
        self._held = held
        self._inodes = {inode: pid for (_, inode), pid in held.items()}

    def holder(self, path: str) -> int:
        """The pid, -1 when it is not visible from here or has passed the lock on; 0 when it is free or not there."""
        try:
            found = os.lstat(path)
        except OSError:
            return 0
        pid = self._held.get((found.st_dev, found.st_ino), 0)
        # btrfs, overlayfs: another device in stat than in the kernel's list. Better once too often held.
        return pid or (self._inodes.get(found.st_ino, 0) if os.major(found.st_dev) == 0 else 0)


def read_locks() -> Locks:
    """As they are now. Raises OSError."""
    with open("/proc/locks", encoding="ascii") as file:
        return parse_locks(file.read())


def parse_locks(text: str) -> Locks:
    """Other kinds of locks, and who only waits, are left out."""
    found = {}
    for line in text.splitlines():
        match = _FLOCK.match(line)
        if match is not None:
            pid, major, minor, inode = match.groups()
            found[os.makedev(int(major, 16), int(minor, 16)), int(inode)] = int(pid) or -1
    return Locks(found)
