"""From clone to execve: the straight line that the command's own process walks before it is the command.

It runs in the child of a raw clone3: system calls and execve only. Everything that can be prepared is prepared before, by
the shim; the first thing that the child does is to close what must die with the shim alone (lifeline, sockets, record).
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import termios

from paddock.kernel import capabilities, processes
from paddock.kernel.cgroup1 import attach_self
from paddock.kernel.errors import KernelError, wrapped
from paddock.kernel.namespaces import CLONE_NEWNS, NAMESPACE_FLAGS, make_mounts_private, mount_named, setns, unshare
from paddock.kernel.syscalls import clone3, close_range, leave_session_keyring
from paddock.launch import protocol
from paddock.launch.plan import RLIMIT_NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from paddock.launch.host import Host
    from paddock.launch.plan import Command, Mount

# What the child says on its status pipe: it waits at the barrier, it is about to execve, it failed (then JSON follows).
AT_BARRIER = b"B"
EXECUTES = b"E"
FAILED = b"F"

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Python ignores the first two, the shim the others; what is ignored stays ignored over execve.
_RESET_SIGNALS = tuple(
    int(number) for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
)
_EX_FAILED = 70


class Surroundings:
    """Where the command runs. Descriptors are the shim's; -1 is none.

    `namespace_fd`: a pidfd whose namespaces are joined; without one the child makes its own (`new_namespaces`).
    `is_exec`: it joins a running container, where it must not be looked into on its way.
    """

    __slots__ = (
        "announces_barrier",
        "barrier_fd",
        "cgroup_fd",
        "close_first",
        "is_exec",
        "joined_namespaces",
        "mounts",
        "namespace_fd",
        "new_namespaces",
        "standard_fds",
        "status_fd",
        "task_fds",
    )

    def __init__(self) -> None:
        self.standard_fds: tuple[int, int, int] = (0, 1, 2)
        self.close_first: tuple[int, ...] = ()
        self.task_fds: tuple[int, ...] = ()
        self.cgroup_fd = -1
        self.namespace_fd = -1
        self.joined_namespaces = 0
        self.new_namespaces = 0
        self.mounts: tuple[Mount, ...] = ()
        self.status_fd = -1
        self.barrier_fd = -1
        self.announces_barrier = False
        self.is_exec = False


def flags_of(namespaces: tuple[str, ...]) -> int:
    """The CLONE_NEW… flags of these names, without the PID namespace: children enter that by birth."""
    flags = 0
    for name in namespaces:
        if name != "pid":
            flags |= NAMESPACE_FLAGS[name]
    return flags


def start(  # noqa: RET503 - the child never returns
    command: Command, surroundings: Surroundings, host: Host
) -> tuple[int, int]:
    """(pid, pidfd) of a process on its way to execve; what it meets is told on the status pipe."""
    candidates, arguments, environment = prepare(command)
    pid, pidfd = clone3(0, surroundings.cgroup_fd)
    if pid:
        return pid, pidfd
    _become(command, surroundings, host, candidates, arguments, environment)


def prepare(command: Command) -> tuple[tuple[str, ...], list[bytes], dict[bytes, bytes]]:
    """(the files to try, argv, environment), as execve takes them."""
    arguments = [os.fsencode(argument) for argument in command.argv]
    environment = {os.fsencode(key): os.fsencode(value) for key, value in command.environment.items()}
    return _candidates(command), arguments, environment


def _candidates(command: Command) -> tuple[str, ...]:
    name = command.argv[0]
    if "/" in name:
        return (name,)
    path = command.environment.get("PATH", _DEFAULT_PATH)
    return tuple(f"{directory or '.'}/{name}" for directory in path.split(":"))


def _become(
    command: Command,
    surroundings: Surroundings,
    host: Host,
    candidates: tuple[str, ...],
    arguments: list[bytes],
    environment: dict[bytes, bytes],
) -> NoReturn:
    stage = "cgroup"
    try:
        for fd in surroundings.close_first:
            os.close(fd)
        if surroundings.is_exec:
            processes.hide_from_ptrace()
        for number, fd in enumerate(surroundings.standard_fds):
            if fd != number:
                os.dup2(fd, number, inheritable=True)
        _attach(surroundings.task_fds)
        # Before the mount namespace is joined: the container's /proc may not be there yet.
        stage = "limits"
        processes.set_oom_score_adj(command.oom_score_adj)
        stage = "namespace"
        _enter_namespaces(surroundings)
        stage = "mount"
        for mount in surroundings.mounts:
            mount_named(mount.source, mount.target, mount.fs_type, mount.flags, mount.data)
        stage = "limits"
        _reset(command, surroundings, host)
        stage = "user"
        _take_identity(command, host)
        stage = "exec"
        _change_directory(command.working_directory)
        close_range(3, on_exec=True)
        if surroundings.barrier_fd >= 0:
            _wait_at_barrier(surroundings)
        os.write(surroundings.status_fd, EXECUTES)
        _execute(candidates, arguments, environment)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it must reach the shim, and this process must end
        _report(surroundings.status_fd, stage, error)
    finally:
        os._exit(_EX_FAILED)


def _attach(task_fds: tuple[int, ...]) -> None:
    for fd in task_fds:
        try:
            attach_self(fd)
        except OSError as error:
            raise wrapped(error, "write", os.readlink(f"/proc/self/fd/{fd}"), "0") from None


def _enter_namespaces(surroundings: Surroundings) -> None:
    if surroundings.joined_namespaces:
        setns(surroundings.namespace_fd, surroundings.joined_namespaces)
    if surroundings.new_namespaces:
        unshare(surroundings.new_namespaces)
        if surroundings.new_namespaces & CLONE_NEWNS:
            make_mounts_private()


def _reset(command: Command, surroundings: Surroundings, host: Host) -> None:
    """Nothing of the daemon's leaks into the task: session, signals, umask, nice value, limits."""
    os.setsid()
    if surroundings.is_exec and os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    processes.set_default_signals(_RESET_SIGNALS)
    os.umask(command.umask)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, command.nice)
    except OSError as error:
        raise wrapped(error, "setpriority", "", str(command.nice)) from None
    resource.setrlimit(resource.RLIMIT_NOFILE, host.open_files)
    for rlimit in command.rlimits:
        soft = resource.RLIM_INFINITY if rlimit.soft is None else rlimit.soft
        hard = resource.RLIM_INFINITY if rlimit.hard is None else rlimit.hard
        try:
            resource.setrlimit(RLIMIT_NUMBERS[rlimit.resource], (soft, hard))
        except (OSError, ValueError) as error:
            code = getattr(error, "errno", None) or (1 if "allowed" in str(error) else 22)
            raise KernelError("setrlimit", rlimit.resource, f"{rlimit.soft}:{rlimit.hard}", code) from None


