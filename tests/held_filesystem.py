"""A file system that does not answer: who asks it for `held-…` sleeps, and after a SIGKILL is in D state.

FUSE, spoken here: what a file server that hangs does to its clients, without a server that hangs.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HEADER = struct.Struct("=IIQQIIIHH")
_ANSWER = struct.Struct("=IiQ")
_LOOKUP, _FORGET, _GETATTR, _INIT, _INTERRUPT, _BATCH_FORGET = 1, 2, 3, 26, 36, 42
_WITHOUT_ANSWER = frozenset({_FORGET, _INTERRUPT, _BATCH_FORGET})
_PARALLEL_LOOKUPS = 1 << 18
_MOST_BYTES = 1 << 17
_libc = ctypes.CDLL(None, use_errno=True)


class HeldFilesystem:
    """Each path of `held` stops one caller: others of the same would wait for him. `release` lets all go: no such file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        self._wake_fd = os.eventfd(0)
        self._is_released = False
        self._waiting: list[int] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def mount(self) -> None:
        options = f"fd={self._fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if _libc.mount(b"paddock-test", os.fsencode(self.path), b"fuse", 0, options) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(self.path))
        self._thread.start()

    def held(self, name: str) -> str:
        return str(self.path / f"held-{name}")

    def await_callers(self, count: int, timeout_s: float) -> None:
        """So many sleep in it when this returns."""
        deadline_s = time.monotonic() + timeout_s
        while len(self._waiting) < count:
            assert time.monotonic() < deadline_s, f"{len(self._waiting)} have asked for it"
            time.sleep(0.005)

    @property
    def has_callers(self) -> bool:
        return bool(self._waiting)

    def hold(self) -> None:
        """Again, from now on."""
        self._is_released = False

    def release(self) -> None:
        self._is_released = True
        os.eventfd_write(self._wake_fd, 1)

    def close(self) -> None:
        """The end of the descriptor ends what is still waiting, even when nobody has released it."""
        _libc.umount2(os.fsencode(self.path), 2)
        self.release()
        os.eventfd_write(self._wake_fd, 1 << 32)
        self._thread.join(20)
        os.close(self._fd)
        os.close(self._wake_fd)

    def _serve(self) -> None:
        while True:
            readable, _, _ = select.select([self._fd, self._wake_fd], [], [])
            if self._wake_fd in readable:
                is_over = os.eventfd_read(self._wake_fd) >= 1 << 32
                while self._waiting:
                    self._answer(self._waiting.pop(), error=errno.ENOENT)
                if is_over:
                    return
            if self._fd in readable:
                try:
                    request = os.read(self._fd, _MOST_BYTES)
                except OSError as error:
                    if error.errno == errno.ENODEV:
                        return  # unmounted
                    continue  # its caller gave up meanwhile
                self._handle(request)

    def _handle(self, request: bytes) -> None:
        _length, operation, unique, _inode, *_caller = _HEADER.unpack_from(request)
        body = request[_HEADER.size :]
        if operation == _INIT:
            # Version 7.31; nothing is agreed upon but that one caller does not wait for the other.
            self._answer(unique, struct.pack("=IIIIHHI", 7, 31, 65536, _PARALLEL_LOOKUPS, 0, 0, 4096) + bytes(40))
        elif operation == _GETATTR:
            attributes = struct.pack("=QQQQQQIIIIIIIIII", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
            self._answer(unique, struct.pack("=QII", 0, 0, 0) + attributes)
        elif operation == _LOOKUP and body.startswith(b"held") and not self._is_released:
            self._waiting.append(unique)
        elif operation not in _WITHOUT_ANSWER:
            self._answer(unique, error=errno.ENOENT if operation == _LOOKUP else errno.ENOSYS)

    def _answer(self, unique: int, body: bytes = b"", error: int = 0) -> None:
        try:
            os.write(self._fd, _ANSWER.pack(_ANSWER.size + len(body), -error, unique) + body)
        except OSError:
            pass  # its caller died before its question was read, or the mount is gone


@contextmanager
def held_filesystem(path: Path) -> Iterator[HeldFilesystem]:
    """Mounted at `path`, a new directory that others may pass. In the end nobody is stuck in it any more."""
    if not os.path.exists("/dev/fuse"):
        subprocess.run(["modprobe", "fuse"], check=True)
    path.mkdir()
    made = HeldFilesystem(path)
    try:
        made.mount()
        yield made
    finally:
        made.close()
        path.rmdir()
