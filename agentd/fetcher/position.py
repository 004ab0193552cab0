"""Reading a file at a position of one's own: who inherits a descriptor shares the kernel's with all others that have it."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class OwnPosition(io.RawIOBase):
    """For io.BufferedReader. The descriptor stays the caller's."""

    def __init__(self, fd: int) -> None:
        """At the beginning, wherever the kernel's position is."""
        self._fd = fd
        self._position_bytes = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """At the own position."""
        count = os.preadv(self._fd, [buffer], self._position_bytes)
        self._position_bytes += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As every file's."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position_bytes, os.SEEK_END: os.fstat(self._fd).st_size}[whence]
        if base + offset < 0:
            raise ValueError(f"position {base + offset} is before the beginning")
        self._position_bytes = base + offset
        return self._position_bytes

    def tell(self) -> int:
        """The own position."""
        return self._position_bytes
