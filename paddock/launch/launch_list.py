"""A whole launch as a call list: cgroups and limits, record, logs, pipes, and the child on its way to the command.

It is made by the agent, from a plan that it has checked, so that a shim carries it out without having to read the plan: what a
shim looks at becomes a private page of it, a thousand times over. The shim fills in what only it knows (`INPUTS`), and finds
in `OUTCOME` what it goes on with. After a failure it makes the list anew from the plan, and reads what has failed.
"""

from __future__ import annotations

import errno
import os
import struct

from paddock.kernel.call_list import INSTRUCTION_BYTES, result_of, value_at, within
from paddock.kernel.namespaces import CLONE_NEWPID
from paddock.launch import ending_list, record, report, waiting_list
from paddock.launch.command_list import CommandList, Surroundings, flags_of
from paddock.launch.named_list import AT_FDCWD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.launch.plan import CgroupWrite, Plan

INPUTS = struct.Struct("4i")
"""The init's pidfd and its lifeline (-1 is none), the agent's connection, the plan's memfd."""
OUTCOME = struct.Struct("16i")
"""pid · pidfd · record · files of stdout and stderr · both pipes (ours, the command's) · status pipe · barrier, or the ear's
listener · cgroup (v2) · how many bytes of the status pipe have been read, and the first. -1 is none; a log in whose place
something stands has its negative errno."""
INPUTS_AT = INSTRUCTION_BYTES
"""Right behind the header, where a list that leads here can put them."""
# How a list ends; no process id is as large. The command is on its way; it failed; the id was used before; the command runs,
# and that was told; it has ended; that is recorded.
DONE, FAILED, USED_BEFORE, STARTED, ENDED, RECORDED = (1 << 32 | code for code in range(6))


_PID, _RECORD, _LOGS, _PIPES, _STATUS, _BARRIER, _CGROUP, _HEARD = 0, 8, 12, 20, 36, 44, 52, 56
# Without a barrier the ear's listener is there.
_LISTENER = _BARRIER
_OPEN_WRITE = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_OPEN_RECORD = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_OPEN_LOG = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_LOCK_EX_NB = 6
_RENAME_NOREPLACE = 1
_F_SETFL = 4
# Somebody put something else in the log's place before the launch: that costs only the log.
_TAKEN = (errno.EEXIST, errno.ELOOP, errno.EISDIR, errno.ENXIO)
# An optional limit that this host has not; nothing is then open to be written.
_MISSING = (errno.ENOENT, errno.EOPNOTSUPP, errno.EBADF)
_MEMORY_LIMITS = frozenset({"memory.limit_in_bytes", "memory.max"})
# More than a process can have charged before its execve is done: its arguments are 6 MiB at most.
_ROOMY_BYTES = 16 << 20
_CPUSET_FILES = ("cpuset.cpus", "cpuset.mems")
_CPUSET_BYTES = 4096


