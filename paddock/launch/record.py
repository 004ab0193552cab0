"""The exit record: one JSON file per container, durable before anybody but its agent hears of the end.

Its space is taken at launch, so that a full disk cannot swallow it, and is kept: NULs stand behind the content. Space that is
given back, or written to for the first time, is one more wait for the disk. Until the end the record stands under a temporary
name and holds the note: what somebody must know to clean up when the shim has died (`sweep`). The shim holds a lock on it
until that is over.
"""

from __future__ import annotations

import errno
import fcntl
import os

from paddock.kernel.errors import KernelError, wrapped
from paddock.kernel.paths import sync_directory
from paddock.launch import protocol, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PREALLOCATED_BYTES = 16 * 1024
MAX_RECORD_BYTES = 1024 * 1024
STEADY_FILE_SYSTEMS = frozenset({"ext4", "xfs"})
"""They write a block anew where it stands, and a file's fsync makes its new name durable too (`Plan.syncs_name`)."""
_SUFFIX = ".new"


def temporary_path(path: str) -> str:
    """Where the record stands until the end."""
    return path + _SUFFIX


def empty(path: str) -> None:
    """Nothing but NULs stands there afterwards, and the space is the next record's. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        content = os.pread(fd, PREALLOCATED_BYTES, 0)
        os.pwrite(fd, bytes(len(content.rstrip(b"\0"))), 0)
        if os.fstat(fd).st_size > PREALLOCATED_BYTES:
            os.ftruncate(fd, PREALLOCATED_BYTES)
    finally:
        os.close(fd)


class RecordFile:
    """The preallocated file, locked."""

    __slots__ = ("_fd", "_note_bytes", "path")

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self._fd = fd
        self._note_bytes = 0

    @property
    def fd(self) -> int:
        """To be closed first in every child: with it goes the lock."""
        return self._fd

    def write_note(self, note: Mapping[str, object]) -> None:
        """Replace the note. It is not synced: after a power cut there is nothing to clean up."""
        content = protocol.encode(note)
        os.pwrite(self._fd, content + bytes(max(self._note_bytes - len(content), 0)), 0)
        self._note_bytes = len(content)

    def finish(self, record: Mapping[str, object]) -> None:
        """Write the record, make it durable, give it its name. Raises KernelError; may be called again, then too."""
        content = protocol.encode(record)
        temporary = temporary_path(self.path)
        try:
            os.pwrite(self._fd, content.ljust(os.fstat(self._fd).st_size, b"\0"), 0)
            os.fdatasync(self._fd)
        except OSError as error:
            raise wrapped(error, "write", temporary) from None
        try:
            os.rename(temporary, self.path)
        except FileNotFoundError:
            # Finished once already: the name is there, and the new content is in it.
            if not os.path.exists(self.path):
                raise KernelError("rename", temporary, self.path, errno.ENOENT) from None
        except OSError as error:
            raise wrapped(error, "rename", temporary, self.path) from None
        sync_directory(os.path.dirname(self.path))

    def close(self) -> None:
        """Let go of the lock."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def create(path: str) -> RecordFile:
    """Take the record's space. EEXIST: this container's id was used before."""
    temporary = temporary_path(path)
    if os.path.exists(path):
        raise KernelError("open", path, "", errno.EEXIST)
    try:
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise wrapped(error, "open", temporary) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.posix_fallocate(fd, 0, PREALLOCATED_BYTES)
    except OSError as error:
        os.unlink(temporary)
        os.close(fd)
        raise wrapped(error, "posix_fallocate", temporary, str(PREALLOCATED_BYTES)) from None
    return RecordFile(path, fd)


def reopen(path: str) -> RecordFile:
    """The file that a dead shim left, or a new one; EAGAIN when somebody, the shim or another sweep, holds its lock."""
    temporary = temporary_path(path)
    try:
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise wrapped(error, "open", temporary) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise wrapped(error, "flock", temporary) from None
    return RecordFile(path, fd)


def is_held(path: str) -> bool:
    """Whether somebody, the shim or a sweep, holds the lock: what stands there is not finished, or perhaps not yet durable."""
    return any(_is_locked(name) for name in (temporary_path(path), path))


