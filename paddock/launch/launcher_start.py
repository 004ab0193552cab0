"""How the launcher begins: it sheds what its parent left it, takes its place in the cgroup tree, and is alone of its kind."""

from __future__ import annotations

import errno
import fcntl
import os
import signal

from paddock.kernel import cgroup2, cgroup_files, processes
from paddock.kernel.descriptors import close_all_except
from paddock.kernel.errors import KernelError, wrapped
from paddock.kernel.syscalls import MACHINE, set_default_by_kernel
from paddock.launch import protocol, sweep
from paddock.launch.host import Host

_V2_CONTROLLERS = ("cpu", "memory", "pids", "io", "cpuset")
_DEFAULT_POOL_SIZE = 8
# libc keeps these for itself: its own wrapper refuses them, and its posix_spawn leaves them ignored in every child.
_LIBC_SIGNALS = frozenset({32, 33})


class Arguments:
    """`cgroup_roots`: the agent's own directories, .../paddock-<agent>: one per v1 hierarchy, or the one of v2."""

    __slots__ = ("agent_id", "cgroup_roots", "machine", "pool_size", "socket")

    def __init__(self) -> None:
        self.socket = ""
        self.agent_id = ""
        self.cgroup_roots: list[str] = []
        self.pool_size = _DEFAULT_POOL_SIZE
        # Another processor's name than uname's: only to see what happens on one for which there is no still init.
        self.machine = ""


def parse_arguments(words: list[str]) -> Arguments:
    """--socket PATH --agent-id ID [--cgroup-root DIRECTORY]... [--pool-size N] [--machine NAME]; raises ValueError."""
    arguments = Arguments()
    rest = iter(words)
    for word in rest:
        flag, separator, value = word.partition("=")
        if not separator:
            value = next(rest, "")
        if flag == "--socket":
            arguments.socket = protocol.absolute_path(value, flag)
        elif flag == "--agent-id":
            arguments.agent_id = protocol.name(value, flag)
        elif flag == "--cgroup-root":
            arguments.cgroup_roots.append(protocol.absolute_path(value, flag))
        elif flag == "--pool-size":
            arguments.pool_size = protocol.integer(int(value), flag, 0, 1024)
        elif flag == "--machine":
            arguments.machine = protocol.name(value, flag)
        else:
            raise protocol.ProtocolError(flag, "unknown flag")
    if not arguments.socket or not arguments.agent_id:
        raise protocol.ProtocolError("arguments", "--socket and --agent-id are needed")
    for root in arguments.cgroup_roots:
        if os.path.basename(root) != f"paddock-{arguments.agent_id}":
            raise protocol.ProtocolError("--cgroup-root", f"{root} does not end in paddock-{arguments.agent_id}")
    return arguments


def begin(arguments: Arguments) -> Host:
    """Everything before the first fork. Raises KernelError; EADDRINUSE: this agent has a launcher already."""
    _shed_inheritance()
    _lock(arguments.socket)
    # An orphan of a dead shim becomes ours and is reaped at once; else its namespace would wait for the host's PID 1.
    processes.become_subreaper()
    host = Host(arguments.machine or MACHINE)
    host.raise_open_files()
    for root in arguments.cgroup_roots:
        _prepare_root(root)
    return host


def _shed_inheritance() -> None:
    """Descriptors, directory, signals, umask, session, nice value and OOM score of whoever started us."""
    close_all_except(())
    null_fd = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null_fd, 0)
    for number in (1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(null_fd, number)
    os.close(null_fd)
    # A container's init keeps this as its cwd; anywhere else than / would show the host's tree to the container.
    os.chdir("/")
    os.umask(0o022)
    if os.getsid(0) != os.getpid():
        try:
            os.setsid()
        except PermissionError:
            # We lead a process group already.
            pass
    reset_signals()
    os.setpriority(os.PRIO_PROCESS, 0, 0)
    try:
        processes.set_oom_score_adj(0)
    except KernelError:
        # Set high by somebody with CAP_SYS_RESOURCE: a launch that asks for less says so.
        pass


def reset_signals() -> None:
    """Every disposition as it was before anybody ignored or blocked something."""
    for number in range(1, signal.NSIG):
        if number in _LIBC_SIGNALS:
            set_default_by_kernel(number)
        elif number not in {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _lock(socket_path: str) -> None:
    """Held until this process ends; shims close their copy."""
    path = f"{socket_path}.lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise KernelError("flock", path, "a launcher runs on this socket", errno.EADDRINUSE) from None
    except OSError as error:
        raise wrapped(error, "open", path) from None


def _prepare_root(root: str) -> None:
    """Make the agent's directory. On v2 no process may stay in an inner cgroup: we move to a leaf of our own."""
    scope = os.path.dirname(root)
    cgroup_files.make_directory(root)
    if not os.path.exists(os.path.join(root, "cgroup.controllers")):
        return
    cgroup2.move_self(os.path.join(root, "launcher"))
    cgroup2.enable_controllers(scope, _V2_CONTROLLERS)
    cgroup2.enable_controllers(root, _V2_CONTROLLERS)


def end(arguments: Arguments) -> None:
    """Remove the socket, and the agent's directories where nothing is left in them."""
    for path in (arguments.socket, f"{arguments.socket}.lock"):
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
    sweep.remove_parents(arguments.cgroup_roots)
