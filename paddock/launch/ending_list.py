"""The end of a short container, as the last part of its list: what `finishing` does, where nothing of note has happened.

Nothing of note: nobody has called, the command has ended by itself before its ear was due, left nothing behind, and the
kernel killed nobody in it for memory. Whatever else is the case, or fails, ends the list, and Python goes on from where it
stands: the command still to be waited for, or its end to be recorded, or the record to be made durable, and told.
"""

from __future__ import annotations

import errno
import os
import struct

from paddock.kernel.call_list import result_of, value_at, within
from paddock.kernel.mapping import AGAIN_AT, WAITING_ADDRESS
from paddock.launch import record, report
from paddock.launch.named_list import AT_FDCWD
from paddock.launch.waiting_list import DONTWAIT_NOSIGNAL, SIGSET_BYTES, poll_set

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.kernel.call_list import Argument, CallList, Place
    from paddock.launch.plan import Plan
    from paddock.launch.waiting_list import Descriptors

LOG_CHUNK_BYTES = 1 << 20
_SIGKILL = 9
CLOCK_REALTIME = 0
_SPLICE_F_NONBLOCK = 2
_SYNC_FILE_RANGE_WRITE = 2
_AT_REMOVEDIR = 0x200
_STATX_NLINK = 4
_STATX_BYTES = 256
_STATX_NLINK_AT = 16
_VECTOR = struct.Struct("2Q")
_MESSAGE = struct.Struct("7Q")
_INT = struct.Struct("i")
_POLLIN_ONLY = struct.pack("hh", 1, 0)
_POLLFD_EVENTS = 4
# Long enough for a process that has closed its files to be gone.
MOMENT_NS = 5_000_000
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_COUNTER_BYTES = 512
_STAT_COUNTER_BYTES = 4096
_PROCS_BYTES = 64
# Nobody was killed for memory: all of v1's file, the beginning of v2's.
_NO_KILL = {
    "memory.oom_control": b"oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
    "memory.events": b"low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n",
}
_UNPOPULATED = b"populated 0\n"


class Ends:
    """Landings, from where the list ends: while the command runs; when its end is known and no more; when the record stands."""

    __slots__ = ("ended", "recorded", "running")

    def __init__(self, calls: CallList, running: int, ended: int, recorded: int) -> None:
        """What the list returns there."""
        self.running, self.ended, self.recorded = (_landing(calls, code) for code in (running, ended, recorded))


def _landing(calls: CallList, code: int) -> int:
    landing = calls.land()
    calls.end(code)
    return landing


def may_end(plan: Plan) -> bool:
    """Whether all that is left in the container ends with its init, and it can be told that nobody was killed for memory."""
    oom = plan.oom_events
    return "pid" in plan.namespaces and (oom is None or oom.file in _NO_KILL)


