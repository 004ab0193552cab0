"""The straight line that a command's own process walks from clone to execve, as steps of a call list.

Everything that can be prepared is prepared before, by the shim. The first thing that the child does is to close what must die
with the shim alone: lifeline, sockets, record.
"""

from __future__ import annotations

import errno
import signal
import struct
from functools import lru_cache

from paddock.kernel.call_list import BEGINNING, INSTRUCTION_BYTES, CallList, result_in, value_at, within
from paddock.kernel.capabilities import names_of
from paddock.kernel.errors import KernelError
from paddock.kernel.namespaces import CLONE_NEWNS, NAMESPACE_FLAGS, PRIVATE_MOUNTS, mounts_of
from paddock.kernel.syscalls import CLONE_ARGUMENTS, CLONE_INTO_CGROUP, CLONE_PIDFD, CLONE_VM
from paddock.launch import protocol
from paddock.launch.named_list import NamedList
from paddock.launch.plan import RLIMIT_NUMBERS
from paddock.launch.report import STAT_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from paddock.kernel.call_list import Argument, Place
    from paddock.launch.launcher_facts import LauncherFacts
    from paddock.launch.plan import Command, Mount

# What the child says on its status pipe: it waits at the barrier, it is about to execve, it failed (then its list follows).
AT_BARRIER = b"B"
EXECUTES = b"E"
FAILED = b"F"

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Python ignores the first two, the shim the others; what is ignored stays ignored over execve.
_RESET_SIGNALS = tuple(
    int(number) for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
)
_SIGCHLD = int(signal.SIGCHLD)
_EX_FAILED = 70
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
_TIOCSCTTY = 0x540E
_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
KEYCTL_JOIN_SESSION_KEYRING = 1
WITHOUT_KEYRINGS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)
"""A kernel that has none, or a filter that forbids them to us and so to all our children, is no failure."""
_CLOSE_RANGE_CLOEXEC = 4
_ALL_FDS = 0xFFFFFFFF
_INFINITY = (1 << 64) - 1
_PIDFD_OFFSET = 8
_CGROUP_OFFSET = 80


class Surroundings:
    """Where the command runs. What is a descriptor is the shim's: a number, or the place where the list finds it.

    `namespace_fd`: a pidfd whose namespaces are joined; without one the child makes its own (`new_namespaces`).
    `is_exec`: it joins a running container, where it must not be looked into on its way. `on_terminal`: its stdin is one.
    `shares_memory`: until its execve the child uses the shim's memory instead of a copy; then it leaves its
    /proc/self/stat at `stat`, and at `reached` that it has come to its execve. `task_files`: v1.
    """

    __slots__ = (
        "barrier_fd",
        "cgroup_fd",
        "close_first",
        "is_exec",
        "joined_namespaces",
        "mounts",
        "namespace_fd",
        "new_namespaces",
        "on_terminal",
        "reached",
        "shares_memory",
        "standard_fds",
        "stat",
        "status_fd",
        "task_files",
    )

    def __init__(self, status_fd: Argument, standard_fds: tuple[Argument, Argument, Argument]) -> None:
        self.status_fd = status_fd
        self.standard_fds = standard_fds
        self.close_first: tuple[Argument, ...] = ()
        self.task_files: tuple[str, ...] = ()
        self.cgroup_fd: Argument | None = None
        self.namespace_fd: Argument | None = None
        self.joined_namespaces = 0
        self.new_namespaces = 0
        self.mounts: tuple[Mount, ...] = ()
        self.barrier_fd: Argument | None = None
        self.is_exec = False
        self.on_terminal = False
        self.shares_memory = False
        self.reached: Place | None = None
        self.stat: Place | None = None


