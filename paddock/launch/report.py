"""What a launch's list writes down by itself: the word that the command runs, the note for a sweep, and the exit record.

A fixed part, filled in while the list is carried out; for each optional limit the results of the steps that open and write
its file; the lengths of the counters; then what was known beforehand, as JSON. In a record the counters follow.
"""

from __future__ import annotations

import struct

from paddock.launch import protocol
from paddock.launch.ending import Ending, Identity, build_record
from paddock.launch.plan import decode_place
from paddock.launch.protocol import FormatError, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.launch.plan import Plan
    from paddock.launch.summary import Summary

    Memory = bytes | bytearray | memoryview

FORMAT = 1
"""The first byte of each. A shim writes the one of the agent that made its plan, as long as its container lives."""
_KIND, _RECORD_KIND = b"PDK", b"PDR"
MARK = bytes((FORMAT,)) + _KIND
"""Of a word or a note. No JSON begins like this."""
RECORD_MARK = bytes((FORMAT,)) + _RECORD_KIND
FIXED = struct.Struct("4s2i36s2q2q2q4i512s512s")
"""Mark · whether the execve was reached · pid · boot id · start, end (wall clock: s, ns) · bytes of stdout and stderr · wait
status · where the JSON begins, and its bytes · nothing · /proc/self/stat of shim and of command."""
REACHED, PID, BOOT_ID, STARTED, ENDED, LOG_BYTES, WAIT_STATUS = 4, 8, 12, 48, 64, 80, 96
SHIM_STAT, COMMAND_STAT, STAT_BYTES = 112, 624, 512
_TIME = struct.Struct("2q")
_KNOWN = struct.Struct("2i")
_KNOWN_AT = 100
_STEPS = struct.Struct("2i")
_LENGTH = struct.Struct("i")
_SECOND_NS = 1_000_000_000
_OF_MESSAGE = (
    "event",
    "container_id",
    "pid",
    "start_time_ticks",
    "shim_pid",
    "cgroup",
    "unapplied",
    "started_ns",
)


def blank(plan: Plan) -> bytes:
    """To be filled in."""
    optional = [write for write in plan.writes if write.optional]
    known = protocol.encode(
        {
            "format": protocol.FORMAT,
            "agent_id": plan.agent_id,
            "container_id": plan.container_id,
            **remains_of(plan),
            "optional": [{"controller": w.controller, "file": w.file, "value": w.value} for w in optional],
        }
    )
    at = length_at(len(optional), len(plan.final_reads))
    content = bytearray(at + len(known))
    content[:4] = MARK
    content[BOOT_ID:STARTED] = plan.launcher.boot_id.encode().ljust(STARTED - BOOT_ID, b"\0")
    _KNOWN.pack_into(content, _KNOWN_AT, at, len(known))
    content[at:] = known
    return bytes(content)


def remains_of(plan: Plan | Summary) -> dict[str, object]:
    """What a note says of a container that runs, beside who it is: what somebody must know to end it."""
    oom = plan.oom_events
    return {
        "state": "running",
        "socket": plan.socket,
        "cgroup": plan.cgroup.to_json(),
        "final_reads": [{"controller": read.controller, "file": read.file} for read in plan.final_reads],
        "oom_events": None if oom is None else {"controller": oom.controller, "file": oom.file},
    }


def steps_at(index: int) -> int:
    """Where the results for this optional limit stand."""
    return FIXED.size + _STEPS.size * index


def length_at(optional_count: int, index: int) -> int:
    """Where the length of this counter stands, behind so many optional limits."""
    return steps_at(optional_count) + _LENGTH.size * index


def started_ns(memory: Memory, at: int = 0) -> int:
    """When the list was begun, by the wall clock."""
    return _time_at(memory, at + STARTED)


def ended_ns(memory: Memory, at: int = 0) -> int:
    """When the command's end was taken in, by the wall clock."""
    return _time_at(memory, at + ENDED)


def wait_status(memory: Memory, at: int = 0) -> int:
    """Of the command, as waitpid gives it."""
    return int(_LENGTH.unpack_from(memory, at + WAIT_STATUS)[0])


def log_bytes(memory: Memory, at: int = 0) -> tuple[int, int]:
    """How much of stdout and of stderr has been carried into their files."""
    written: tuple[int, int] = _TIME.unpack_from(memory, at + LOG_BYTES)
    return written


def was_reached(memory: Memory, at: int = 0) -> bool:
    """Whether the command's process has come to its execve."""
    return bool(_LENGTH.unpack_from(memory, at + REACHED)[0])


def times_of(memory: Memory, at: int = 0) -> tuple[int, int]:
    """Start times in ticks: the shim's, the command's."""
    *_rest, shim_stat, command_stat = FIXED.unpack_from(memory, at)
    return _field(shim_stat, 19), _field(command_stat, 19)


