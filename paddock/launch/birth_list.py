"""How a shim is born: a call list of the template's, so that a shim has not run a line of Python before its plan's list ends.

The template runs it again and again; what it writes into it in the child is the child's own copy.
"""

from __future__ import annotations

import struct

from paddock.kernel.call_list import CallList, result_of, value_at, within
from paddock.kernel.mapping import ADDRESS, FLAGS, PROTECTION
from paddock.kernel.syscalls import CLONE_ARGUMENTS, CLONE_PARENT
from paddock.launch.launch_list import INPUTS_AT
from paddock.launch.orders import MARK, ORDER, Order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.kernel.call_list import Place
    from paddock.kernel.call_runner import CallRunner
    from paddock.launch.container import Init

ORDERED = 1 << 33
"""What `run` returns in a shim that has only been ordered. Greater than any pid, and none of the ends of a launch's list."""

_MESSAGE = struct.Struct("QQQQQQQ")
_VECTOR = struct.Struct("QQ")
_RIGHTS = struct.Struct("Qii2i")
"""One control message: its length, level and kind, and two descriptors."""
_PLAN_FD = 16
_CONTENT_BYTES = 16
_INPUTS = struct.Struct("4i")
_PR_SET_NAME = 15
_MSG_CMSG_CLOEXEC = 0x40000000
_EX_FAILED = 1


class BirthList:
    """Made once. `close_fd`: what the shim must not keep of its template's."""

    __slots__ = ("_content_at", "_first", "_inputs_at", "_memory", "_rights_at", "_runner")

    def __init__(self, runner: CallRunner, close_fd: int) -> None:
        calls = CallList()
        inputs = calls.put(bytes(_INPUTS.size))
        content = calls.put(bytes(_CONTENT_BYTES))
        rights = calls.put(bytes(_RIGHTS.size + 8))
        vector = calls.put(_VECTOR.pack(content[2], _CONTENT_BYTES))
        message = calls.put(_MESSAGE.pack(0, 0, vector[2], 1, rights[2], _RIGHTS.size, 0))
        prepared = calls.here
        for place, offset in ((vector, 0), (message, 16), (message, 32)):
            calls.relocate(within(place, offset), 1)
        calls.end()
        failed = calls.land()
        calls.call("exit_group", _EX_FAILED)
        unneeded = calls.land()
        calls.call("exit_group", 0)
        self._first: list[int] = []
        for goes_on in (False, runner.shares_memory):
            child = calls.here
            calls.call("prctl", _PR_SET_NAME, calls.text("paddock-shim"), 0, 0, 0)
            calls.call("close", close_fd)
            # Nobody orders: the launcher needs this shim no more, or has died.
            calls.call("recvmsg", value_at(inputs), message, _MSG_CMSG_CLOEXEC, fail=failed, zero=unneeded)
            calls.call("close", value_at(inputs))
            if goes_on:
                _go_on(calls, inputs, content, rights)
            calls.end(ORDERED)
            self._first.append(calls.here)
            # A sibling's end is signalled as the template's own is; the kernel refuses a word about it.
            arguments = calls.put(CLONE_ARGUMENTS.pack(CLONE_PARENT, *(0,) * 10))
            cloned = calls.call("clone3", arguments, CLONE_ARGUMENTS.size, zero=child)
            calls.end(result_of(cloned))
        self._runner = runner
        self._memory = calls.to_bytes()
        size = calls.size
        self._inputs_at, self._content_at, self._rights_at = size + inputs[2], size + content[2], size + rights[2]
        runner.run(self._memory, prepared)

    def run(self, order_fd: int, init: Init | None) -> int:
        """Bear a shim that waits at `order_fd`.

        Returns in the template at once: its pid, or the negative errno. In the shim, when it is ordered: how its plan's list
        has ended, or ORDERED.
        """
        init_fds = (-1, -1) if init is None else (init.pidfd, init.lifeline_fd)
        _INPUTS.pack_into(self._memory, self._inputs_at, order_fd, *init_fds, 0)
        # What needs an init and has none is Python's to refuse.
        return self._runner.run(self._memory, self._first[init is not None])

    def order(self, code: int) -> Order:
        """In the shim, with what `run` returned. Raises ValueError when that was no order."""
        mark, size, _first = ORDER.unpack_from(self._memory, self._content_at)
        if mark != MARK:
            raise ValueError("this is no order")
        _length, _level, _kind, plan_fd, connection_fd = _RIGHTS.unpack_from(self._memory, self._rights_at)
        order = Order(plan_fd, connection_fd)
        order.size = size
        order.code = None if code == ORDERED else code
        return order


def _go_on(calls: CallList, inputs: Place, content: Place, rights: Place) -> None:
    """Right into the plan's list, mapped at its place; where that fails, Python reads it."""
    calls.compare(content, calls.put(MARK), len(MARK), calls.here + 3)
    unmapped = calls.land()
    calls.end(ORDERED)
    plan_fd, connection_fd = value_at(rights, _PLAN_FD), value_at(rights, _PLAN_FD + 4)
    calls.call("mmap", ADDRESS, value_at(content, 4), PROTECTION, FLAGS, plan_fd, 0, fail=unmapped)
    for index, fd in enumerate((value_at(inputs, 4), value_at(inputs, 8), connection_fd, plan_fd)):
        calls.store(fd, ADDRESS + INPUTS_AT + 4 * index)
    calls.enter(ADDRESS, value_at(content, 8))
