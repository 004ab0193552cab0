"""Shims and inits made in advance, so that a launch forks nothing but the command itself.

A shim whose container has ended without anything of note waits again: a fork costs more than the whole of its work.
"""

from __future__ import annotations

import errno
import os
import select
import time

from paddock.kernel.errors import KernelError
from paddock.launch.birth_list import FREE
from paddock.launch.launcher_log import log
from paddock.launch.template import Template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from paddock.launch.container import Init
    from paddock.launch.host import Host
    from paddock.launch.init_maker import InitMaker
    from paddock.launch.orders import Launch
    from paddock.launch.sockets import Socket

_QUIET_MS = 10
_FIRST_REST_NS = 1_000_000_000
_LONGEST_REST_NS = 60_000_000_000
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class Nursery:
    """`size` shims and as many inits that wait, and up to twice as many shims where several came back at once.

    A shim ends when its order socket is closed, an init when its lifeline is.
    """

    def __init__(self, size: int, inits: InitMaker, host: Host) -> None:
        self._size = size
        self._maker = inits
        self._inits: dict[int, Init] = {}
        self._template = Template(host)
        # By pid; those with a container are not in `_waiting`.
        self._orders: dict[int, Socket] = {}
        self._pids: dict[int, int] = {}
        self._waiting: list[int] = []
        self._rest_ns = self._next_refill_ns = 0
        self._freed = select.epoll()
        self.freed_fd = self._freed.fileno()
        # The kernel tells of every change of the mount table, by POLLERR.
        self.mounts_fd = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._mounts_changed = select.poll()
        self._mounts_changed.register(self.mounts_fd, select.POLLPRI)

    def __len__(self) -> int:
        return min(len(self._waiting), len(self._inits))

    def patience_ms(self) -> int | None:
        """How long to wait for something else to do before the next refill; None when as many wait as were asked for.

        A refill beside a launch takes the processor from it: while half are left, it waits for a quiet moment; and after one
        that failed longer and longer.
        """
        if len(self) >= self._size:
            return None
        rest_ns = self._next_refill_ns - time.monotonic_ns()
        if rest_ns > 0:
            return rest_ns // 1_000_000 + 1
        return _QUIET_MS if len(self) * 2 > self._size else 0

    def order(self, launch: Launch) -> int:
        """Give it to a waiting shim, or to a new one; returns its pid. Raises OSError when none can be made.

        Not with an init whose mount namespace is no longer a copy of ours: a disk mounted since would be missing in it, and
        one unmounted since would be kept busy.
        """
        if self._mounts_changed.poll(0):
            self.end_inits()
        if not self._inits:
            self._make_init_or_none()
        init = self._inits.popitem()[1] if self._inits else None
        try:
            return self._send(launch, init)
        finally:
            if init is not None:
                _let_go(init)

    def _send(self, launch: Launch, init: Init | None) -> int:
        while True:
            if not self._waiting:
                self._bear()
            # The one that came back last has its pages in the processor's cache still.
            pid = self._waiting[-1]
            try:
                launch.send(self._orders[pid], init)
            except (BrokenPipeError, ConnectionResetError):
                log("waiting-shim-lost", shim=pid)
                self._drop(pid)
                continue
            return self._waiting.pop()

    def free(self) -> list[int]:
        """The shims that have said so since: each waits again, or ends where enough do."""
        freed = []
        for fd, _events in self._freed.poll(0):
            pid = self._pids[fd]
            if _hear(self._orders[pid]) == FREE:
                freed.append(pid)
                self._waiting.append(pid)
            else:
                self._drop(pid)
        while len(self._waiting) > 2 * self._size:
            self._drop(self._waiting[0])
        return freed

    def forget(self, pid: int) -> None:
        """A child has ended."""
        if pid in self._orders:
            self._drop(pid)
        elif init := self._inits.pop(pid, None):
            _let_go(init)

    def refill(self) -> None:
        """One more of each that lacks. What cannot be made the next launch tries again, and says so to whom it concerns."""
        if len(self._inits) < self._size:
            self._try(self._make_init)
        if len(self._waiting) < self._size:
            self._try(self._bear)

    def _try(self, make: Callable[[], None]) -> None:
        try:
            make()
        except OSError as error:
            log("refill-failed", error=str(error))
            self._rest_ns = min(max(self._rest_ns * 2, _FIRST_REST_NS), _LONGEST_REST_NS)
            self._next_refill_ns = time.monotonic_ns() + self._rest_ns
        else:
            self._rest_ns = 0

    def _bear(self) -> None:
        order, pid = self._template.bear()
        self._orders[pid] = order
        self._pids[order.fileno()] = pid
        self._freed.register(order.fileno(), select.EPOLLIN)
        self._waiting.insert(0, pid)

    def _drop(self, pid: int) -> None:
        """It ends when it has no container, or when that has ended."""
        order = self._orders.pop(pid)
        del self._pids[order.fileno()]
        # Closing is not enough: an init has its starter's descriptors for a moment after its start.
        self._freed.unregister(order.fileno())
        order.close()
        if pid in self._waiting:
            self._waiting.remove(pid)

    def _make_init(self) -> None:
        init = self._maker.make()
        self._inits[init.pid] = init

    def _make_init_or_none(self) -> None:
        """None where the kernel makes no PID namespace: a plan that needs one is then refused, by name."""
        try:
            self._make_init()
        except KernelError as error:
            if error.errno in _EXHAUSTED:
                raise
            log("no-init", error=str(error))

    def end_inits(self) -> None:
        """All that wait."""
        while self._inits:
            _let_go(self._inits.popitem()[1])

    def end(self) -> None:
        """End what waits, and the template. A shim with a container ends after that."""
        self.end_inits()
        for pid in list(self._orders):
            self._drop(pid)
        self._template.close()


def _hear(order: Socket) -> bytes:
    try:
        return order.recv(len(FREE))
    except ConnectionResetError:
        # It has died with an order that it had not read.
        return b""


def _let_go(init: Init) -> None:
    """Whoever was given it has copies; else it ends."""
    os.close(init.pidfd)
    os.close(init.lifeline_fd)
