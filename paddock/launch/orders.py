"""The shim's beginning: forked in advance, it waits for an order, a plan and the agent's connection, and launches."""

from __future__ import annotations

from paddock.launch import finishing, launching, operations, protocol, sockets
from paddock.launch.container import Container
from paddock.launch.plan_file import PlanFile
from paddock.launch.sockets import Socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.launch.container import Init
    from paddock.launch.host import Host

ORDER = b"L"


def send_order(order: Socket, plan_fd: int, control: Socket) -> None:
    """The launcher's word to a waiting shim. Raises OSError when it is gone."""
    sockets.send_fds(order, ORDER, [plan_fd, control.fileno()])


def start(host: Host, init: Init | None, plan_fd: int, connection: Socket) -> Container | None:
    """Launch, up to the command's way to execve; or undo everything, say why to the agent, and return None."""
    container = Container(host, init)
    container.open_clients(lambda client, content, fds: operations.handle(container, client, content, fds))
    container.clients.add(connection)
    try:
        sealed = PlanFile(plan_fd)
    except (OSError, protocol.ProtocolError) as error:
        report = launching.failure_at("plan", error).report
        container.clients.send_all({"event": protocol.EVENT_FAILED, **report})
        return None
    try:
        launching.launch(container, sealed)
    except launching.LaunchFailure as failure:
        finishing.fail(container, failure.report)
        return None
    finally:
        sealed.close()
    return container