class Preamble:
    """What many commands have in common, written down once: how a failure is told, and how the child becomes its user.

    `failure`: where a step that failed goes on. `ending`: where the child ends without a word. `identity`: where it sheds
    what it has of the daemon and becomes the user; from there the list goes on into what is added to this. `elsewhere`:
    errors after which a command may still be found in the next directory. `reserved`: memory right behind the header.
    """

    __slots__ = ("elsewhere", "ending", "failure", "identity", "named", "reserved", "size", "status")

    def __init__(
        self,
        uid: int,
        gid: int,
        groups: tuple[int, ...],
        capabilities: tuple[int, int, int, int] | None,
        no_new_privileges: bool,  # noqa: FBT001 - the same
        limits: tuple[tuple[str, int | None, int | None], ...],
        umask: int,
        nice: int,
    ) -> None:
        calls = CallList()
        self.named = NamedList(calls)
        self.reserved = calls.reserve(1)
        self.status = calls.put(bytes(8))
        self.size = calls.put(bytes(8))
        self.failure = self.named.fail = calls.land()
        calls.call("write", value_at(self.status), calls.put(FAILED), 1)
        calls.call("write", value_at(self.status), BEGINNING, value_at(self.size))
        self.ending = calls.call("exit_group", _EX_FAILED)
        self.elsewhere = calls.errors(errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM)
        without_keyrings = calls.errors(*WITHOUT_KEYRINGS)
        self.identity = calls.here
        self.named.stage = "limits"
        self._reset(limits, umask, nice)
        self.named.stage = "user"
        # While we are root still: the new one then counts against root's quota of keys, not against the user's 200.
        self.named.do("keyctl", KEYCTL_JOIN_SESSION_KEYRING, 0, ignored=without_keyrings)
        if capabilities is not None:
            self._drop_bounding(capabilities[0])
            if uid:
                self.named.do("prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
        self._take_user(uid, gid, groups)
        if capabilities is not None:
            self._take_capabilities(*capabilities[1:])
        if no_new_privileges:
            self.named.do("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, operation="prctl(PR_SET_NO_NEW_PRIVS)")

    def _reset(self, limits: tuple[tuple[str, int | None, int | None], ...], umask: int, nice: int) -> None:
        """Nothing of the daemon's leaks into the task: signals, umask, nice value, limits."""
        calls = self.named.calls
        # struct kernel_sigaction, all zero: SIG_DFL.
        default = calls.put(bytes(32))
        for number in _RESET_SIGNALS:
            self.named.do("rt_sigaction", number, default, 0, 8)
        calls.call("umask", umask)
        self.named.do("setpriority", 0, 0, nice, value=str(nice))
        for resource, soft, hard in limits:
            pair = struct.pack("2Q", *(_INFINITY if limit is None else limit for limit in (soft, hard)))
            number, value = RLIMIT_NUMBERS[resource], f"{soft}:{hard}"
            self.named.do("prlimit64", 0, number, calls.put(pair), 0, operation="setrlimit", path=resource, value=value)

    def _take_user(self, uid: int, gid: int, groups: tuple[int, ...]) -> None:
        count, who = len(groups), f"{uid}:{gid}"
        place = self.named.calls.put(struct.pack(f"{count}I", *groups)) if count else 0
        self.named.do("setgroups", count, place, operation="setresuid", value=who)
        self.named.do("setresgid", gid, gid, gid, operation="setresuid", value=who)
        self.named.do("setresuid", uid, uid, uid, value=who)

    def _drop_bounding(self, surplus: int) -> None:
        for number in range(surplus.bit_length()):
            if surplus >> number & 1:
                name = ",".join(names_of(1 << number))
                self.named.do(
                    "prctl", _PR_CAPBSET_DROP, number, 0, 0, 0, operation="prctl(PR_CAPBSET_DROP)", value=name
                )

    def _take_capabilities(self, effective: int, ambient: int, lacking: int) -> None:
        masks = (effective, effective, ambient)
        words = [mask >> shift & 0xFFFFFFFF for shift in (0, 32) for mask in masks]
        header = self.named.calls.put(struct.pack("Ii", _CAPABILITY_VERSION_3, 0))
        sets = self.named.calls.put(struct.pack("6I", *words))
        self.named.do("capset", header, sets, value=",".join(names_of(lacking or effective)))
        if not ambient:
            return
        self.named.do("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
        for number in range(ambient.bit_length()):
            if ambient >> number & 1:
                name = ",".join(names_of(1 << number))
                self.named.do("prctl", PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number, 0, 0, value=name)


_preamble = lru_cache(maxsize=64)(Preamble)


class CommandList:
    """A list that ends in a command's execve. `candidates`: the steps that try it. `pidfd`: where the child's will stand.

    The order of the instructions is not that of their execution: the preamble, the end of the child's way, its beginning,
    and then what the parent does, which whoever inherits adds.
    """

    __slots__ = ("_born_with_score_adj", "_preamble", "calls", "candidates", "named", "pidfd")

    def __init__(self, command: Command, facts: LauncherFacts) -> None:
        self._born_with_score_adj = facts.oom_score_adj
        self._preamble = _preamble(*_key_of(command, facts))
        self.named = self._preamble.named.copy()
        self.calls = self.named.calls
        self.candidates = range(0)
        self.pidfd = self.calls.put(bytes(8))

    def _execute(self, command: Command, surroundings: Surroundings) -> None:
        """As execvp does: the first that can be executed."""
        calls, self.named.stage = self.calls, "exec"
        self.named.do("chdir", calls.text(command.working_directory), path=command.working_directory)
        self.named.do("close_range", 3, _ALL_FDS, _CLOSE_RANGE_CLOEXEC)
        status = value_at(self._preamble.status)
        if surroundings.barrier_fd is not None:
            # Until the agent says go; when the shim dies, so does this.
            self.named.do("write", status, calls.put(AT_BARRIER), 1)
            self.named.do("read", surroundings.barrier_fd, calls.put(bytes(1)), 1, zero=self._preamble.ending)
        if surroundings.reached is None:
            self.named.do("write", status, calls.put(EXECUTES), 1)
        else:
            calls.store(1, surroundings.reached)
        arguments = calls.vector(command.argv)
        environment = calls.vector(f"{name}={value}" for name, value in command.environment.items())
        files = _candidates(command)
        shown = files[0] if len(files) == 1 else command.argv[0]
        self.candidates = range(calls.here, calls.here + len(files))
        for file in files[:-1]:
            self.named.do(
                "execve", calls.text(file), arguments, environment, path=shown, ignored=self._preamble.elsewhere
            )
        self.named.do("execve", calls.text(files[-1]), arguments, environment, path=shown)

    def _clone(self, surroundings: Surroundings, child: int) -> int:
        """The fork of the ways: the parent goes on here, the child at `child`. Returns the index."""
        calls = self.calls
        flags = CLONE_PIDFD | (CLONE_VM if surroundings.shares_memory else 0)
        if surroundings.cgroup_fd is not None:
            flags |= CLONE_INTO_CGROUP
        arguments = calls.put(CLONE_ARGUMENTS.pack(flags, self.pidfd[2], 0, 0, _SIGCHLD, 0, 0, 0, 0, 0, 0))
        calls.relocate(within(arguments, _PIDFD_OFFSET), 1)
        if surroundings.cgroup_fd is not None:
            calls.store(surroundings.cgroup_fd, within(arguments, _CGROUP_OFFSET))
        calls.store(surroundings.status_fd, self._preamble.status)
        return self.named.do("clone3", arguments, CLONE_ARGUMENTS.size, zero=child)

    def _add_child(self, command: Command, surroundings: Surroundings) -> int:
        """The child's way; returns where it begins."""
        self._execute(command, surroundings)
        calls, named = self.calls, self.named
        first = calls.here
        named.stage = "cgroup"
        for fd in surroundings.close_first:
            self.named.do("close", fd)
        if surroundings.is_exec or surroundings.shares_memory:
            # Until the execve only a holder of CAP_SYS_PTRACE may look into it: into the shim, when it shares its memory.
            self.named.do("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)
        if surroundings.stat is not None:
            named.read_file("/proc/self/stat", surroundings.stat, STAT_BYTES)
        for number, standard_fd in enumerate(surroundings.standard_fds):
            if standard_fd != number:
                self.named.do("dup3", standard_fd, number, 0)
        for path in surroundings.task_files:
            # Oneself: another's pid into cgroup.procs waits for an RCU grace period, 6-14 ms on a quiet machine; this, 0.05.
            named.write_file(path, "0")
        named.stage = "limits"
        if command.oom_score_adj != self._born_with_score_adj:
            # Before the mount namespace is joined: the container's /proc may not be there yet. Not without need: the kernel
            # looks at every process of the host for others that share the memory.
            named.write_file("/proc/self/oom_score_adj", str(command.oom_score_adj))
        self._enter_namespaces(surroundings)
        named.stage = "limits"
        self.named.do("setsid")
        if surroundings.on_terminal:
            self.named.do("ioctl", 0, _TIOCSCTTY, 0)
        calls.land(self._preamble.identity)
        return first

    def _enter_namespaces(self, surroundings: Surroundings) -> None:
        joined, made = surroundings.joined_namespaces, surroundings.new_namespaces
        self.named.stage = "namespace"
        if joined and surroundings.namespace_fd is not None:
            self.named.do("setns", surroundings.namespace_fd, joined, value=hex(joined))
        if made:
            self.named.do("unshare", made, value=hex(made))
        if made & CLONE_NEWNS:
            self._mount((PRIVATE_MOUNTS,))
        self.named.stage = "mount"
        for mount in surroundings.mounts:
            self._mount(mounts_of(mount.source, mount.target, mount.fs_type, mount.flags, mount.data))

    def _mount(self, mounts: tuple[tuple[str, str, str, int, str], ...]) -> None:
        text = self.calls.text
        for source, target, fs_type, flags, data in mounts:
            kind, options = (text(word) if word else 0 for word in (fs_type, data))
            self.named.do("mount", text(source), text(target), kind, flags, options, path=target, value=source)

    def to_bytes(self) -> bytearray:
        """The memory in which it is carried out."""
        self.calls.replace(self._preamble.size, self.calls.size.to_bytes(8, "little"))
        return self.calls.to_bytes()

    def explain(self, results: bytes | bytearray) -> dict[str, object]:
        """The child's step that failed, in the wire's form, from the list as the child has sent it."""
        failed = result_in(results, self._preamble.failure) // INSTRUCTION_BYTES
        if failed not in self.named.names or len(results) < self.calls.size:
            cut = KernelError("execve", "", "the process failed, and was ended before it could say where", errno.ECHILD)
            return {**protocol.error_from(cut).to_json(), "stage": "exec"}
        code = -result_in(results, failed)
        if failed in self.candidates:
            code = _weightiest(-result_in(results, index) for index in self.candidates if index <= failed)
        return self.named.failure_at(failed, code)


def _weightiest(codes: Iterable[int]) -> int:
    """As execvp has it: a refusal outweighs an absence."""
    found = 0
    for code in codes:
        if not found or code not in _ABSENT:
            found = code
    return found


def _candidates(command: Command) -> tuple[str, ...]:
    name = command.argv[0]
    if "/" in name:
        return (name,)
    path = command.environment.get("PATH", _DEFAULT_PATH)
    return tuple(f"{directory or '.'}/{name}" for directory in path.split(":"))


def _key_of(command: Command, facts: LauncherFacts) -> tuple[object, ...]:
    wanted = command.capabilities
    sets = None
    if wanted is not None:
        lacking = wanted.effective & ~facts.permitted
        sets = (facts.bounding & ~wanted.bounding, wanted.effective, wanted.ambient, lacking)
    limits = (("RLMT_NOFILE", *facts.open_files), *((each.resource, each.soft, each.hard) for each in command.rlimits))
    user = (command.uid, command.gid, command.groups)
    return (*user, sets, command.no_new_privileges, limits, command.umask, command.nice)


def flags_of(namespaces: tuple[str, ...]) -> int:
    """The CLONE_NEW… flags of these names, without the PID namespace: children enter that by birth."""
    flags = 0
    for name in namespaces:
        if name != "pid":
            flags |= NAMESPACE_FLAGS[name]
    return flags