def _take_identity(command: Command, host: Host) -> None:
    # While we are root still: the new one then counts against root's quota of keys, not against the user's 200.
    leave_session_keyring()
    wanted = command.capabilities
    if wanted is not None:
        missing = wanted.effective & ~host.permitted
        if missing:
            raise KernelError("capset", "", ",".join(capabilities.names_of(missing)), 1)
        capabilities.drop_bounding(wanted.bounding, host.bounding)
        if command.uid:
            processes.keep_capabilities()
    try:
        os.setgroups(command.groups)
        os.setresgid(command.gid, command.gid, command.gid)
        os.setresuid(command.uid, command.uid, command.uid)
    except OSError as error:
        raise wrapped(error, "setresuid", "", f"{command.uid}:{command.gid}") from None
    if wanted is not None:
        capabilities.set_own(wanted.effective, wanted.effective, wanted.ambient)
        if wanted.ambient:
            capabilities.set_ambient(wanted.ambient)
    if command.no_new_privileges:
        processes.set_no_new_privileges()


def _change_directory(path: str) -> None:
    try:
        os.chdir(path)
    except OSError as error:
        raise wrapped(error, "chdir", path) from None


def _wait_at_barrier(surroundings: Surroundings) -> None:
    """Until all else of the launch is done and, with a barrier, the agent says go; when the shim dies, so does this."""
    if surroundings.announces_barrier:
        os.write(surroundings.status_fd, AT_BARRIER)
    if not os.read(surroundings.barrier_fd, 1):
        os._exit(_EX_FAILED)


def _execute(candidates: tuple[str, ...], arguments: list[bytes], environment: dict[bytes, bytes]) -> None:
    """As execvp does: the first that can be executed; a refusal outweighs an absence."""
    failure = None
    for path in candidates:
        try:
            os.execve(path, arguments, environment)
        except OSError as error:
            if failure is None or not isinstance(error, FileNotFoundError | NotADirectoryError):
                failure = error
            if not isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
                break
    assert failure is not None
    shown = candidates[0] if len(candidates) == 1 else os.fsdecode(arguments[0])
    raise wrapped(failure, "execve", shown)


def _report(status_fd: int, stage: str, error: BaseException) -> None:
    failure = protocol.error_from(error).to_json()
    failure["stage"] = stage
    os.write(status_fd, FAILED + protocol.encode(failure))
