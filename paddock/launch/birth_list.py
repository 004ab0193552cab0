"""How a shim is born: a call list of the template's, so that a shim which waits for its order has not run a line of Python.

The template runs it again and again; what it writes into it in the child is the child's own copy.
"""

from __future__ import annotations

import struct

from paddock.kernel.call_list import CallList, result_of, value_at, within
from paddock.kernel.syscalls import CLONE_ARGUMENTS, CLONE_PARENT
from paddock.launch.orders import ORDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.kernel.call_runner import CallRunner

ORDERED = 0
"""What `run` returns in the shim. In the template: its pid, or the negative errno."""

_MESSAGE = struct.Struct("QQQQQQQ")
_VECTOR = struct.Struct("QQ")
_RIGHTS = struct.Struct("Qii2i")
"""One control message: its length, level and kind, and two descriptors."""
_INPUTS = struct.Struct("2i")
_PR_SET_NAME = 15
_MSG_CMSG_CLOEXEC = 0x40000000
_EX_FAILED = 1


class BirthList:
    """Made once. `close_fd`: what the shim must not keep of its template's."""

    __slots__ = ("_content_at", "_first", "_inputs_at", "_memory", "_rights_at", "_runner")

    def __init__(self, runner: CallRunner, close_fd: int) -> None:
        calls = CallList()
        inputs = calls.put(bytes(_INPUTS.size))
        content = calls.put(bytes(16))
        rights = calls.put(bytes(_RIGHTS.size + 8))
        vector = calls.put(_VECTOR.pack(content[2], 16))
        message = calls.put(_MESSAGE.pack(0, 0, vector[2], 1, rights[2], _RIGHTS.size, 0))
        prepared = calls.here
        for place, offset in ((vector, 0), (message, 16), (message, 32)):
            calls.relocate(within(place, offset), 1)
        calls.end()
        failed = calls.land()
        calls.call("exit_group", _EX_FAILED)
        unneeded = calls.land()
        calls.call("exit_group", 0)
        child = calls.here
        calls.call("prctl", _PR_SET_NAME, calls.text("paddock-shim"), 0, 0, 0)
        calls.call("close", close_fd)
        # Nobody orders: the launcher needs this shim no more, or has died.
        calls.call("recvmsg", value_at(inputs), message, _MSG_CMSG_CLOEXEC, fail=failed, zero=unneeded)
        calls.call("close", value_at(inputs))
        calls.end(ORDERED)
        self._first = calls.here
        # A sibling's end is signalled as the template's own is; the kernel refuses a word about it.
        arguments = calls.put(CLONE_ARGUMENTS.pack(CLONE_PARENT, *(0,) * 10))
        cloned = calls.call("clone3", arguments, CLONE_ARGUMENTS.size, zero=child)
        calls.end(result_of(cloned))
        self._runner = runner
        self._memory = calls.to_bytes()
        size = calls.size
        self._inputs_at, self._content_at, self._rights_at = size + inputs[2], size + content[2], size + rights[2]
        runner.run(self._memory, prepared)

    def run(self, order_fd: int) -> int:
        """Bear a shim that waits at `order_fd`; returns in the template at once, and in the shim when it is ordered."""
        _INPUTS.pack_into(self._memory, self._inputs_at, order_fd, 0)
        return self._runner.run(self._memory, self._first)

    def ordered(self) -> tuple[int, int]:
        """In the shim: the plan's descriptor, and the agent's connection. Raises ValueError when that was no order."""
        _length, _level, _kind, plan_fd, control_fd = _RIGHTS.unpack_from(self._memory, self._rights_at)
        if self._memory[self._content_at : self._content_at + len(ORDER)] != ORDER:
            raise ValueError("this is no order")
        return plan_fd, control_fd