class LaunchList(CommandList):
    """`inputs`, `outcome`, `report`: where they stand. `directories`: (path, the step that makes it), in order.

    `optional`: (write, the steps that open and write its file). `allocated`: the step that takes the record's space;
    `opened_logs`: those that open the files. `failure`: where a step of the parent's that failed goes on.
    """

    __slots__ = (
        "_ends",
        "_known",
        "_soon",
        "_surroundings",
        "_walks",
        "allocated",
        "directories",
        "failure",
        "first",
        "inputs",
        "opened_logs",
        "optional",
        "outcome",
        "report",
    )

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.command, plan.launcher)
        calls = self.calls
        self.inputs = self._preamble.reserved
        self.outcome = calls.put(OUTCOME.pack(*(-1,) * 14, 0, 0))
        self._known = report.blank(plan)
        self.report = calls.put(self._known)
        self.pidfd = self._out(_PID + 4)
        self.directories: list[tuple[str, int]] = []
        self.optional: list[tuple[CgroupWrite, int, int]] = []
        self.opened_logs: list[int] = []
        self._surroundings = self._surroundings_of(plan)
        child = self._add_child(plan.command, self._surroundings)
        self.failure = self.named.fail = calls.land()
        calls.end(FAILED)
        self._walks = calls.land()
        calls.end(DONE)
        used_before = calls.land()
        calls.end(USED_BEFORE)
        missing, taken = calls.errors(*_MISSING), calls.errors(*_TAKEN)
        absent, unable = calls.errors(errno.ENOENT), calls.errors(errno.EOPNOTSUPP, errno.ENOSYS)
        unopened = calls.errors(errno.EBADF)
        self._ends = ending_list.Ends(calls, STARTED, ENDED, RECORDED)
        self._soon = self._ends.running
        if self._waits(plan) and ending_list.may_end(plan):
            told = (self.report, len(self._known))
            self._soon = ending_list.EndingList(calls, plan, self._descriptors(), told, self._ends).begin
        self.first = calls.here
        calls.call("clock_gettime", ending_list.CLOCK_REALTIME, within(self.report, report.STARTED))
        self._make_cgroups(plan, missing)
        self._make_record(plan, used_before, absent, unable)
        self._make_logs(plan, taken, unopened)
        self._make_pipes(plan)
        self._start(plan, child)
        if self._waits(plan):
            self.named.fail = self._walks
            self._tell_and_wait(plan)
        calls.end(DONE)

    @property
    def shares_memory(self) -> bool:
        """Whether the child does."""
        return self._surroundings.shares_memory

    def _waits(self, plan: Plan) -> bool:
        """Whether the list goes on when the command is on its way."""
        return self._surroundings.shares_memory and plan.max_completion_ms is None

    def _descriptors(self) -> waiting_list.Descriptors:
        out, at = self._out, value_at
        return waiting_list.Descriptors(
            status_fd=at(out(_STATUS)),
            plan_fd=at(self.inputs, 12),
            connection_fd=at(self.inputs, 8),
            record_fd=at(out(_RECORD)),
            pipe_fds=(at(out(_PIPES)), at(out(_PIPES + 8))),
            log_fds=(at(out(_LOGS)), at(out(_LOGS + 4))),
            pidfd=at(self.pidfd),
            init_pidfd=at(self.inputs),
        )

    def _out(self, offset: int) -> tuple[int, int, int]:
        return within(self.outcome, offset)

    def _surroundings_of(self, plan: Plan) -> Surroundings:
        pipes = self._out(_PIPES)
        status = self._out(_STATUS)
        surroundings = Surroundings(value_at(status, 4), (0, value_at(pipes, 4), value_at(pipes, 12)))
        init_pidfd, lifeline, connection = (value_at(self.inputs, offset) for offset in (0, 4, 8))
        has_init = "pid" in plan.namespaces
        surroundings.close_first = (
            *((lifeline,) if has_init else ()),
            connection,
            value_at(self.outcome, _RECORD),
            value_at(status),
            *((value_at(self._out(_BARRIER), 4),) if plan.barrier else ()),
        )
        directories = plan.cgroup.directories
        if plan.stand_in:
            pass
        elif plan.cgroup.mode == "v2":
            surroundings.cgroup_fd = value_at(self.outcome, _CGROUP)
        else:
            surroundings.task_files = tuple(f"{path}/tasks" for path in dict.fromkeys(directories.values()))
        flags = flags_of(plan.namespaces)
        if has_init:
            surroundings.namespace_fd, surroundings.joined_namespaces = init_pidfd, flags
        else:
            surroundings.new_namespaces = flags
        surroundings.mounts = plan.mounts
        surroundings.shares_memory = may_share_memory(plan)
        if surroundings.shares_memory:
            surroundings.reached = within(self.report, report.REACHED)
            surroundings.stat = within(self.report, report.COMMAND_STAT)
        if plan.barrier:
            surroundings.barrier_fd = value_at(self._out(_BARRIER))
        return surroundings

    def _make_cgroups(self, plan: Plan, missing: int) -> None:
        self.named.stage = "cgroup"
        text, directories = self.calls.text, plan.cgroup.directories
        for path in dict.fromkeys(directories.values()):
            made = self.named.do("mkdirat", AT_FDCWD, text(path), 0o755, operation="mkdir", path=path)
            self.directories.append((path, made))
        if "cpuset" in directories and plan.cgroup.mode == "v1":
            self._inherit_cpuset(directories["cpuset"])
        for write in plan.writes:
            directory = directories["" if plan.cgroup.mode == "v2" else write.controller]
            self._write_limit(write, f"{directory}/{write.file}", missing if write.optional else 0)
        if plan.cgroup.mode == "v2":
            opened = self.named.open(directories[""], _OPEN_PLACE)
            self.calls.store(result_of(opened), self._out(_CGROUP))

    def _write_limit(self, write: CgroupWrite, path: str, missing: int) -> None:
        steps = self.named.write_file(path, write.value, missing)
        if write.optional:
            self.optional.append((write, *steps))

    def _inherit_cpuset(self, directory: str) -> None:
        """A new v1 cpuset has no CPUs and no memory, and lets nobody in: it gets its parent's."""
        calls, parent = self.calls, os.path.dirname(directory)
        for name in _CPUSET_FILES:
            buffer = calls.put(bytes(_CPUSET_BYTES))
            source, path = f"{parent}/{name}", f"{directory}/{name}"
            count = self.named.read_file(source, buffer, _CPUSET_BYTES)
            fd = result_of(self.named.open(path, _OPEN_WRITE))
            self.named.do("write", fd, buffer, result_of(count), path=path)
            calls.call("close", fd)

    def _make_record(self, plan: Plan, used_before: int, absent: int, unable: int) -> None:
        """Its space is taken now, so that a full disk cannot swallow it."""
        named, calls, path = self.named, self.calls, record.temporary_path(plan.record)
        named.stage = "record"
        there = (AT_FDCWD, calls.text(plan.record), 0)
        named.do("faccessat", *there, zero=used_before, ignored=absent, path=plan.record)
        if plan.spare_record is None:
            opened = named.open(path, _OPEN_RECORD | os.O_EXCL, 0o600)
        else:
            # Some file systems take long to find an inode where many have just been freed. One that has vanished is made.
            names = (AT_FDCWD, calls.text(plan.spare_record), AT_FDCWD, calls.text(path))
            named.do("renameat2", *names, _RENAME_NOREPLACE, ignored=absent, path=plan.spare_record, value=path)
            opened = named.open(path, _OPEN_RECORD, 0o600)
        fd, size = result_of(opened), record.PREALLOCATED_BYTES
        calls.store(fd, self._out(_RECORD))
        named.do("flock", fd, _LOCK_EX_NB, path=path)
        space = (fd, 0, 0, size)
        self.allocated = named.do(
            "fallocate", *space, ignored=unable, operation="posix_fallocate", path=path, value=str(size)
        )

    def _make_logs(self, plan: Plan, taken: int, unopened: int) -> None:
        named, calls, command = self.named, self.calls, plan.command
        named.stage = "logs"
        sandbox = result_of(named.open(plan.sandbox, _OPEN_DIRECTORY))
        uid, gid = command.uid, command.gid
        for index, name in enumerate((plan.stdout, plan.stderr)):
            opened = named.do("openat", sandbox, calls.text(name), _OPEN_LOG, 0o644, ignored=taken, path=name)
            self.opened_logs.append(opened)
            calls.store(result_of(opened), self._out(_LOGS + 4 * index))
            if uid or gid:
                named.do("fchown", result_of(opened), uid, gid, ignored=unopened, path=name, value=f"{uid}:{gid}")
        calls.call("close", sandbox)

    def _make_pipes(self, plan: Plan) -> None:
        calls = self.calls
        for offset in (_PIPES, _PIPES + 8):
            self.named.do("pipe2", self._out(offset), os.O_CLOEXEC)
            # Ours does not block; the flag belongs to each end alone.
            calls.call("fcntl", value_at(self._out(offset)), _F_SETFL, os.O_NONBLOCK)
        self.named.do("pipe2", self._out(_STATUS), os.O_CLOEXEC)
        if plan.barrier:
            self.named.do("pipe2", self._out(_BARRIER), os.O_CLOEXEC)

    def _start(self, plan: Plan, child: int) -> None:
        self.named.stage = "namespace"
        calls = self.calls
        if "pid" in plan.namespaces:
            # For the shim's children only, and for good.
            self.named.do("setns", value_at(self.inputs), CLONE_NEWPID, value=hex(CLONE_NEWPID))
        pid = self._clone(self._surroundings, child)
        calls.store(result_of(pid), self._out(_PID))
        calls.store(result_of(pid), within(self.report, report.PID))
        theirs = [value_at(self._out(offset)) for offset in (_PIPES + 4, _PIPES + 12, _STATUS + 4)]
        if plan.barrier:
            theirs.append(value_at(self._out(_BARRIER)))
        if plan.cgroup.mode == "v2":
            theirs.append(value_at(self._out(_CGROUP)))
        for fd in theirs:
            calls.call("close", fd)

    def _tell_and_wait(self, plan: Plan) -> None:
        """What would otherwise be Python's: see `waiting_list`."""
        for index, (_write, opened, written) in enumerate(self.optional):
            place = within(self.report, report.steps_at(index))
            self.calls.store(result_of(opened), place)
            self.calls.store(result_of(written), within(place, 4))
        self.named.read_file("/proc/self/stat", within(self.report, report.SHIM_STAT), report.STAT_BYTES)
        told = (self.report, len(self._known))
        places = (self._out(_HEARD), self._out(_LISTENER))
        onward = (self._walks, self._soon, self._ends.running)
        waiting_list.add(self.named, self._descriptors(), told, places, plan.socket, onward)


def may_share_memory(plan: Plan) -> bool:
    """Not where the child's way may be long, nor where what happens to it would happen to the shim.

    Who shares memory shares its OOM score, and dies with whoever the kernel kills for memory.
    """
    if not plan.launcher.shares_memory or plan.barrier or plan.command.oom_score_adj != plan.launcher.oom_score_adj:
        return False
    limits = [int(write.value) for write in plan.writes if write.file in _MEMORY_LIMITS and write.value.isdigit()]
    return min(limits, default=_ROOMY_BYTES) >= _ROOMY_BYTES