def _is_locked(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def read_json(path: str) -> dict[str, object] | None:
    """A record, or a note at its temporary path; None when there is none, or nothing in it. Raises ProtocolError when it is
    damaged, FormatError when another build's.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise wrapped(error, "open", path) from None
    try:
        content = os.read(fd, MAX_RECORD_BYTES + 1)
    finally:
        os.close(fd)
    if not content.strip(b"\0"):
        return None
    try:
        if report.is_one(content):
            return report.decode(content)
        fields = protocol.decode(content.rstrip(b"\0"), MAX_RECORD_BYTES)
        protocol.check_format(fields)
    except protocol.FormatError as error:
        raise protocol.FormatError(f"{path}: format", error.found, error.known) from None
    return fields


class Victim:
    """A process that the kernel killed for memory. `main`: it was the container's command."""

    __slots__ = ("comm", "main", "pid")

    def __init__(self, pid: int, comm: str, main: bool) -> None:  # noqa: FBT001 - one place calls it
        self.pid = pid
        self.comm = comm
        self.main = main


class Kill:
    """How the container was asked to end. `escalated`: everything was SIGKILLed while the command still ran."""

    __slots__ = ("escalated", "grace_ms", "requested_ns", "signal", "took_ms")
    signal: int
    grace_ms: int
    requested_ns: int
    escalated: bool
    took_ms: int


class Record:
    """A record as its readers see it; times are the wall clock's nanoseconds.

    `wait_status` is waitpid's, None when nobody could learn it. `victims` is None when the kernel's log cannot be read.
    """

    __slots__ = (
        "agent_id",
        "boot_id",
        "container_id",
        "counters",
        "dropped_bytes",
        "ended_ns",
        "kill",
        "launch_error",
        "launch_stage",
        "max_completion_reached",
        "pid",
        "problems",
        "shim_pid",
        "start_time_ticks",
        "started_ns",
        "stderr_bytes",
        "stdout_bytes",
        "supervisor_lost",
        "victims",
        "wait_status",
    )
    agent_id: str
    container_id: str
    boot_id: str
    shim_pid: int
    pid: int
    start_time_ticks: int
    started_ns: int
    ended_ns: int
    wait_status: int | None
    kill: Kill | None
    max_completion_reached: bool
    counters: dict[str, str]
    victims: tuple[Victim, ...] | None
    stdout_bytes: int
    stderr_bytes: int
    dropped_bytes: int
    launch_stage: str
    launch_error: protocol.OperationError | None
    supervisor_lost: bool
    problems: tuple[protocol.OperationError, ...]


def decode_record(fields: dict[str, object]) -> Record:
    """Check a record field by field; raises ProtocolError."""
    protocol.check_format(fields)
    record = Record()
    record.agent_id = protocol.name(fields.get("agent_id"), "agent_id")
    record.container_id = protocol.name(fields.get("container_id"), "container_id")
    record.boot_id = protocol.text(fields.get("boot_id"), "boot_id", 64)
    for key in ("shim_pid", "pid", "start_time_ticks", "started_ns", "ended_ns"):
        setattr(record, key, protocol.integer(fields.get(key), key, 0))
    status = fields.get("wait_status")
    record.wait_status = None if status is None else protocol.integer(status, "wait_status", 0, 0xFFFF)
    record.kill = _decode_kill(fields.get("kill"))
    record.max_completion_reached = protocol.boolean(fields.get("max_completion_reached"), "max_completion_reached")
    counters = protocol.mapping(fields.get("counters"), "counters")
    record.counters = {
        key: protocol.text(counter, f"counters[{key!r}]", MAX_RECORD_BYTES, empty=True)
        for key, counter in counters.items()
    }
    record.victims = _decode_victims(fields.get("victims"))
    logs = protocol.mapping(fields.get("logs"), "logs")
    for key in ("stdout_bytes", "stderr_bytes", "dropped_bytes"):
        setattr(record, key, protocol.integer(logs.get(key), f"logs.{key}", 0))
    failure = fields.get("launch_error")
    record.launch_error = None if failure is None else decode_error(failure, "launch_error")
    record.launch_stage = "" if failure is None else str(protocol.mapping(failure, "launch_error").get("stage", ""))
    record.supervisor_lost = protocol.boolean(fields.get("supervisor_lost"), "supervisor_lost")
    problems = protocol.sequence(fields.get("problems"), "problems")
    record.problems = tuple(decode_error(problem, f"problems[{i}]") for i, problem in enumerate(problems))
    return record


def _decode_kill(value: object) -> Kill | None:
    if value is None:
        return None
    fields = protocol.mapping(value, "kill")
    kill = Kill()
    kill.signal = protocol.integer(fields.get("signal"), "kill.signal", 0, 64)
    kill.grace_ms = protocol.integer(fields.get("grace_ms"), "kill.grace_ms", 0)
    kill.requested_ns = protocol.integer(fields.get("requested_ns"), "kill.requested_ns", 0)
    kill.escalated = protocol.boolean(fields.get("escalated"), "kill.escalated")
    kill.took_ms = protocol.integer(fields.get("took_ms"), "kill.took_ms", 0)
    return kill


def _decode_victims(value: object) -> tuple[Victim, ...] | None:
    if value is None:
        return None
    victims = []
    for index, element in enumerate(protocol.sequence(value, "victims")):
        where = f"victims[{index}]"
        fields = protocol.mapping(element, where)
        victims.append(
            Victim(
                protocol.integer(fields.get("pid"), f"{where}.pid", 0),
                protocol.text(fields.get("comm"), f"{where}.comm", 64, empty=True),
                protocol.boolean(fields.get("main"), f"{where}.main"),
            )
        )
    return tuple(victims)


def decode_error(value: object, where: str) -> protocol.OperationError:
    """A failed step, as it stands in a record, an answer or a `failed` event."""
    fields = protocol.mapping(value, where)
    texts = [
        protocol.text(fields.get(key, ""), f"{where}.{key}", 8192, empty=True)
        for key in ("operation", "path", "value", "message")
    ]
    return protocol.OperationError(
        texts[0], texts[1], texts[2], protocol.integer(fields.get("errno"), f"{where}.errno", 0), texts[3]
    )
