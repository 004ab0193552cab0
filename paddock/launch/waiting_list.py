"""The rest of a launch's list, and the longest part of a shim's life: it tells that the command runs, and waits.

A shim that only waits has looked at little of Python's, and keeps few pages of its own. Whatever happens (a signal to pass
on, output to carry, the command's end, a caller) ends the list, and Python goes on from there.
"""

from __future__ import annotations

import os
import struct

from paddock.kernel.call_list import result_of, within
from paddock.launch.named_list import AT_FDCWD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.kernel.call_list import Argument, CallList, Place
    from paddock.launch.named_list import NamedList

EAR_AFTER_NS = 20_000_000
"""A short life never needs an ear: making and unlinking a socket's inode is a good part of one."""

_POLLFD = struct.Struct("ihh")
_TIMESPEC = struct.Struct("2q")
_POLLIN = 1
SIGSET_BYTES = 8
_AF_UNIX = 1
_SOCK_SEQPACKET_CLOEXEC_NONBLOCK = 5 | os.O_CLOEXEC | os.O_NONBLOCK
_MAX_ADDRESS_BYTES = 108
_BACKLOG = 1024
DONTWAIT_NOSIGNAL = 0x40 | 0x4000
_F_SETFL = 4


class Descriptors:
    """Where the list finds the shim's descriptors."""

    __slots__ = ("connection_fd", "init_pidfd", "log_fds", "pidfd", "pipe_fds", "plan_fd", "record_fd", "status_fd")

    def __init__(
        self,
        *,
        status_fd: Argument,
        plan_fd: Argument,
        connection_fd: Argument,
        record_fd: Argument,
        pipe_fds: tuple[Argument, Argument],
        log_fds: tuple[Argument, Argument],
        pidfd: Argument,
        init_pidfd: Argument,
    ) -> None:
        self.status_fd = status_fd
        self.plan_fd = plan_fd
        self.connection_fd = connection_fd
        self.record_fd = record_fd
        self.pipe_fds = pipe_fds
        self.log_fds = log_fds
        self.pidfd = pidfd
        self.init_pidfd = init_pidfd


def add(
    named: NamedList,
    fds: Descriptors,
    report: tuple[Place, int],
    places: tuple[Place, Place],
    ear: str,
    onward: tuple[int, int, int],
) -> None:
    """`report`: place and length. `places`: of what was read from the status pipe (count, byte), and of the listener.

    `onward`: where to go on while the command is on its way; when something happens soon; when something happens later.
    """
    calls = named.calls
    heard, listener = places
    calls.call("fcntl", fds.status_fd, _F_SETFL, os.O_NONBLOCK)
    poll, count = poll_set(calls, (fds.status_fd, fds.connection_fd))
    named.do("ppoll", poll, count, 0, 0, SIGSET_BYTES)
    # Three steps on: the pipe's end says that the command runs; a byte, that it does not, and nothing, that somebody called.
    read = named.do("read", fds.status_fd, within(heard, 4), 1, zero=calls.here + 3)
    calls.store(result_of(read), heard)
    calls.land(onward[0])
    named.fail = 0
    for fd in (fds.status_fd, fds.plan_fd):
        calls.call("close", fd)
    calls.call("pwrite64", fds.record_fd, *report, 0)
    calls.call("sendto", fds.connection_fd, *report, DONTWAIT_NOSIGNAL, 0, 0)
    _wait(named, fds, listener, ear, onward[1:])


def _wait(named: NamedList, fds: Descriptors, listener: Place, ear: str, onward: tuple[int, int]) -> None:
    calls, (soon, later) = named.calls, onward
    poll, count = poll_set(calls, (fds.connection_fd, *fds.pipe_fds, fds.pidfd))
    timeout = calls.put(_TIMESPEC.pack(*divmod(EAR_AFTER_NS, 10**9)))
    calls.call("ppoll", poll, count, timeout, 0, SIGSET_BYTES, zero=calls.here + 2)
    calls.land(soon)
    directory, _, name = ear.rpartition("/")
    unready = f"{name}.new"
    address = struct.pack("H", _AF_UNIX) + os.fsencode(unready) + b"\0"
    if len(address) > _MAX_ADDRESS_BYTES:
        calls.land(later)
        return
    made = result_of(_listen(named, calls.put(address), len(address), (directory, unready, name), later))
    calls.store(made, listener)
    poll, count = poll_set(calls, (fds.connection_fd, *fds.pipe_fds, fds.pidfd, made))
    calls.call("ppoll", poll, count, 0, 0, SIGSET_BYTES)
    calls.land(later)


def _listen(named: NamedList, address: Place, size: int, names: tuple[str, str, str], later: int) -> int:
    """As `ear.listen` does; returns the step that makes the socket. After a failure Python tries, and tells of it."""
    calls, (directory, unready, name) = named.calls, names
    unready_text = calls.text(unready)
    # Before anything can fail that needs it closed.
    made = calls.call("socket", _AF_UNIX, _SOCK_SEQPACKET_CLOEXEC_NONBLOCK, 0, fail=later)
    first = calls.here
    calls.land(first + 7)
    named.fail = calls.land()
    calls.call("close", result_of(made))
    calls.call("unlinkat", AT_FDCWD, unready_text, 0)
    calls.call("umask", 0o022)
    calls.call("chdir", calls.text("/"))
    calls.land(later)
    # Relative names: a socket's address ends at 108 bytes, a path does not.
    named.do("chdir", calls.text(directory))
    calls.call("umask", 0o177)
    calls.call("unlinkat", AT_FDCWD, unready_text, 0)
    named.do("bind", result_of(made), address, size)
    named.do("listen", result_of(made), _BACKLOG)
    named.do("renameat2", AT_FDCWD, unready_text, AT_FDCWD, calls.text(name), 0)
    calls.call("umask", 0o022)
    calls.call("chdir", calls.text("/"))
    named.fail = 0
    return made


def poll_set(calls: CallList, fds: tuple[Argument, ...]) -> tuple[Place, int]:
    """Place and count; filled in when the list comes here."""
    place = calls.put(_POLLFD.pack(-1, _POLLIN, 0) * len(fds))
    for index, fd in enumerate(fds):
        calls.store(fd, within(place, _POLLFD.size * index))
    return place, len(fds)
