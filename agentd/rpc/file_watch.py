"""Being told when an open file grows: one inotify watch per open file, on one instance per event loop."""

from __future__ import annotations

import asyncio
import os
from typing import Self

from paddock.kernel import notify
from paddock.kernel.errors import KernelError


class FileWatch:
    """A context. The watch is on the file itself, through its descriptor: a name may be anything by now.

    One inotify instance each: followers are few, and a user may have 128. Where the kernel gives none, the file is looked
    at once a second instead.
    """

    LOOK_EVERY_S = 1.0

    def __init__(self, fd: int) -> None:
        """`fd` stays the caller's."""
        self._fd = fd
        self._inotify_fd = -1
        self._changed = asyncio.Event()

    def __enter__(self) -> Self:
        """From here on nothing is missed."""
        loop = asyncio.get_running_loop()
        try:
            self._inotify_fd = notify.open_inotify()
            notify.add_inotify_watch(self._inotify_fd, f"/proc/self/fd/{self._fd}")
        except KernelError:
            self._close()
            return self
        loop.add_reader(self._inotify_fd, self._readable)
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of it."""
        if self._inotify_fd >= 0:
            asyncio.get_running_loop().remove_reader(self._inotify_fd)
        self._close()

    def reset(self) -> None:
        """Before reading: what comes after this is a change."""
        self._changed.clear()

    async def changed(self) -> None:
        """Returns at a change, or a `wake`, since `reset`."""
        if self._inotify_fd >= 0:
            await self._changed.wait()
            return
        try:
            await asyncio.wait_for(self._changed.wait(), self.LOOK_EVERY_S)
        except TimeoutError:
            pass

    def wake(self) -> None:
        """Have it looked at again for another reason."""
        self._changed.set()

    def _readable(self) -> None:
        notify.read_inotify(self._inotify_fd)
        self._changed.set()

    def _close(self) -> None:
        if self._inotify_fd >= 0:
            os.close(self._inotify_fd)
            self._inotify_fd = -1
