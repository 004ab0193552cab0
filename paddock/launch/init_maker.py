"""Makes inits: each is PID 1 of an empty PID namespace with a private mount namespace and an IPC namespace.

By a call list: the child shares the launcher's memory until its execve, as after `vfork`, so that no page table is copied.
"""

from __future__ import annotations

import errno
import os
import signal
import struct

from paddock.kernel import capabilities, processes
from paddock.kernel.call_list import INSTRUCTION_BYTES, RESULT_OFFSET, CallList, result_in, result_of, value_at, within
from paddock.kernel.descriptors import close_all_except
from paddock.kernel.errors import KernelError
from paddock.kernel.namespaces import CLONE_NEWIPC, CLONE_NEWNS, CLONE_NEWPID, PRIVATE_MOUNTS
from paddock.kernel.syscalls import CLONE_ARGUMENTS, CLONE_PIDFD, CLONE_VFORK, CLONE_VM
from paddock.launch import still_init
from paddock.launch.command_list import (
    KEYCTL_JOIN_SESSION_KEYRING,
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_SET_NO_NEW_PRIVS,
    WITHOUT_KEYRINGS,
)
from paddock.launch.container import Init
from paddock.launch.named_list import NamedList

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from paddock.kernel.call_runner import CallRunner

_FLAGS = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_PIDFD
_PIDFD_AT = 8
_INT = struct.Struct("i")
_BORN = 1 << 33
"""What the list returns in a child that is to be an init in Python. Greater than any pid."""
_EX_FAILED = 70
_PR_SET_SECUREBITS = 28
_SECBIT_NOROOT = 1
"""No program gives capabilities for being root's: capabilities(7)."""
# What Python ignores would stay ignored; what it handles execve sets back.
_IGNORED = (int(signal.SIGPIPE), int(signal.SIGXFSZ))


class InitMaker:
    """Makes inits one at a time."""

    __slots__ = ("_failed", "_first", "_memory", "_named", "_pidfd_at", "_read_at", "_runner")

    def __init__(self, runner: CallRunner, machine: str, run_directory: str) -> None:
        calls = CallList()
        named = NamedList(calls)
        program_fd = _open_program(machine, run_directory)
        read_fd, pidfd = calls.put(bytes(_INT.size)), calls.put(bytes(_INT.size))
        self._failed = calls.land()
        calls.call("exit_group", _EX_FAILED)
        prepared = calls.here
        argv, environment = calls.vector(["paddock-init"]), calls.vector([])
        shared = CLONE_VM | CLONE_VFORK if runner.shares_memory and program_fd >= 0 else 0
        arguments = calls.put(CLONE_ARGUMENTS.pack(_FLAGS | shared, pidfd[2], 0, 0, signal.SIGCHLD, *(0,) * 6))
        calls.relocate(within(arguments, _PIDFD_AT), 1)
        calls.end()
        without_keyrings = calls.errors(*WITHOUT_KEYRINGS)
        child = calls.here
        named.fail = self._failed
        source, target, _kind, flags, _options = PRIVATE_MOUNTS
        named.do("mount", calls.text(source), calls.text(target), 0, flags, 0, path=target)
        # A task of root's may look into its init: what that possesses of keys, it reads.
        named.do("keyctl", KEYCTL_JOIN_SESSION_KEYRING, 0, ignored=without_keyrings)
        # It gives up its capabilities itself; but a task may be there before it has had a processor, and a tracer has what
        # it has. They go with the execve and not before: who has none may share no memory with who has all.
        named.do("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, operation="prctl(PR_SET_NO_NEW_PRIVS)")
        named.do("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, operation="prctl(PR_CAP_AMBIENT)")
        # (A launcher that may not has not all of them either.)
        not_permitted = calls.errors(errno.EPERM)
        securebits = "prctl(PR_SET_SECUREBITS)"
        named.do("prctl", _PR_SET_SECUREBITS, _SECBIT_NOROOT, 0, 0, 0, operation=securebits, ignored=not_permitted)
        if program_fd < 0:
            calls.end(_BORN)
        default = calls.put(bytes(32))
        for number in _IGNORED:
            named.do("rt_sigaction", number, default, 0, 8)
        named.do("setsid")
        named.do("dup3", value_at(read_fd), 0, 0)
        for fd in (1, 2):
            named.do("close", fd)
        path = f"/proc/self/fd/{program_fd}"
        named.do("execve", calls.text(path), argv, environment, path=path)
        self._first = calls.here
        calls.end(result_of(calls.call("clone3", arguments, CLONE_ARGUMENTS.size, zero=child)))
        self._memory = calls.to_bytes()
        self._read_at, self._pidfd_at = calls.size + read_fd[2], calls.size + pidfd[2]
        self._named = named
        self._runner = runner
        runner.run(self._memory, prepared)

    def make(self) -> Init:
        """A new one. Raises KernelError."""
        read_fd, lifeline_fd = os.pipe2(os.O_CLOEXEC)
        try:
            pid = self._start(read_fd)
        except BaseException:
            os.close(lifeline_fd)
            raise
        finally:
            os.close(read_fd)
        (pidfd,) = _INT.unpack_from(self._memory, self._pidfd_at)
        return Init(pid, pidfd, lifeline_fd)

    def _start(self, read_fd: int) -> int:
        _INT.pack_into(self._memory, self._read_at, read_fd)
        pid = self._runner.run(self._memory, self._first)
        if pid == _BORN:
            _be_init(read_fd)
        if pid < 0:
            raise KernelError("clone3", "", "init", -pid)
        if failed := result_in(self._memory, self._failed) // INSTRUCTION_BYTES:
            raise self._give_up(failed)
        return pid

    def _give_up(self, failed: int) -> KernelError:
        """The child has ended, and left in our memory where."""
        os.close(_INT.unpack_from(self._memory, self._pidfd_at)[0])
        at = self._failed * INSTRUCTION_BYTES + RESULT_OFFSET
        self._memory[at : at + 8] = bytes(8)
        return self._named.error(failed, -result_in(self._memory, failed))


def _open_program(machine: str, run_directory: str) -> int:
    """-1 where init is a forked Python."""
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


def _be_init(read_fd: int) -> NoReturn:
    """The init of a processor without bytes of its own: slower, and as bare as Python can be."""
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
