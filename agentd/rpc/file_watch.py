"""Being told when an open file grows, or is marked: one inotify watch per open file, all on one inotify instance.

The kernel gives each user 128 instances, and ours is root: one for each follower, and anybody who may call us could leave
the host's other daemons without.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from typing import Self

from paddock.kernel import notify
from paddock.kernel.errors import KernelError


class FileWatches:
    """The instance, there as long as anything is watched. For the event loop's thread only."""

    def __init__(self) -> None:
        """Nothing is opened yet."""
        self._fd = -1
        self._watching: defaultdict[int, set[FileWatch]] = defaultdict(set)

    def of(self, fd: int) -> FileWatch:
        """`fd` stays the caller's."""
        return FileWatch(fd, self)

    def add(self, watch: FileWatch, fd: int) -> int:
        """The kernel's number for this file, the same for all who watch it; -1 where it gives none."""
        try:
            if self._fd < 0:
                self._fd = notify.open_inotify()
                asyncio.get_running_loop().add_reader(self._fd, self._readable)
            # A log's last word is an attribute: see paddock.launch.log_rotation.
            mask = notify.IN_MODIFY | notify.IN_ATTRIB
            number = notify.add_inotify_watch(self._fd, f"/proc/self/fd/{fd}", mask)
        except KernelError:
            self._close_unused()
            return -1
        self._watching[number].add(watch)
        return number

    def remove(self, watch: FileWatch, number: int) -> None:
        """The last one who watches a file ends the kernel's watch of it, and of all files the instance."""
        watching = self._watching[number]
        watching.discard(watch)
        if not watching:
            del self._watching[number]
            notify.remove_inotify_watch(self._fd, number)
        self._close_unused()

    def _readable(self) -> None:
        events = notify.read_inotify(self._fd)
        # An overflow (watch -1) has lost whose events they were.
        is_lost = any(event.watch < 0 for event in events)
        numbers = tuple(self._watching) if is_lost else {event.watch for event in events} & self._watching.keys()
        for number in numbers:
            for watch in self._watching[number]:
                watch.wake()

    def _close_unused(self) -> None:
        if self._fd >= 0 and not self._watching:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


class FileWatch:
    """A context. The watch is on the file itself, through its descriptor: a name may be anything by now.

    Where the kernel gives no watch, the file is looked at once a second instead.
    """

    LOOK_EVERY_S = 1.0

    def __init__(self, fd: int, watches: FileWatches) -> None:
        """Made by `FileWatches.of`."""
        self._fd = fd
        self._watches = watches
        self._number = -1
        self._changed = asyncio.Event()

    def __enter__(self) -> Self:
        """From here on nothing is missed."""
        self._number = self._watches.add(self, self._fd)
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of it."""
        if self._number >= 0:
            self._watches.remove(self, self._number)
            self._number = -1

    def reset(self) -> None:
        """Before reading: what comes after this is a change."""
        self._changed.clear()

    async def changed(self) -> None:
        """Returns at a change, or a `wake`, since `reset`."""
        if self._number >= 0:
            await self._changed.wait()
            return
        try:
            await asyncio.wait_for(self._changed.wait(), self.LOOK_EVERY_S)
        except TimeoutError:
            pass

    def wake(self) -> None:
        """Have it looked at again."""
        self._changed.set()
