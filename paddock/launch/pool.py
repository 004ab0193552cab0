"""Inits made in advance: each is PID 1 of an empty PID namespace with a private mount namespace and an IPC namespace.

They are started by posix_spawn (no page table is copied) while the launcher is for a moment in new namespaces. That round
trip is all or nothing: a launcher that cannot come back ends.
"""

from __future__ import annotations

import os
import select
import signal
import sys

from paddock.kernel import capabilities, processes
from paddock.kernel.descriptors import close_all_except
from paddock.kernel.errors import wrapped
from paddock.kernel.namespaces import (
    CLONE_NEWIPC,
    CLONE_NEWNS,
    CLONE_NEWPID,
    make_mounts_private,
    setns,
    unshare,
)
from paddock.launch import still_init
from paddock.launch.container import Init

_FLAGS = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC
_EXIT_LOST = 71


class Pool:
    """`ready` are waiting; `take` makes one when none is. `program_fd` is -1 where init is a forked Python."""

    __slots__ = ("_mounts_changed", "_own_fds", "_program_fd", "_size", "mounts_fd", "ready")

    def __init__(self, size: int, machine: str, run_directory: str) -> None:
        self.ready: list[Init] = []
        self._size = size
        self._own_fds = tuple(
            (os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC), flag)
            for name, flag in (("mnt", CLONE_NEWNS), ("ipc", CLONE_NEWIPC), ("pid", CLONE_NEWPID))
        )
        self.mounts_fd = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._mounts_changed = select.poll()
        self._mounts_changed.register(self.mounts_fd, select.POLLPRI)
        self._program_fd = _open_program(machine, run_directory)

    def is_full(self) -> bool:
        """Whether as many wait as were asked for."""
        return len(self.ready) >= self._size

    def take(self) -> Init:
        """A ready init whose process still lives. Raises KernelError when none can be made."""
        self.discard_stale()
        while self.ready:
            init = self.ready.pop(0)
            if not processes.has_ended(init.pidfd):
                return init
            self.release(init)
        return self._make()

    def discard_stale(self) -> None:
        """End the inits whose mount namespace is no longer a copy of ours: a disk mounted since would be missing in it,
        and one unmounted since would be kept busy. The kernel tells of every change of the mount table, by POLLERR."""
        if self._mounts_changed.poll(0):
            self.close()

    def refill(self) -> None:
        """Make one more."""
        self.ready.append(self._make())

    @staticmethod
    def release(init: Init) -> None:
        """Close this process's descriptors of it: the shim has its own."""
        os.close(init.pidfd)
        os.close(init.lifeline_fd)

    def close(self) -> None:
        """End every waiting init."""
        while self.ready:
            self.release(self.ready.pop())

    def _make(self) -> Init:
        read_fd, lifeline_fd = os.pipe2(os.O_CLOEXEC)
        try:
            pid = self._start_in_new_namespaces(read_fd)
            return Init(pid, processes.open_pidfd(pid), lifeline_fd)
        except BaseException:
            os.close(lifeline_fd)
            raise
        finally:
            os.close(read_fd)

    def _start_in_new_namespaces(self, read_fd: int) -> int:
        unshare(_FLAGS)
        try:
            make_mounts_private()
            return self._spawn(read_fd) if self._program_fd >= 0 else _fork_init(read_fd)
        finally:
            try:
                for fd, flag in self._own_fds:
                    setns(fd, flag)
            except OSError as error:
                sys.stderr.write(f"paddock-launcher: event=lost-own-namespaces error={error}\n")
                os._exit(_EXIT_LOST)

    def _spawn(self, read_fd: int) -> int:
        try:
            return os.posix_spawn(
                f"/proc/self/fd/{self._program_fd}",
                ["paddock-init"],
                {},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, read_fd, 0),
                    (os.POSIX_SPAWN_CLOSE, 1),
                    (os.POSIX_SPAWN_CLOSE, 2),
                ],
                setsid=True,
                setsigmask=[],
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD],
            )
        except OSError as error:
            raise wrapped(error, "posix_spawn", "paddock-init") from None


def _open_program(machine: str, run_directory: str) -> int:
    content = still_init.bytes_for(machine)
    if content is None:
        return -1
    program_fd = still_init.open_program(content)
    try:
        pid = os.posix_spawn(
            f"/proc/self/fd/{program_fd}", ["paddock-init"], {}, file_actions=[(os.POSIX_SPAWN_CLOSE, 0)]
        )
    except PermissionError:
        # vm.memfd_noexec forbids it: the same bytes as a file.
        os.close(program_fd)
        return still_init.write_program(content, run_directory)
    # Without a lifeline it ends at once.
    os.waitpid(pid, 0)
    return program_fd


def _fork_init(read_fd: int) -> int:
    """The init of a processor without bytes of its own: slower, and as bare as Python can be."""
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        # Orphans are then reaped by the kernel.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        os.setsid()
        os.dup2(read_fd, 0)
        os.close(1)
        os.close(2)
        close_all_except(())
        processes.hide_from_ptrace()
        processes.set_no_new_privileges()
        capabilities.set_own(0, 0, 0)
        while os.read(0, 1):
            pass
    finally:
        os._exit(0)
