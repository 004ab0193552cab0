"""From the starter to the shim: the started container, in one message with its descriptors.

The starter is the shim's child. It reads the plan, does the launch and ends; what it touched of Python's memory ends with it,
and the shim, which only waits, stays small. The command is the shim's own child all the same (CLONE_PARENT).
"""

from __future__ import annotations

import marshal
import socket

from paddock.launch import sockets
from paddock.launch.container_cgroup import ContainerCgroup
from paddock.launch.ending import Identity
from paddock.launch.logs import LogPump
from paddock.launch.plan import CgroupPlace, CgroupRead, KillPolicy, Summary
from paddock.launch.record import RecordFile
from paddock.launch.sockets import Socket
from paddock.launch.status_pipe import StatusPipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.launch.container import Container

_MAX_BYTES = 128 * 1024
_MAX_FDS = 16
_FAILED = b"F"
_RIGHTS_BYTES = socket.CMSG_SPACE(_MAX_FDS * 4)
_RECEIVE_FLAGS = int(socket.MSG_CMSG_CLOEXEC)
_PLAIN = ("agent_id", "container_id", "max_completion_ms", "namespaces", "program", "record", "sandbox", "socket")
_IDENTITY = ("boot_id", "shim_pid", "shim_start_time_ticks", "pid", "start_time_ticks", "started_ns")


def pack(plan: Summary, identity: Identity) -> tuple[object, ...]:
    """What outlives the start, as plain values."""
    oom = plan.oom_events
    return (
        tuple(getattr(plan, name) for name in _PLAIN),
        (plan.cgroup.mode, plan.cgroup.directories),
        tuple((read.controller, read.file) for read in plan.final_reads),
        None if oom is None else (oom.controller, oom.file),
        (plan.kill.signal, plan.kill.grace_ms),
        tuple(getattr(identity, name) for name in _IDENTITY),
    )


def send(container: Container, connection: Socket, handover: Socket) -> None:
    """Give the container away. The descriptors are copied; ours end with this process."""
    assert container.record_file is not None
    assert container.clients.listener is not None
    fds = [container.pidfd, container.record_file.fd, container.clients.listener.fileno()]
    fds += [log.pipe_fd for log in container.logs]
    fds += [log.file_fd for log in container.logs if log.file_fd >= 0]
    status_fd = -1 if container.status is None else container.status.fd
    fds += [fd for fd in (container.barrier_fd, status_fd, connection.fileno()) if fd >= 0]
    content = marshal.dumps(
        (  # type: ignore[arg-type]
            pack(container.plan, container.identity),
            tuple(log.file_fd >= 0 for log in container.logs),
            container.barrier_fd >= 0,
            None if container.status is None else container.status.content,
            connection.fileno() >= 0,
            container.unapplied,
            container.ending.problems,
        )
    )
    sockets.send_fds(handover, content, fds)


class StarterLostError(Exception):
    """The starter died before it could say how far it had come."""


def receive(container: Container, handover: Socket) -> bool:
    """Take the container over (without a status pipe: it runs already); False when the launch failed.

    Raises StarterLostError.
    """
    content, ancillary, _flags, _address = handover.recvmsg(_MAX_BYTES, _RIGHTS_BYTES, _RECEIVE_FLAGS)
    if content == _FAILED:
        return False
    if not content:
        raise StarterLostError
    fds = [fd for _level, _kind, piece in ancillary for fd in memoryview(piece).cast("i")]
    # Our own child's words, over a socket that only it has.
    packed, has_files, has_barrier, status_content, has_agent, unapplied, problems = marshal.loads(content)  # noqa: S302
    plain, place, reads, oom, kill, identity = packed
    plan = container.plan = Summary()
    for name, value in zip(_PLAIN, plain, strict=True):
        setattr(plan, name, value)
    plan.cgroup = CgroupPlace(*place)
    plan.final_reads = tuple(CgroupRead(*read) for read in reads)
    plan.oom_events = None if oom is None else CgroupRead(*oom)
    plan.kill = KillPolicy(*kill)
    container.identity = Identity(plan.agent_id, plan.container_id, "")
    for name, value in zip(_IDENTITY, identity, strict=True):
        setattr(container.identity, name, value)
    container.pid, container.pidfd = container.identity.pid, fds[0]
    container.record_file = RecordFile(plan.record, fds[1])
    container.clients.adopt(sockets.of(fds[2]))
    container.logs = [LogPump(fds[3]), LogPump(fds[4])]
    rest = iter(fds[5:])
    for log, has_file in zip(container.logs, has_files, strict=True):
        if has_file:
            log.file_fd = next(rest)
    if has_barrier:
        container.barrier_fd = next(rest)
    if status_content is not None:
        container.status = StatusPipe(next(rest), status_content)
    container.unapplied = unapplied
    container.ending.problems = problems
    container.cgroup = ContainerCgroup(plan.cgroup)
    container.cgroup.made = list(container.cgroup.paths)
    if has_agent:
        container.clients.add(sockets.of(next(rest)))
    return True


def tell_failed(handover: Socket) -> None:
    """The launch failed; the agent has been told, and nothing is left to take over."""
    handover.send(_FAILED)
