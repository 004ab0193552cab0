"""One `du` over one sandbox, as a child process that nobody waits for: started, looked at now and then, collected or killed.

The tree belongs to the task: names may hold anything but NUL and slash, files vanish while they are counted, and the tree
may be so large that counting does not end. So records end with NUL, only the five largest are kept, each look reads a
bounded amount, and a deadline kills.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from paddock.model.task import DirectoryUsage

LARGEST_COUNT = 5
NICE = 19
_PIPE_BYTES = 1_048_576
_LOOK_LIMIT_BYTES = 4 * _PIPE_BYTES
_NAME_LIMIT_CHARS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """What du counted: allocated bytes, hard links once, symlinks not followed, this file system only."""

    used_bytes: int
    largest: tuple[DirectoryUsage, ...]
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFailure:
    """Why there is no figure."""

    message: str


class DiskScan:
    """A running du. `look` until it answers; then, or to give up, `stop` until it says True."""

    def __init__(
        self,
        du_path: str,
        sandbox: str,
        *,
        now_s: float,
        deadline_s: float,
        beside: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Starts it, niced. Raises OSError when it cannot be started. `deadline_s` is on the clock of `now_s`; `beside`: what
        counts too, and where the container has it: it is named so.
        """
        self._root = os.fsencode(sandbox.rstrip("/"))
        self._names = {self._root: (b".", b"")}
        """Of each tree: its own name, and what the names of all in it begin with."""
        for path, place in beside.items():
            name = os.fsencode(place)
            self._names[os.fsencode(path.rstrip("/"))] = (name, name.rstrip(b"/") + b"/")
        self._started_s = now_s
        self._deadline_s = deadline_s
        self._rest = b""
        self._has_root = False
        self._total_bytes = 0
        self._below_bytes = 0
        self._largest: list[tuple[int, bytes]] = []
        self._is_killed = False
        self._pipe_fd, write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._is_reaped = False
        try:
            fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        except OSError:
            pass  # the user's quota of pipe pages: a smaller pipe only makes du wait now and then
        try:
            os.set_blocking(write_fd, True)
            self.pid = _spawn(du_path, tuple(self._names), write_fd)
        except OSError:
            os.close(self._pipe_fd)
            raise
        finally:
            os.close(write_fd)

    def look(self, now_s: float) -> ScanResult | ScanFailure | None:
        """None while it runs. Never waits, reads at most four MiB."""
        if not self._read():
            if now_s < self._deadline_s:
                return None
            self._kill()
            took_ms = round((now_s - self._started_s) * 1000)
            return ScanFailure(
                message=f"du was stopped after {took_ms} ms, its deadline; the sandbox is too large or stuck"
            )
        if not self._has_root:
            return ScanFailure(message=f"du said nothing about {os.fsdecode(self._root)}: the sandbox is not there")
        largest = tuple(
            DirectoryUsage(path=shown(path), used_bytes=used_bytes) for used_bytes, path in sorted(self._largest)[::-1]
        )
        duration_ms = round((now_s - self._started_s) * 1000)
        return ScanResult(used_bytes=self._total_bytes, largest=largest, duration_ms=duration_ms)

    def stop(self) -> bool:
        """Let go of it, killing it when it still runs. False: the kernel has not ended it yet, ask again later."""
        if self._pipe_fd >= 0:
            os.close(self._pipe_fd)
            self._pipe_fd = -1
        if self._is_reaped:
            return True
        self._kill()
        for pause_s in (0.0, 0.0005, 0.001, 0.002):  # a killed process needs a moment, unless the kernel holds it
            time.sleep(pause_s)
            if self._reap():
                return True
        return False

    def _reap(self) -> bool:
        try:
            self._is_reaped = os.waitpid(self.pid, os.WNOHANG)[0] == self.pid
        except ChildProcessError:
            self._is_reaped = True
        return self._is_reaped

    def _kill(self) -> None:
        """The number is still its own: nobody but `stop` reaps it."""
        if not self._is_killed:
            self._is_killed = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _read(self) -> bool:
        """True at the end of du's output."""
        for _ in range(_LOOK_LIMIT_BYTES // _PIPE_BYTES):
            try:
                chunk = os.read(self._pipe_fd, _PIPE_BYTES)
            except BlockingIOError:
                return False
            if not chunk:
                return True
            *records, self._rest = (self._rest + chunk).split(b"\0")
            for record in records:
                self._take(record)
        return False

    def _take(self, record: bytes) -> None:
        size, _, path = record.partition(b"\t")
        if not size.isdigit():
            return
        if path in self._names:  # a tree's root comes after all that is in it
            self._has_root |= path == self._root
            self._total_bytes += int(size)
            self._keep(int(size) - self._below_bytes, self._names[path][0])
            self._below_bytes = 0
            return
        self._below_bytes += int(size)
        root, _, name = path.rpartition(b"/")
        self._keep(int(size), self._names[root][1] + name)

    def _keep(self, used_bytes: int, path: bytes) -> None:
        if len(self._largest) < LARGEST_COUNT:
            heapq.heappush(self._largest, (used_bytes, path))
        else:
            heapq.heappushpop(self._largest, (used_bytes, path))


def _spawn(du_path: str, roots: Sequence[bytes], write_fd: int) -> int:
    """posix_spawn: the agent is threaded and never forks. What du complains of (files that vanished) is not of interest."""
    arguments = [b"du", b"-x", b"-0", b"--block-size=1", b"--max-depth=1", b"--", *roots]
    pid = os.posix_spawn(
        du_path,
        arguments,
        {"LC_ALL": "C"},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, write_fd, 1),
            (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
        ],
        setsigmask=(),
        setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGTERM),
    )
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, NICE)
    return pid


def shown(path: bytes) -> str:
    """A name that a task chose, safe for terminals, logs and protobuf: the unprintable is escaped, the long is cut."""
    text = path.decode("utf-8", "backslashreplace")
    printable = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
    return printable if len(printable) <= _NAME_LIMIT_CHARS else f"{printable[: _NAME_LIMIT_CHARS - 1]}…"
