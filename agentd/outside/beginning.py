"""How an outside program begins: its request read, its place taken, its rights dropped. Standard library and kernel only.

The order is what counts: everything of ours is imported before the rights are dropped (a task's user need not be able to read
our files), and the tie to the agent is made after it, because the kernel forgets it whenever a process changes its user.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys

NICE = 19
_PR_SET_PDEATHSIG = 1
_REQUEST_LIMIT_BYTES = 1 << 20
_WORDS_LIMIT = 2_000


class Request:
    """What the agent asks, by its fields; it comes from the agent itself, so a missing one is a defect."""

    def __init__(self, fields: dict[str, object]) -> None:
        self._fields = fields

    def text(self, name: str) -> str:
        """A text."""
        value = self._fields[name]
        assert isinstance(value, str), name
        return value

    def whole(self, name: str) -> int:
        """A whole number, or a yes (1) or no (0)."""
        value = self._fields[name]
        assert isinstance(value, int), name
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self._fields[name]
        assert isinstance(value, list), name
        return tuple(str(item) for item in value)

    def wholes(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers."""
        return tuple(int(item) for item in self.texts(name))


def read_request() -> Request:
    """From standard input, which is a file in memory."""
    return Request(json.loads(os.pread(0, _REQUEST_LIMIT_BYTES, 0)))


def begin(request: Request) -> None:
    """From here on it is where and who it should be. Raises OSError."""
    for directory in request.texts("cgroups"):
        join(directory)
    os.setpriority(os.PRIO_PROCESS, 0, NICE)
    memory_bytes = request.whole("memory_limit_bytes")
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o022)
    os.setgroups(request.wholes("groups"))
    os.setgid(request.whole("gid"))
    os.setuid(request.whole("uid"))
    _end_with(request.whole("agent_pid"))


def join(directory: str) -> None:
    """By writing 0 to a file of our own, as the only thread: a pid would wait for the kernel. A missing cgroup costs order
    only, never the work.
    """
    for name in ("tasks", "cgroup.procs"):
        try:
            fd = os.open(f"{directory}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            os.write(fd, b"0")
        except OSError:
            continue
        finally:
            os.close(fd)
        return


def _end_with(agent_pid: int) -> None:
    """Killed by the kernel when the agent goes, however it goes."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != agent_pid:
        os._exit(1)


def answer(**fields: object) -> None:
    """The last line that it says."""
    shown = {name: value[:_WORDS_LIMIT] if isinstance(value, str) else value for name, value in fields.items()}
    sys.stdout.write(f"\n{json.dumps(shown)}\n")
    sys.stdout.flush()
