"""How a shim is born, and how it waits: a call list of the template's, so that a shim has not run a line of Python before its
first plan's list ends.

The template runs it again and again; what is written into it in the child is the child's own copy. A plan's list that has
come to its end, with nothing left to do, goes back into this one (at AGAIN_AT), and the shim waits for its next order: of the
last container it keeps neither memory nor descriptor. One in which Python has run ends with its container.
"""

from __future__ import annotations

import os
import struct

from paddock.kernel.call_list import INSTRUCTION_BYTES, CallList, result_of, value_at, within
from paddock.kernel.mapping import ADDRESS, AGAIN_AT, FLAGS, PROTECTION
from paddock.kernel.namespaces import CLONE_NEWPID
from paddock.kernel.syscalls import CLONE_ARGUMENTS, CLONE_PARENT
from paddock.launch.command_list import KEYCTL_JOIN_SESSION_KEYRING, WITHOUT_KEYRINGS
from paddock.launch.container import Init
from paddock.launch.launch_list import INPUTS_AT
from paddock.launch.orders import MARK, ORDER, Order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.kernel.call_list import Place
    from paddock.launch.host import Host

ORDERED = 1 << 33
"""What `run` returns in a shim that has only been ordered. Greater than any pid, and none of the ends of a launch's list."""
FREE = b"F"
"""A shim's word to the launcher: its container is over and done with, and it waits for the next."""

_MESSAGE = struct.Struct("QQQQQQQ")
_CONTROL_BYTES_AT = 40
_VECTOR = struct.Struct("QQ")
_RIGHTS = struct.Struct("Qii4i")
"""One control message: its length, level and kind, and at most four descriptors."""
_PLAN, _CONNECTION, _INIT, _LIFELINE = (16 + 4 * index for index in range(4))
_CONTENT_SIZE_AT = 4
_CONTENT_FIRST_AT = 8
_INT = struct.Struct("i")
_PR_SET_NAME = 15
_MSG_CMSG_CLOEXEC = 0x40000000
_MSG_DONTWAIT_NOSIGNAL = 0x40 | 0x4000
_ALL_FDS = 0xFFFFFFFF
_WAIT_NOHANG_ALL = 1 | 0x40000000
_EX_FAILED = 1


class BirthList:
    """Made once, in the template.

    `connection_fd`: the template's own connection. In a shim its number is the order socket's; what a launch opens has
    greater ones.
    """

    __slots__ = (
        "_birth",
        "_connection_fd",
        "_content_at",
        "_is_left_at",
        "_memory",
        "_order_at",
        "_rights_at",
        "_runner",
    )

    def __init__(self, host: Host, connection_fd: int) -> None:
        calls = CallList()
        order, is_left = calls.put(bytes(_INT.size)), calls.put(bytes(_INT.size))
        content, rights = calls.put(bytes(ORDER.size)), calls.put(bytes(_RIGHTS.size))
        vector = calls.put(_VECTOR.pack(content[2], ORDER.size))
        message = calls.put(_MESSAGE.pack(0, 0, vector[2], 1, rights[2], _RIGHTS.size, 0))
        failed = calls.land()
        calls.call("exit_group", _EX_FAILED)
        unneeded = calls.land()
        calls.call("exit_group", 0)
        if calls.here * INSTRUCTION_BYTES != AGAIN_AT:
            raise ValueError(f"AGAIN_AT: the shims' waiting list goes on at {calls.here * INSTRUCTION_BYTES}")
        _let_go_of_the_last(calls, is_left, content, connection_fd, unneeded)
        wait = calls.here
        for at in (_INIT, _LIFELINE):
            calls.store(-1, within(rights, at))
        calls.store(_RIGHTS.size, within(message, _CONTROL_BYTES_AT))
        # Nobody orders: the launcher needs this shim no more, or has died.
        calls.call("recvmsg", connection_fd, message, _MSG_CMSG_CLOEXEC, fail=failed, zero=unneeded)
        if host.waiting is not None:
            _go_on(calls, content, rights)
        calls.end(ORDERED)
        child = calls.here
        calls.call("prctl", _PR_SET_NAME, calls.text("paddock-shim"), 0, 0, 0)
        calls.call("dup3", value_at(order), connection_fd, os.O_CLOEXEC)
        calls.call("close", value_at(order))
        calls.land(wait)
        self._birth = calls.here
        # A sibling's end is signalled as the template's own is; the kernel refuses a word about it.
        arguments = calls.put(CLONE_ARGUMENTS.pack(CLONE_PARENT, *(0,) * 10))
        cloned = calls.call("clone3", arguments, CLONE_ARGUMENTS.size, zero=child)
        calls.end(result_of(cloned))
        prepared = calls.here
        for place, offset in ((vector, 0), (message, 16), (message, 32)):
            calls.relocate(within(place, offset), 1)
        calls.end()
        made = calls.to_bytes()
        self._memory: bytearray | memoryview = made
        if host.waiting is not None:
            host.waiting[: len(made)] = made
            self._memory = host.waiting
        self._runner = host.runner
        self._connection_fd = connection_fd
        places = (order, is_left, content, rights)
        self._order_at, self._is_left_at, self._content_at, self._rights_at = (
            calls.size + place[2] for place in places
        )
        self._runner.run(self._memory, prepared)

    def run(self, order_fd: int) -> int:
        """Bear a shim that waits at `order_fd`.

        Returns in the template at once: its pid, or the negative errno. In the shim, when it is ordered: how a plan's list has
        ended, or ORDERED.
        """
        _INT.pack_into(self._memory, self._order_at, order_fd)
        return self._runner.run(self._memory, self._birth)

    def order(self, code: int) -> Order:
        """In the shim, with what `run` returned: from now on it is Python's. Raises ValueError when that was no order."""
        _INT.pack_into(self._memory, self._is_left_at, 1)
        os.close(self._connection_fd)
        mark, size, _first, init_pid = ORDER.unpack_from(self._memory, self._content_at)
        if mark != MARK:
            raise ValueError("this is no order")
        _length, _level, _kind, plan_fd, connection_fd, *init_fds = _RIGHTS.unpack_from(self._memory, self._rights_at)
        order = Order(plan_fd, connection_fd)
        order.size = size
        order.code = None if code == ORDERED else code
        order.init = Init(init_pid, *init_fds) if init_pid else None
        return order


