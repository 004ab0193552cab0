"""A plan on its way to its shim: the launch as a call list, what the shim keeps in mind, and the plan itself, in one memfd.

The shim carries the list out as it comes, and reads the plan only to say what has failed. Format 5: instruction 0 of the list
is the header. After its first word: the mark with the format; the first step, and whether memory is shared; the lengths of
list, summary and plan; where report and outcome stand. Behind it are the inputs. Summary and plan are JSON.
"""

from __future__ import annotations

import os
import struct

from paddock.kernel.descriptors import check_sealed
from paddock.kernel.errors import KernelError
from paddock.kernel.mapping import Mapping
from paddock.launch import plan, protocol, report
from paddock.launch.launch_list import OUTCOME, LaunchList
from paddock.launch.protocol import FormatError, ProtocolError
from paddock.launch.summary import Summary

FORMAT = 5
"""Of the file, with the list's steps and the report in it: what a launcher of another build cannot carry out, it refuses.

(The plan in it has its own.) Who changes the layout of any of these counts this up: agents replace such a launcher.
"""
_HEADER = struct.Struct("8Q")
_MARK = 0x50444B << 8
"""PDK, and below it the format."""
# Beside the first step: whether the command's child shares its shim's memory.
_SHARES_BIT = 32
# The plan, the same strings in the list, and what comes with them.
_MAX_BYTES = 3 * protocol.MAX_PLAN_BYTES


def seal(document: dict[str, object]) -> bytes:
    """The file of a plan, checked field by field. Raises ProtocolError naming the first field that is wrong."""
    planned = plan.decode_plan(document)
    content = protocol.encode(document)
    if len(content) > protocol.MAX_PLAN_BYTES:
        problem = (
            f"the plan has {len(content)} bytes, at most {protocol.MAX_PLAN_BYTES}: give fewer or shorter arguments"
        )
        raise ProtocolError("argv", problem)
    try:
        made = LaunchList(planned)
    except KernelError as error:
        raise ProtocolError("argv", str(error)) from None
    summary = protocol.encode(_summary_of(planned, made))
    lengths = (made.calls.length, len(summary), len(content))
    first = made.first | made.shares_memory << _SHARES_BIT
    places = (made.calls.size + place[2] for place in (made.report, made.outcome))
    made.calls.set_header(_MARK | FORMAT, first, *lengths, *places)
    return bytes(made.to_bytes()) + summary + content


def _summary_of(planned: plan.Plan, made: LaunchList) -> dict[str, object]:
    """The part of the plan, and of the list made from it, that outlives the start."""
    oom_events = planned.oom_events
    return {
        "agent_id": planned.agent_id,
        "container_id": planned.container_id,
        "record": planned.record,
        "socket": planned.socket,
        "sandbox": planned.sandbox,
        "program": planned.command.argv[0][:256],
        "namespaces": planned.namespaces,
        "cgroup": (planned.cgroup.mode, planned.cgroup.directories),
        "final_reads": [(read.controller, read.file) for read in planned.final_reads],
        "oom_events": None if oom_events is None else (oom_events.controller, oom_events.file),
        "kill": (planned.kill.signal, planned.kill.grace_ms),
        "log_limits": (planned.log_limits.file_bytes, planned.log_limits.file_count),
        "max_completion_ms": planned.max_completion_ms,
        "barrier": planned.barrier,
        "stand_in": planned.stand_in,
        "optional": [(write.controller, write.file, write.value, *steps) for write, *steps in made.optional],
        "opened_logs": list(zip((planned.stdout, planned.stderr), made.opened_logs, strict=True)),
        "allocated": made.allocated,
    }


class Header:
    """Checked. `first`: the first step. Raises ProtocolError."""

    __slots__ = ("first", "lengths", "outcome_at", "report_at", "shares_memory")

    def __init__(self, content: bytes | bytearray | memoryview, size: int) -> None:
        """`content`: at least the file's beginning; `size`: the file's."""
        if min(size, len(content)) < _HEADER.size:
            raise ProtocolError("plan", "is too short")
        _word, mark, first, *self.lengths, self.report_at, self.outcome_at = _HEADER.unpack_from(content)
        self.shares_memory = bool(first >> _SHARES_BIT & 1)
        self.first = first & ~(1 << _SHARES_BIT)
        if mark & ~0xFF != _MARK:
            raise ProtocolError("plan", "is none")
        if mark & 0xFF != FORMAT:
            raise FormatError("format", mark & 0xFF, FORMAT)
        places = (self.first * 64 + 64, self.outcome_at + OUTCOME.size, self.report_at + report.FIXED.size)
        if sum(self.lengths) != size or max(places) > self.lengths[0]:
            raise ProtocolError("plan", "its header does not fit it")


def read_header(fd: int) -> tuple[Header, int]:
    """And the file's size; no more of it is looked at. Raises ProtocolError or KernelError."""
    size = check_sealed(fd, _MAX_BYTES)
    return Header(os.pread(fd, _HEADER.size, 0), size), size


class PlanFile:
    """`memory` is the list's own, and is written to while it is carried out. Owns `fd`, unless it is -1."""

    __slots__ = ("_lengths", "_mapping", "fd", "first", "memory", "outcome_at", "report_at", "shares_memory")

    def __init__(self, fd: int, mapping: Mapping | None = None) -> None:
        """`mapping`: the file, where its list has been carried out there already."""
        self.fd = fd
        self._mapping = mapping
        self.memory: bytearray | memoryview
        if mapping is None:
            self.memory = bytearray(check_sealed(fd, _MAX_BYTES))
            os.preadv(fd, [self.memory], 0)
        else:
            self.memory = mapping.memory
        header = Header(self.memory, len(self.memory))
        self.first, self.shares_memory = header.first, header.shares_memory
        self.report_at, self.outcome_at, self._lengths = header.report_at, header.outcome_at, header.lengths

    def read_summary(self) -> Summary:
        """What the shim keeps: to be read after the list has been carried out, which may take a container's whole life."""
        return Summary(self._read(self._lengths[0], self._lengths[1]))  # type: ignore[arg-type]

    def _read(self, begin: int, size: int) -> dict[str, object]:
        return protocol.decode(bytes(self.memory[begin : begin + size]), protocol.MAX_PLAN_BYTES)

    def read_plan(self) -> plan.Plan:
        """The plan itself; raises ProtocolError."""
        return plan.decode_plan(self._read(self._lengths[0] + self._lengths[1], self._lengths[2]))

    def close(self) -> None:
        """The memory stays."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def restore(self) -> None:
        """As if the list had not been carried out."""
        os.preadv(self.fd, [self.memory], 0)
