"""The starter: the shim's child that does one launch and ends.

It waits, forked in advance, for the launcher's order: a plan and the agent's connection. A launch touches much of Python's
memory, and every page that it touches is no longer shared; all of those end with this process.
"""

from __future__ import annotations

import os
import select
import socket
import time

from paddock.kernel import processes
from paddock.kernel.descriptors import read_sealed_memfd
from paddock.launch import command, ear, finishing, handover, launching, operations, plan, protocol, sockets
from paddock.launch.container import Container
from paddock.launch.ending import Ending, Identity, build_record
from paddock.launch.logs import LogPump, make_pipe
from paddock.launch.sockets import Socket
from paddock.launch.status_pipe import DIED, EXECUTED, FAILED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.launch.container import Init
    from paddock.launch.host import Host

ORDER = b"L"
_PATIENCE_NS = 100_000_000
_RIGHTS_BYTES = socket.CMSG_SPACE(2 * 4)
_RECEIVE_FLAGS = int(socket.MSG_CMSG_CLOEXEC)


def send_order(order: Socket, plan_fd: int, control: Socket) -> None:
    """The launcher's word to a waiting starter. Raises OSError when it is gone."""
    sockets.send_fds(order, ORDER, [plan_fd, control.fileno()])


def touch_ahead(host: Host) -> None:
    """Do the parts of a launch that leave no trace, while nobody waits: their pages are then this process's own already."""
    if not host.rehearsed_plan:
        return
    planned = plan.decode_plan(host.rehearsed_plan)
    identity = Identity(planned.agent_id, planned.container_id, host.boot_id)
    identity.start_time_ticks = processes.read_start_time_ticks(os.getpid())
    record = build_record(identity, planned.cgroup, Ending(), ended_ns=0, wait_status=None)
    protocol.encode(record)
    handover.pack(plan.summary_of(planned), identity)
    command.prepare(planned.command)
    for log in (LogPump(*make_pipe()), LogPump(*make_pipe())):
        log.close()
    ear.unbound().close()


def receive_order(order: Socket) -> tuple[int, Socket] | None:
    """(the plan's descriptor, the agent's connection); None when the launcher needs this starter no more, or has died."""
    content, ancillary, _flags, _address = order.recvmsg(16, _RIGHTS_BYTES, _RECEIVE_FLAGS)
    if content != ORDER:
        return None
    fds = [fd for _level, _kind, piece in ancillary for fd in memoryview(piece).cast("i")]
    return fds[0], Socket(fileno=fds[1])


def _await_execution(container: Container) -> None:
    """Mostly the command is executed within a millisecond; what takes long, or dies, is left to the shim."""
    status = container.status
    assert status is not None
    ready = select.poll()
    ready.register(status.fd, select.POLLIN)
    deadline_ns = time.monotonic_ns() + _PATIENCE_NS
    while status.fd >= 0 and ready.poll(max(deadline_ns - time.monotonic_ns(), 0) // 1_000_000):
        status.read()
    if status.state == FAILED:
        raise launching.LaunchFailure(status.failure)
    if status.state == DIED:
        raise launching.death_before_exec(container)
    if status.state == EXECUTED:
        launching.announce(container, protocol.EVENT_STARTED)
        container.status = None


def start(
    host: Host,
    init: Init | None,
    shim_pid: int,
    plan_fd: int,
    connection: Socket,
    to_shim: Socket,
) -> None:
    """Launch, and hand the started container over; or undo everything, say why to the agent, and tell the shim."""
    container = Container(host, init)
    container.is_starter = shim_pid != os.getpid()
    container.open_clients(lambda client, content, fds: operations.handle(container, client, content, fds))
    container.clients.add(connection)
    try:
        planned = plan.decode_plan(read_sealed_memfd(plan_fd, protocol.MAX_PLAN_BYTES))
    except (OSError, protocol.ProtocolError) as error:
        report = launching.failure_at("plan", error).report
        container.clients.send_all({"event": protocol.EVENT_FAILED, **report})
        handover.tell_failed(to_shim)
        return
    finally:
        os.close(plan_fd)
    container.plan = plan.summary_of(planned)
    container.identity = Identity(planned.agent_id, planned.container_id, host.boot_id)
    container.identity.shim_pid = shim_pid
    try:
        launching.launch(container, planned)
        if not planned.barrier:
            _await_execution(container)
    except launching.LaunchFailure as failure:
        finishing.fail(container, failure.report)
        handover.tell_failed(to_shim)
        return
    handover.send(container, connection, to_shim)