def _let_go_of_the_last(calls: CallList, is_left: Place, content: Place, connection_fd: int, unneeded: int) -> None:
    """Nothing of the last container is kept; where something is, or cannot be let go of, the shim ends as it would have."""
    calls.compare(is_left, calls.put(bytes(_INT.size)), _INT.size, calls.here + 2)
    calls.land(unneeded)
    # A command may have made children of ours (CLONE_PARENT): they end with us, or nobody ever takes them.
    alone = calls.here + 3
    calls.call("wait4", -1, 0, _WAIT_NOHANG_ALL, 0, fail=alone)
    calls.land(unneeded)
    without_keyrings = calls.errors(*WITHOUT_KEYRINGS)
    calls.land()
    # A command of root's may have made its session keyring ours (KEYCTL_SESSION_TO_PARENT).
    calls.call("keyctl", KEYCTL_JOIN_SESSION_KEYRING, 0, fail=unneeded, ignored=without_keyrings)
    # Its next child is to be born in the host's PID namespace, or in another container's: the last one's is dead.
    own = calls.call("pidfd_open", result_of(calls.call("getpid")), 0, fail=unneeded)
    calls.call("setns", result_of(own), CLONE_NEWPID, fail=unneeded)
    # The connection's end tells the agent that the record is durable.
    calls.call("close_range", connection_fd + 1, _ALL_FDS, 0, fail=unneeded)
    calls.call("munmap", ADDRESS, value_at(content, _CONTENT_SIZE_AT), fail=unneeded)
    calls.call("sendto", connection_fd, calls.put(FREE), len(FREE), _MSG_DONTWAIT_NOSIGNAL, 0, 0, fail=unneeded)


def _go_on(calls: CallList, content: Place, rights: Place) -> None:
    """Right into the plan's list, mapped at its place; where that fails, Python reads it, or refuses it."""
    calls.compare(content, calls.put(MARK), len(MARK), calls.here + 3)
    unmapped = calls.land()
    calls.end(ORDERED)
    calls.compare(within(rights, _INIT), calls.put(_INT.pack(-1)), _INT.size, unmapped)
    plan_fd, size = value_at(rights, _PLAN), value_at(content, _CONTENT_SIZE_AT)
    calls.call("mmap", ADDRESS, size, PROTECTION, FLAGS, plan_fd, 0, fail=unmapped)
    for index, at in enumerate((_INIT, _LIFELINE, _CONNECTION, _PLAN)):
        calls.store(value_at(rights, at), ADDRESS + INPUTS_AT + _INT.size * index)
    calls.enter(ADDRESS, value_at(content, _CONTENT_FIRST_AT))
