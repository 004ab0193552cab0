"""One more process in a running container, from the request to its end. It dies with the container."""

from __future__ import annotations

import os

from paddock.kernel.descriptors import read_sealed_memfd
from paddock.launch import command, plan, protocol
from paddock.launch.status_pipe import StatusPipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from paddock.launch.command_list import Surroundings
    from paddock.launch.host import Host
    from paddock.launch.sockets import Socket

MAX_SESSIONS = 64
_STANDARD_COUNT = 3


class ExecSession:
    """`client` and `seq`: who asked, and is answered when the command is executed or has failed to be."""

    __slots__ = ("client", "exec_id", "pid", "pidfd", "seq", "status")

    def __init__(self, exec_id: str, pid: int, pidfd: int, status: StatusPipe) -> None:
        self.exec_id = exec_id
        self.pid = pid
        self.pidfd = pidfd
        self.status = status
        self.client: Socket | None = None
        self.seq: object = None


def decode_exec(message: dict[str, object], fds: list[int], default_directory: str) -> plan.Command:
    """The command to execute. A plan too long for a message comes as a fourth descriptor, a sealed memfd."""
    if len(fds) not in {_STANDARD_COUNT, _STANDARD_COUNT + 1}:
        raise protocol.ProtocolError("fds", "must be stdin, stdout, stderr, and at most a plan")
    fields = message.get("plan")
    if len(fds) > _STANDARD_COUNT:
        fields = protocol.decode(read_sealed_memfd(fds[3], protocol.MAX_PLAN_BYTES), protocol.MAX_PLAN_BYTES)
    return plan.decode_command(protocol.mapping(fields, "plan"), default_directory)


def start_session(
    exec_id: str,
    wanted: plan.Command,
    fds: list[int],
    surroundings_of: Callable[[int, tuple[int, int, int]], Surroundings],
    host: Host,
) -> ExecSession:
    """Start the process; `surroundings_of` a status pipe and standard descriptors says where.

    Raises KernelError when it cannot even be cloned.
    """
    status_read, status_write = os.pipe2(os.O_CLOEXEC)
    surroundings = surroundings_of(status_write, (fds[0], fds[1], fds[2]))
    surroundings.is_exec = True
    surroundings.on_terminal = os.isatty(fds[0])
    surroundings.close_first = (*surroundings.close_first, status_read)
    try:
        pid, pidfd, made = command.start_exec(wanted, surroundings, host)
    except BaseException:
        os.close(status_read)
        raise
    finally:
        os.close(status_write)
    return ExecSession(exec_id, pid, pidfd, StatusPipe(status_read, made.explain))
