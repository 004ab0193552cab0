"""Makes inits: each is PID 1 of an empty PID namespace with a private mount namespace and an IPC namespace.

They are started by posix_spawn (no page table is copied) while the launcher is for a moment in new namespaces. That round
trip is all or nothing: a launcher that cannot come back ends.
"""

from __future__ import annotations

import os
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


class InitMaker:
    """Makes inits one at a time."""

    __slots__ = ("_own_fds", "_program_fd")

    def __init__(self, machine: str, run_directory: str) -> None:
        self._own_fds = tuple(
            (os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC), flag)
            for name, flag in (("mnt", CLONE_NEWNS), ("ipc", CLONE_NEWIPC), ("pid", CLONE_NEWPID))
        )
        # -1 where init is a forked Python.
        self._program_fd = _open_program(machine, run_directory)

    def make(self) -> Init:
        """A new one. Raises KernelError."""
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
