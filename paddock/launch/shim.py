"""The shim: one per container, forked by the launcher and never exec'd; it outlives launcher and agent.

It makes the cgroups, starts the command, owns its logs, listens on its ear, and when the command has ended reads the last
counters, makes the record durable, removes the cgroups and says so. It is the only writer of its container's cgroup files
and the only sender of signals into it. It is never PID 1 of its container: whoever may ptrace PID 1 owns what it has.
"""

from __future__ import annotations

import errno
import os
import signal
import time

from paddock.kernel import processes
from paddock.kernel.descriptors import read_sealed_memfd
from paddock.kernel.errors import KernelError
from paddock.launch import finishing, launching, operations, plan, protocol, status_pipe
from paddock.launch.container import EMPTYING, FINISHED, Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from paddock.launch.container import Init
    from paddock.launch.host import Host

CLEAN = 0
LEFTOVERS = 3
_SIGNALS_IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run(host: Host, init: Init | None, connection: socket.socket, plan_fd: int) -> int:
    """The shim's life, in a process of its own. CLEAN, or LEFTOVERS when a sweep must finish the removal."""
    # What ends the daemon, systemd's stop for one, must not end the shim before its container.
    for number in _SIGNALS_IGNORED:
        signal.signal(number, signal.SIG_IGN)
    processes.set_name("paddock-shim")
    container = Container(host, init)
    container.open_clients(lambda client, content, fds: operations.handle(container, client, content, fds))
    container.clients.add(connection)
    try:
        container.plan = plan.decode_plan(read_sealed_memfd(plan_fd, protocol.MAX_PLAN_BYTES))
    except (OSError, protocol.ProtocolError) as error:
        report = launching.failure_at("plan", error).report
        container.clients.send_all({"event": protocol.EVENT_FAILED, **report})
        return CLEAN
    finally:
        os.close(plan_fd)
    container.identity = launching.new_identity(container)
    _let_unneeded_init_go(container)
    try:
        launching.launch(container)
    except launching.LaunchFailure as failure:
        finishing.fail(container, failure.report)
    else:
        assert container.status is not None
        container.watch(container.status.fd, lambda: _on_status(container))
        container.watch(container.pidfd, lambda: _on_command_end(container))
        while container.phase != FINISHED:
            container.turn()
            _keep_deadlines(container)
    container.clients.close()
    return LEFTOVERS if container.leftovers else CLEAN


def _let_unneeded_init_go(container: Container) -> None:
    if container.init is not None and "pid" not in container.plan.namespaces:
        os.close(container.init.lifeline_fd)
        os.close(container.init.pidfd)
        container.init = None


def _on_status(container: Container) -> None:
    status = container.status
    assert status is not None
    fd = status.fd
    if not status.read():
        return
    if status.fd < 0:
        container.unwatch(fd)
    if status.state == status_pipe.AT_BARRIER:
        launching.announce(container, protocol.EVENT_CREATED)
    elif status.state == status_pipe.EXECUTED:
        launching.announce(container, protocol.EVENT_STARTED)
    elif status.state == status_pipe.FAILED:
        finishing.fail(container, status.failure)
    elif container.kill is None:
        finishing.fail(container, _death_before_exec(container))


def _death_before_exec(container: Container) -> dict[str, object]:
    processes.has_ended(container.pidfd, -1)
    _pid, container.wait_status = os.waitpid(container.pid, 0)
    number = os.WTERMSIG(container.wait_status) if os.WIFSIGNALED(container.wait_status) else 0
    reason = f"the process died before it could execute the command (signal {number}); is the memory limit too small?"
    return launching.failure_at(
        "limits", KernelError("execve", container.plan.command.argv[0], reason, errno.ECHILD)
    ).report


def _on_command_end(container: Container) -> None:
    assert container.status is not None
    if container.status.fd >= 0:
        # What it said before it ended comes first: a failed exec, or that there was one.
        _on_status(container)
        if container.phase == FINISHED:
            return
        if container.status.fd >= 0:
            return
    finishing.begin(container)


def _keep_deadlines(container: Container) -> None:
    now_ns = time.monotonic_ns()
    if container.phase == EMPTYING:
        if now_ns >= container.retry_at_ns:
            finishing.advance(container)
        return
    if container.completion_deadline_ns and now_ns >= container.completion_deadline_ns:
        container.completion_deadline_ns = 0
        container.max_completion_reached = True
        container.ask_to_end(container.plan.kill)
    kill = container.kill
    if kill is not None and (kill.is_due() or (kill.escalated and now_ns >= container.retry_at_ns)):
        container.retry_at_ns = now_ns + 100_000_000
        container.kill_everything()