def _time_at(memory: Memory, at: int) -> int:
    seconds, nanoseconds = _TIME.unpack_from(memory, at)
    return int(seconds * _SECOND_NS + nanoseconds)


def _field(stat: bytes, number: int) -> int:
    """A field of /proc/<pid>/stat behind the command's name, which may itself hold spaces and parentheses; 0 when it is cut."""
    fields = stat[stat.rfind(b")") + 2 :].split()
    return int(fields[number]) if len(fields) > number and fields[number].isdigit() else 0


def is_one(content: bytes) -> bool:
    """Whether a list wrote this, be it a note or a record, in whichever format."""
    return content[1 : len(MARK)] in {_KIND, _RECORD_KIND}


def decode_message(content: bytes) -> dict[str, object]:
    """What a shim says, in whichever form. Raises ProtocolError."""
    if not is_one(content):
        return protocol.decode(content)
    fields = decode(content)
    if "state" not in fields:
        return {"event": protocol.EVENT_EXITED, "record": fields}
    return {key: fields[key] for key in _OF_MESSAGE}


def decode(content: bytes) -> dict[str, object]:
    """A note, or a record in the form of one that Python wrote. Raises ProtocolError."""
    known, optional, reads, end = _known(content)
    *_first, pid, boot_id, _s, _ns, _e, _ens, _out, _err, _status, _at, _n, _none, shim_stat, command_stat = (
        FIXED.unpack_from(content)
    )
    identity = Identity(str(known.get("agent_id")), str(known.get("container_id")), _text(boot_id.rstrip(b"\0")))
    shim_pid = shim_stat.partition(b" ")[0]
    identity.shim_pid = int(shim_pid) if shim_pid.isdigit() else 0
    identity.pid = pid
    identity.start_time_ticks = _field(command_stat, 19)
    identity.started_ns = started_ns(content)
    if content.startswith(RECORD_MARK):
        return _record(content, known, identity, _counters(content, len(optional), reads, end))
    return {
        **known,
        **identity.to_json(),
        "container_id": known.get("container_id"),
        "cgroup": known.get("cgroup"),
        "event": protocol.EVENT_STARTED if was_reached(content) else protocol.EVENT_DIED,
        "shim_start_time_ticks": _field(shim_stat, 19),
        "unapplied": _unapplied(content, optional),
    }


def _known(content: bytes) -> tuple[dict[str, object], list[object], list[object], int]:
    """The JSON, its optional limits and its reads, and where it ends."""
    if content[0] != FORMAT:
        raise FormatError("format", content[0], FORMAT)
    if len(content) < FIXED.size:
        raise ProtocolError("report", "is cut")
    at, size = _KNOWN.unpack_from(content, _KNOWN_AT)
    if at < FIXED.size or size < 0 or at + size > len(content):
        raise ProtocolError("report", "its JSON does not fit it")
    known = protocol.decode(content[at : at + size])
    optional = protocol.sequence(known.get("optional"), "optional")
    reads = protocol.sequence(known.get("final_reads"), "final_reads")
    if at != length_at(len(optional), len(reads)):
        raise ProtocolError("report", "its JSON stands elsewhere")
    return known, optional, reads, at + size


def _unapplied(content: bytes, optional: list[object]) -> list[dict[str, object]]:
    unapplied: list[dict[str, object]] = []
    for index, write in enumerate(optional):
        code = -min(_STEPS.unpack_from(content, steps_at(index)))
        if code > 0:
            unapplied.append({**protocol.mapping(write, "optional"), "errno": code})
    return unapplied


def _counters(content: bytes, optional_count: int, reads: list[object], begin: int) -> dict[str, str]:
    counters: dict[str, str] = {}
    for index, read in enumerate(reads):
        fields = protocol.mapping(read, "final_reads")
        controller, file = (protocol.text(fields.get(key), key, empty=True) for key in ("controller", "file"))
        (size,) = _LENGTH.unpack_from(content, length_at(optional_count, index))
        if size < 0 or begin + size > len(content):
            raise ProtocolError("report", "its counters are cut")
        counters[f"{controller}/{file}" if controller else file] = _text(content[begin : begin + size])
        begin += size
    return counters


def _record(
    content: bytes, known: dict[str, object], identity: Identity, counters: dict[str, str]
) -> dict[str, object]:
    ending = Ending()
    ending.counters = counters
    stdout_bytes, stderr_bytes = log_bytes(content)
    return build_record(
        identity,
        decode_place(known.get("cgroup"), identity.agent_id, identity.container_id),
        ending,
        ended_ns=ended_ns(content),
        wait_status=wait_status(content),
        logs={"stdout_bytes": stdout_bytes, "stderr_bytes": stderr_bytes, "dropped_bytes": 0},
    )


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")
