"""Shims made in advance: each waits with its init, so that a launch forks nothing but the command itself."""

from __future__ import annotations

import errno
import os
import select
import socket

from paddock.kernel.errors import KernelError
from paddock.launch import orders
from paddock.launch.launcher_log import log
from paddock.launch.template import Template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.launch.container import Init
    from paddock.launch.host import Host
    from paddock.launch.init_maker import InitMaker

_QUIET_MS = 10
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class Nursery:
    """`size` shims that wait. One that is not ordered ends when its order socket is closed, and its init with it."""

    def __init__(self, size: int, inits: InitMaker, host: Host) -> None:
        self._size = size
        self._inits = inits
        self._template = Template(host)
        self._waiting: dict[int, socket.socket] = {}
        # The kernel tells of every change of the mount table, by POLLERR.
        self.mounts_fd = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._mounts_changed = select.poll()
        self._mounts_changed.register(self.mounts_fd, select.POLLPRI)

    def __len__(self) -> int:
        return len(self._waiting)

    def patience_ms(self) -> int | None:
        """How long to wait for something else to do before the next refill; None when as many wait as were asked for.

        A refill beside a launch takes the processor from it: while half are left, it waits for a quiet moment.
        """
        if len(self._waiting) >= self._size:
            return None
        return _QUIET_MS if len(self._waiting) * 2 > self._size else 0

    def order(self, content: bytes, plan_fd: int, control: socket.socket) -> int:
        """Give the launch to a waiting shim, or to a new one; returns its pid. Raises OSError when none can be made.

        Not to one whose mount namespace is no longer a copy of ours: a disk mounted since would be missing in it, and one
        unmounted since would be kept busy.
        """
        if self._mounts_changed.poll(0):
            self.close()
        while True:
            if not self._waiting:
                self.refill()
            pid = next(iter(self._waiting))
            with self._waiting.pop(pid) as order:
                try:
                    orders.send_order(order, content, plan_fd, control)
                except (BrokenPipeError, ConnectionResetError):
                    log("waiting-shim-lost", shim=pid)
                    continue
                return pid

    def forget(self, pid: int) -> None:
        """A child has ended; when it was a waiting shim it is not one any more."""
        order = self._waiting.pop(pid, None)
        if order is not None:
            order.close()

    def refill(self) -> None:
        """Make one more."""
        init = self._make_init()
        order, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self._waiting[self._template.bear(init, theirs)] = order
        except BaseException:
            order.close()
            raise
        finally:
            if init is not None:
                os.close(init.pidfd)
                os.close(init.lifeline_fd)

    def _make_init(self) -> Init | None:
        """None where the kernel makes no PID namespace: a plan that needs one is then refused, by name."""
        try:
            return self._inits.make()
        except KernelError as error:
            if error.errno in _EXHAUSTED:
                raise
            log("no-init", error=str(error))
            return None

    def close(self) -> None:
        """End every waiting shim."""
        for order in self._waiting.values():
            order.close()
        self._waiting.clear()

    def end(self) -> None:
        """End the template too."""
        self.close()
        self._template.close()
