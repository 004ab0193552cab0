"""The shim: one at a time for each container, forked by the launcher and never exec'd; it outlives launcher and agent.

It makes the cgroups, starts the command, owns its logs, listens on its ear, and when the command has ended reads the last
counters, makes the record durable, removes the cgroups and says so. It is the only writer of its container's cgroup files
and the only sender of signals into it. It is never PID 1 of its container: whoever may ptrace PID 1 owns what it has.
"""

from __future__ import annotations

import os
import time

from paddock.launch import finishing, launching, orders, protocol, status_pipe
from paddock.launch.container import EMPTYING, FINISHED, Container
from paddock.launch.waiting_list import EAR_AFTER_NS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.launch.host import Host
    from paddock.launch.logs import LogPump
    from paddock.launch.orders import Order

CLEAN = 0
LEFTOVERS = 3
_EAR_RETRY_NS = 1_000_000_000


def live(host: Host, order: Order) -> int:
    """The shim's life, from its order on, or from what a list has left to it. Forked, it has waited for that.

    CLEAN, or LEFTOVERS when a sweep must finish what could not be removed.
    """
    container = orders.start(host, order)
    if container is None:
        return CLEAN
    _let_unneeded_init_go(container)
    for log in container.logs:
        container.watch(log.pipe_fd, lambda log=log: _on_log(container, log))  # type: ignore[misc]
    if container.status is not None and container.status.fd >= 0:
        container.watch(container.status.fd, lambda: _on_status(container))
    if container.wait_status is None:
        container.watch(container.pidfd, lambda: _on_command_end(container))
    else:
        finishing.go_on(container)
    if container.clients.listener is None:
        container.ear_at_ns = time.monotonic_ns() + EAR_AFTER_NS
    while container.phase != FINISHED:
        container.turn()
        if container.phase != FINISHED:
            _keep_deadlines(container)
    container.clients.close()
    return LEFTOVERS if container.leftovers else CLEAN


def _on_log(container: Container, log: LogPump) -> None:
    pipe_fd = log.pipe_fd
    if not log.pump(container.host.null_fd):
        # At its end a pipe would be readable for ever.
        container.unwatch(pipe_fd)
        log.close()


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
        finishing.fail(container, launching.death_before_exec(container).report)


def _on_command_end(container: Container) -> None:
    if container.phase == FINISHED:
        return
    if container.status is not None and container.status.fd >= 0:
        # What it said before it ended comes first: a failed exec, or that there was one.
        _on_status(container)
        if container.phase == FINISHED or container.status.fd >= 0:
            return
    finishing.begin(container)


def _open_ear(container: Container) -> None:
    """While it cannot be opened, it is tried again: an agent that comes back must find its container."""
    try:
        container.clients.open(container.plan.socket)
        container.ear_at_ns = 0
    except OSError as error:
        if not container.ear_problem_noted:
            container.ear_problem_noted = True
            container.ending.note_problem(error)
        container.ear_at_ns = time.monotonic_ns() + _EAR_RETRY_NS


def _keep_deadlines(container: Container) -> None:
    now_ns = time.monotonic_ns()
    if container.ear_at_ns and (now_ns >= container.ear_at_ns or container.wants_ear()):
        _open_ear(container)
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
