"""What a launch's list writes down by itself: the shim's word that the command runs, and the note for a sweep, in one.

A fixed part, filled in while the list is carried out; then, for each optional limit, the results of the steps that open and
write its file; then what was known beforehand, as JSON.
"""

from __future__ import annotations

import struct

from paddock.launch import protocol
from paddock.launch.protocol import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.launch.plan import Plan

MARK = b"\1PDK"
"""No JSON begins like this."""
FIXED = struct.Struct("4sii36sq512s512s")
"""Mark · whether the execve was reached · pid · boot id · start in ns (wall clock) · /proc/self/stat of shim and of command."""
REACHED, PID, SHIM_STAT, COMMAND_STAT, STAT_BYTES = 4, 8, 56, 568, 512
_START = struct.Struct("=36sq")
_START_AT = 12
_STEPS = struct.Struct("2i")
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
    oom = plan.oom_events
    known = {
        "format": protocol.FORMAT,
        "state": "running",
        "agent_id": plan.agent_id,
        "container_id": plan.container_id,
        "socket": plan.socket,
        "cgroup": plan.cgroup.to_json(),
        "final_reads": [{"controller": read.controller, "file": read.file} for read in plan.final_reads],
        "oom_events": None if oom is None else {"controller": oom.controller, "file": oom.file},
        "optional": [{"controller": w.controller, "file": w.file, "value": w.value} for w in optional],
    }
    return FIXED.pack(MARK, 0, 0, b"", 0, b"", b"") + bytes(_STEPS.size * len(optional)) + protocol.encode(known)


def steps_at(index: int) -> int:
    """Where the results for this optional limit stand."""
    return FIXED.size + _STEPS.size * index


def set_start(memory: bytearray, at: int, boot_id: str, started_ns: int) -> None:
    """What only the shim knows."""
    _START.pack_into(memory, at + _START_AT, boot_id.encode(), started_ns)


def started_ns(memory: bytes | bytearray, at: int = 0) -> int:
    """When the list was begun, by the wall clock."""
    return int(_START.unpack_from(memory, at + _START_AT)[1])


def was_reached(memory: bytes | bytearray, at: int = 0) -> bool:
    """Whether the command's process has come to its execve."""
    return bool(FIXED.unpack_from(memory, at)[1])


def times_of(memory: bytes | bytearray, at: int = 0) -> tuple[int, int]:
    """Start times in ticks: the shim's, the command's."""
    *_rest, shim_stat, command_stat = FIXED.unpack_from(memory, at)
    return _field(shim_stat, 19), _field(command_stat, 19)


def _field(stat: bytes, number: int) -> int:
    """A field of /proc/<pid>/stat behind the command's name, which may itself hold spaces and parentheses; 0 when it is cut."""
    fields = stat[stat.rfind(b")") + 2 :].split()
    return int(fields[number]) if len(fields) > number and fields[number].isdigit() else 0


def decode_message(content: bytes) -> dict[str, object]:
    """What a shim says, in whichever form. Raises ProtocolError."""
    if not content.startswith(MARK):
        return protocol.decode(content)
    fields = decode_note(content)
    return {key: fields[key] for key in _OF_MESSAGE}


def decode_note(content: bytes) -> dict[str, object]:
    """All of it. Raises ProtocolError."""
    if len(content) < FIXED.size:
        raise ProtocolError("report", "is cut")
    begin = content.find(b"{", FIXED.size)
    # The results before it may hold any byte: the right beginning is the one with as many of them as it tells of.
    while begin >= 0:
        try:
            known = protocol.decode(content[begin:].rstrip(b"\0"))
        except ProtocolError:
            known = {}
        optional = known.get("optional")
        if isinstance(optional, list) and begin == steps_at(len(optional)):
            return _with_results(content, known, optional)
        begin = content.find(b"{", begin + 1)
    raise ProtocolError("report", "is none")


def _with_results(content: bytes, known: dict[str, object], optional: list[object]) -> dict[str, object]:
    _mark, reached, pid, boot_id, started_ns, shim_stat, command_stat = FIXED.unpack_from(content)
    unapplied = []
    for index, write in enumerate(optional):
        code = -min(_STEPS.unpack_from(content, steps_at(index)))
        if code > 0:
            unapplied.append({**protocol.mapping(write, "optional"), "errno": code})
    shim_pid = shim_stat.partition(b" ")[0]
    return {
        **known,
        "container_id": known.get("container_id"),
        "cgroup": known.get("cgroup"),
        "event": protocol.EVENT_STARTED if reached else protocol.EVENT_DIED,
        "boot_id": boot_id.rstrip(b"\0").decode("ascii", "replace"),
        "shim_pid": int(shim_pid) if shim_pid.isdigit() else 0,
        "shim_start_time_ticks": _field(shim_stat, 19),
        "pid": pid,
        "start_time_ticks": _field(command_stat, 19),
        "started_ns": started_ns,
        "unapplied": unapplied,
    }
