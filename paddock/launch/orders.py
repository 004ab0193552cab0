"""The shim's beginning: forked in advance, it waits for an order, a plan and the agent's connection, and launches."""

from __future__ import annotations

import struct

from paddock.kernel.call_list import INSTRUCTION_BYTES
from paddock.kernel.mapping import Mapping
from paddock.launch import finishing, launching, operations, protocol, sockets
from paddock.launch.container import Container
from paddock.launch.plan_file import PlanFile, read_header
from paddock.launch.sockets import Socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.launch.container import Init
    from paddock.launch.host import Host

MARK = b"LNCH"
ORDER = struct.Struct("4s3I")
"""Mark · the plan's size · where its list begins · the init's pid.

With it come the plan's descriptor, the agent's connection, and, where there is an init, its pidfd and its lifeline.
"""


class Order:
    """A shim's. `code`: how the plan's list, `size` bytes with all that comes behind, has ended; None: it was not begun."""

    __slots__ = ("code", "connection_fd", "init", "plan_fd", "size")

    def __init__(self, plan_fd: int, connection_fd: int) -> None:
        self.plan_fd = plan_fd
        self.connection_fd = connection_fd
        self.init: Init | None = None
        self.size = 0
        self.code: int | None = None


class Launch:
    """What the launcher knows of one. Raises ProtocolError or OSError where this is no plan."""

    __slots__ = ("_connection_fd", "_first", "_plan_fd", "_size")

    def __init__(self, plan_fd: int, connection_fd: int) -> None:
        self._plan_fd = plan_fd
        self._connection_fd = connection_fd
        header, self._size = read_header(plan_fd)
        self._first = header.first * INSTRUCTION_BYTES

    def send(self, connection: Socket, init: Init | None) -> None:
        """Order it from a waiting shim. Raises OSError when that is gone."""
        fds = [self._plan_fd, self._connection_fd]
        if init is not None:
            fds += [init.pidfd, init.lifeline_fd]
        content = ORDER.pack(MARK, self._size, self._first, 0 if init is None else init.pid)
        sockets.send_fds(connection, content, fds)


def start(host: Host, order: Order) -> Container | None:
    """Launch, up to the command's way to execve; or undo everything, say why to the agent, and return None."""
    container = Container(host, order.init)
    container.open_clients(lambda client, content, fds: operations.handle(container, client, content, fds))
    container.clients.add(sockets.of(order.connection_fd))
    try:
        sealed = PlanFile(order.plan_fd, None if order.code is None else Mapping(order.size))
    except (OSError, protocol.ProtocolError) as error:
        report = launching.failure_at("plan", error).report
        container.clients.send_all({"event": protocol.EVENT_FAILED, **report})
        return None
    try:
        launching.launch(container, sealed, order.code)
    except launching.LaunchFailure as failure:
        finishing.fail(container, failure.report)
        return None
    finally:
        sealed.close()
    return container
