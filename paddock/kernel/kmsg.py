"""Who was killed when memory ran out: the kernel's own log lines, matched by cgroup path."""

from __future__ import annotations

import errno
import os
import re

from paddock.kernel.errors import wrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_RECORD_BYTES = 8192
# Greedy up to the last of each: a task may name itself "x,pid=1,uid=0".
_LINE = re.compile(r"oom-kill:.*,task_memcg=(?P<path>.*),task=(?P<comm>.*),pid=(?P<pid>\d+),uid=\d+$")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


class OomKill:
    """One process that the kernel killed for memory; `pid` is the host's number."""

    __slots__ = ("comm", "pid", "task_memcg")

    def __init__(self, task_memcg: str, comm: str, pid: int) -> None:
        self.task_memcg = task_memcg
        self.comm = comm
        self.pid = pid


def parse_oom_kill(message: str) -> OomKill | None:
    """The kill that this log message tells of, or None."""
    match = _LINE.search(message)
    if match is None:
        return None
    comm = _ESCAPE.sub(lambda found: chr(int(found.group(1), 16)), match["comm"])
    return OomKill(match["path"], comm, int(match["pid"]))


def is_within(kill: OomKill, memcg_path: str) -> bool:
    """In this memory cgroup, or below it."""
    return kill.task_memcg == memcg_path or kill.task_memcg.startswith(f"{memcg_path}/")


def oom_kills_in(messages: Iterable[str], memcg_path: str) -> tuple[OomKill, ...]:
    """The kills in this memory cgroup and below it, in the log's order."""
    kills = (parse_oom_kill(message) for message in messages)
    return tuple(kill for kill in kills if kill is not None and is_within(kill, memcg_path))


def read_messages(path: str = "/dev/kmsg") -> tuple[str, ...]:
    """Every message that the kernel still keeps; raises KernelError where the log may not be read."""
    fd = open_log(path)
    try:
        return tuple(read_on(fd, path))
    finally:
        os.close(fd)


def open_log(path: str = "/dev/kmsg") -> int:
    """For `read_on`, from the oldest message on; raises KernelError where the log may not be read."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise wrapped(error, "open", path) from None


def read_on(fd: int, path: str = "/dev/kmsg") -> Iterator[str]:
    """What nobody has read from this descriptor yet. Raises KernelError."""
    while True:
        try:
            record = os.read(fd, _RECORD_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            # The oldest messages were overwritten while we read: go on with the next one.
            if error.errno == errno.EPIPE:
                continue
            raise wrapped(error, "read", path) from None
        if not record:
            return
        yield record.partition(b";")[2].partition(b"\n")[0].decode("utf-8", "replace")