class EndingList:
    """The part in the making. `told`: the report, and its length without the counters. `begin`: where it begins."""

    __slots__ = (
        "_buffers",
        "_calls",
        "_ends",
        "_fds",
        "_known_bytes",
        "_message",
        "_nothing_there",
        "_plan",
        "_report",
        "begin",
    )

    def __init__(self, calls: CallList, plan: Plan, fds: Descriptors, told: tuple[Place, int], ends: Ends) -> None:
        self._calls = calls
        self._plan = plan
        self._fds = fds
        self._report, self._known_bytes = told
        self._ends = ends
        self._buffers: list[tuple[Place, int]] = []
        self._nothing_there = calls.errors(errno.EAGAIN)
        self.begin = calls.here
        self._wait_for_end()
        self._empty()
        for index in range(2):
            # Twice, since the first may not have taken all; the end of the pipe is zero.
            self._splice(index, ends.ended, zero=calls.here + 3)
            self._splice(index, ends.ended, zero=calls.here + 2)
            calls.land(ends.ended)
        self._read_counters()
        self._write_record()
        self._remove_and_tell()
        self._make_durable()
        # Its shim waits for another order: whatever was open for this one is closed there.
        calls.enter(WAITING_ADDRESS, AGAIN_AT)

    def _call(self, name: str, *arguments: Argument, fail: int, zero: int = 0) -> int:
        return self._calls.call(name, *arguments, fail=fail, zero=zero)

    def _unless_same(self, one: Place, content: bytes, otherwise: int) -> None:
        calls = self._calls
        calls.compare(one, calls.put(content), len(content), calls.here + 2)
        calls.land(otherwise)

    def _splice(self, index: int, fail: int, zero: int = 0, ignored: int = 0) -> None:
        """From a pipe to its log, behind what is there."""
        written = within(self._report, report.LOG_BYTES + 8 * index)
        ends = (self._fds.pipe_fds[index], 0, self._fds.log_fds[index], written)
        # Three times in all, and Python alone rotates.
        chunk_bytes = min(LOG_CHUNK_BYTES, (self._plan.log_limits.file_bytes or 2**62) // 3)
        self._calls.call("splice", *ends, chunk_bytes, _SPLICE_F_NONBLOCK, fail=fail, zero=zero, ignored=ignored)

    def _wait_for_end(self) -> None:
        """What came may be output, the end of the pipes a little before the command's, or the command's end."""
        calls, running = self._calls, self._ends.running
        self._unless_same(within(self._report, report.REACHED), _INT.pack(1), running)
        for index in range(2):
            self._splice(index, running, ignored=self._nothing_there)
        poll, count = poll_set(calls, (self._fds.connection_fd, self._fds.pidfd))
        moment = calls.put(_VECTOR.pack(*divmod(MOMENT_NS, 10**9)))
        self._call("ppoll", poll, count, moment, 0, SIGSET_BYTES, fail=running, zero=running)
        self._unless_same(within(poll, _POLLFD_EVENTS), _POLLIN_ONLY, running)
        status = within(self._report, report.WAIT_STATUS)
        # Nothing to take of one that has ended: somebody traces it, and Python knows what to do then.
        self._call("wait4", value_at(self._report, report.PID), status, os.WNOHANG, 0, fail=running, zero=running)
        calls.call("clock_gettime", CLOCK_REALTIME, within(self._report, report.ENDED))

    def _empty(self) -> None:
        """With its init everything in the container dies; what takes its time to is Python's to wait for."""
        calls, ended = self._calls, self._ends.ended
        calls.call("pidfd_send_signal", self._fds.init_pidfd, _SIGKILL, 0, 0)
        directory = next(iter(self._plan.cgroup.directories.values()))
        if self._plan.cgroup.mode == "v2":
            # Where another has stopped everything, Python knows how to wait for it.
            self._unless_same(within(self._report, report.WAIT_STATUS), _INT.pack(0), ended)
            events = calls.put(bytes(_PROCS_BYTES))
            self._read(f"{directory}/cgroup.events", events, _PROCS_BYTES)
            self._unless_same(events, _UNPOPULATED, ended)
            return
        # None in it, and no cgroup of the task's own below it.
        count = self._read(f"{directory}/cgroup.procs", calls.put(bytes(_PROCS_BYTES)), _PROCS_BYTES)
        found = calls.put(bytes(4))
        calls.store(result_of(count), found)
        self._unless_same(found, _INT.pack(0), ended)
        status = calls.put(bytes(_STATX_BYTES))
        self._call("statx", AT_FDCWD, calls.text(directory), 0, _STATX_NLINK, status, fail=ended)
        self._unless_same(within(status, _STATX_NLINK_AT), _INT.pack(2), ended)

    def _read(self, path: str, place: Place, size: int) -> int:
        """Returns the step whose result is the number of bytes."""
        opened = self._call("openat", AT_FDCWD, self._calls.text(path), _OPEN_READ, 0, fail=self._ends.ended)
        count = self._call("read", result_of(opened), place, size, fail=self._ends.ended)
        self._calls.call("close", result_of(opened))
        return count

    def _read_counters(self) -> None:
        calls, plan, ended = self._calls, self._plan, self._ends.ended
        optional_count = sum(write.optional for write in plan.writes)
        reads = [*plan.final_reads]
        oom = plan.oom_events
        if oom is not None and oom.key not in {read.key for read in reads}:
            reads.append(oom)
        for index, wanted in enumerate(reads):
            size = _STAT_COUNTER_BYTES if wanted.file.endswith("memory.stat") else _COUNTER_BYTES
            buffer = calls.put(bytes(size))
            directory = plan.cgroup.directories["" if plan.cgroup.mode == "v2" else wanted.controller]
            count = self._read(f"{directory}/{wanted.file}", buffer, size)
            if index < len(plan.final_reads):
                length = within(self._report, report.length_at(optional_count, index))
                calls.store(result_of(count), length)
                # One that fills its place may be cut.
                calls.compare(length, calls.put(_INT.pack(size)), _INT.size, ended)
                self._buffers.append((buffer, count))
            if oom is not None and wanted.key == oom.key:
                self._unless_same(buffer, _NO_KILL[oom.file], ended)

    def _write_record(self) -> None:
        """Whole, and under its name: whoever looks for it from now on finds it, unless the power is cut."""
        calls, plan, fail = self._calls, self._plan, self._ends.ended
        parts = [(self._report, self._known_bytes), *((place, 0) for place, _count in self._buffers)]
        vector = calls.put(b"".join(_VECTOR.pack(place[2], size) for place, size in parts))
        for index in range(len(parts)):
            calls.relocate(within(vector, index * _VECTOR.size), 1)
        for index, (_place, count) in enumerate(self._buffers, 1):
            calls.store(result_of(count), within(vector, index * _VECTOR.size + 8))
        fd = self._fds.record_fd
        self._call("pwritev", fd, vector, len(parts), 0, 0, fail=fail)
        # The mark comes last: what has it is whole.
        calls.store(int.from_bytes(report.RECORD_MARK, "little"), self._report)
        self._call("pwrite64", fd, self._report, len(report.RECORD_MARK), 0, fail=fail)
        if not plan.syncs_name:
            self._call("fdatasync", fd, fail=fail)
        names = (calls.text(record.temporary_path(plan.record)), calls.text(plan.record))
        self._call("renameat2", AT_FDCWD, names[0], AT_FDCWD, names[1], 0, fail=fail)
        # On its way to the disk already, while the cgroups are removed.
        calls.call("sync_file_range", fd, 0, 0, _SYNC_FILE_RANGE_WRITE)
        self._message = calls.put(_MESSAGE.pack(0, 0, vector[2], len(parts), 0, 0, 0))
        calls.relocate(within(self._message, 16), 1)

    def _remove_and_tell(self) -> None:
        """The agent sees to its part meanwhile; that the record is durable, the connection's end tells it."""
        calls, plan = self._calls, self._plan
        for path in dict.fromkeys(plan.cgroup.directories.values()):
            self._call("unlinkat", AT_FDCWD, calls.text(path), _AT_REMOVEDIR, fail=self._ends.recorded)
        calls.call("sendmsg", self._fds.connection_fd, self._message, DONTWAIT_NOSIGNAL)

    def _make_durable(self) -> None:
        """The name; where the file system takes it along, the content too. Each sync is several waits for the disk, and those
        are much of an idle host's launch.
        """
        calls, plan, fail = self._calls, self._plan, self._ends.recorded
        if plan.syncs_name:
            self._call("fsync", self._fds.record_fd, fail=fail)
            return
        parent = calls.text(os.path.dirname(plan.record))
        directory = self._call("openat", AT_FDCWD, parent, _OPEN_DIRECTORY, 0, fail=fail)
        self._call("fsync", result_of(directory), fail=fail)
        calls.call("close", result_of(directory))
