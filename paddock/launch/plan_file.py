"""A plan on its way to its shim: the launch as a call list, what the shim keeps in mind, and the plan itself, in one memfd.

The shim carries the list out as it comes, and reads the plan only to say what has failed. Format 1: instruction 0 of the list
is the header. After its first word: the mark with the format; the first step, and whether memory is shared; the lengths of
list, summary and plan; where the inputs, the outcome behind them, and the report stand. Then come summary and plan, both JSON.
"""

from __future__ import annotations

import os
import struct

from paddock.kernel.descriptors import check_sealed
from paddock.kernel.errors import KernelError
from paddock.launch import plan, protocol, report
from paddock.launch.launch_list import INPUTS, OUTCOME, LaunchList
from paddock.launch.protocol import ProtocolError
from paddock.launch.summary import Summary, summary_json

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
    summary = protocol.encode(summary_json(planned, made))
    at = made.calls.size
    lengths = (made.calls.length, len(summary), len(content))
    first = made.first | made.shares_memory << _SHARES_BIT
    made.calls.set_header(_MARK | protocol.FORMAT, first, *lengths, at + made.inputs[2], at + made.report[2])
    return bytes(made.to_bytes()) + summary + content


class PlanFile:
    """`memory` is the list's own, and is written to while it is carried out. Owns `fd`, unless it is -1."""

    __slots__ = ("_lengths", "fd", "first", "inputs_at", "memory", "outcome_at", "report_at", "shares_memory")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        size = check_sealed(fd, _MAX_BYTES)
        self.memory = bytearray(size)
        os.preadv(fd, [self.memory], 0)
        if size < _HEADER.size:
            raise ProtocolError("plan", "is too short")
        _word, mark, first, *lengths, self.inputs_at, self.report_at = _HEADER.unpack_from(self.memory)
        self.shares_memory = bool(first >> _SHARES_BIT & 1)
        self.first = first & ~(1 << _SHARES_BIT)
        self.outcome_at = self.inputs_at + INPUTS.size
        if mark & ~0xFF != _MARK:
            raise ProtocolError("plan", "is none")
        if mark & 0xFF != protocol.FORMAT:
            raise ProtocolError("format", f"must be {protocol.FORMAT}, not {mark & 0xFF}")
        self._lengths = lengths
        places = (self.first * 64 + 64, self.outcome_at + OUTCOME.size, self.report_at + report.FIXED.size)
        if sum(lengths) != size or max(places) > lengths[0]:
            raise ProtocolError("plan", "its header does not fit it")

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
