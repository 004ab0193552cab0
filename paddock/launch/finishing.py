"""From the command's end to the shim's: empty the container, read the counters, make the record durable, remove, tell.

Every step goes on past a failure of the one before; what failed is in the record.
"""

from __future__ import annotations

import errno
import os
import signal
import time

from paddock.kernel import processes
from paddock.kernel.errors import KernelError
from paddock.launch import operations, protocol, record
from paddock.launch.container import EMPTYING, FINISHED
from paddock.launch.ending import build_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.launch.container import Container

# A process in uninterruptible sleep does not die of SIGKILL: then the end is recorded without it.
_STUCK_AFTER_NS = 10_000_000_000
_RETRY_NS = 1_000_000_000
# Nobody should hold the pipes any more; who still does (a descriptor sent elsewhere) loses what comes later.
_LAST_DRAIN_BYTES = 1 << 24
# Stopping a scope, systemd 252 walks its cgroups with SIGTERM; one that vanishes under its feet makes it kill everything
# in the scope at once, shims included, before their records are written. It passes through 1,000 cgroups in this time.
_WALKER_PASSES_S = 0.2
_STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def begin(container: Container) -> None:
    """The command has ended: take its status and end whatever it left behind."""
    container.unwatch(container.pidfd)
    container.wait_status = processes.take_wait_status(container.pid)
    container.ended_ns = time.time_ns()
    go_on(container)


def go_on(container: Container) -> None:
    """Its end is known; where a list has recorded it as well, what comes after that is left."""
    if container.is_recorded:
        _go_on_from_record(container)
        return
    container.phase = EMPTYING
    container.emptying_since_ns = time.monotonic_ns()
    container.kill_everything()
    if container.has_pid_namespace and container.init is not None and not is_empty(container):
        container.watch(container.init.pidfd, lambda: finish(container))
        return
    advance(container)


def _go_on_from_record(container: Container) -> None:
    container.phase = FINISHED
    _close_logs(container)
    written = record.read_json(container.plan.record) or {}
    container.ending.counters = {
        key: str(text) for key, text in protocol.mapping(written.get("counters"), "counters").items()
    }
    # It is written and named; and has been told, perhaps. What is not known to be durable is written anew.
    _remove_and_tell(container, write_record(container))


def is_empty(container: Container) -> bool:
    """Whether nothing is left to wait for."""
    try:
        return not container.sessions and (container.cgroup is None or container.cgroup.is_empty())
    except OSError:
        return False


def advance(container: Container) -> None:
    """Called while emptying, until all is gone or stuck."""
    for session in tuple(container.sessions.values()):
        operations.reap_exec(container, session)
    if is_empty(container):
        finish(container)
        return
    now_ns = time.monotonic_ns()
    if now_ns - container.emptying_since_ns > _STUCK_AFTER_NS:
        container.ending.note_problem(
            KernelError("kill", container.plan.container_id, "processes that cannot be killed", errno.EBUSY)
        )
        finish(container)
        return
    container.kill_everything()
    container.retry_at_ns = now_ns + 10_000_000


def finish(container: Container) -> None:
    """Everything after the last process; the shim's loop ends with it."""
    if container.phase == FINISHED:
        return
    if container.has_pid_namespace and container.init is not None and processes.has_ended(container.init.pidfd):
        container.unwatch(container.init.pidfd)
        _reap_all(container)
    container.phase = FINISHED
    if container.kill is not None:
        container.kill.ended_at_ns = time.monotonic_ns()
    _close_logs(container)
    ending = container.ending
    if container.cgroup is not None:
        ending.read_counters(container.cgroup, container.plan.final_reads)
        ending.find_victims(container.cgroup, container.plan.oom_events, container.pid)
    written = write_record(container)
    if _was_stopped_by_another(container):
        time.sleep(_WALKER_PASSES_S)
    _remove_and_tell(container, written)


def _remove_and_tell(container: Container, written: dict[str, object]) -> None:
    problem_count = len(container.ending.problems)
    _remove(container)
    if len(container.ending.problems) != problem_count:
        written = write_record(container)
    assert container.record_file is not None
    container.record_file.close()
    container.clients.send_all({"event": protocol.EVENT_EXITED, "record": written})


def _was_stopped_by_another(container: Container) -> bool:
    """Whether the command ended as if somebody else walked through the cgroups of v2 to stop everything."""
    status = container.wait_status
    if container.cgroup is None or not container.cgroup.is_v2 or container.kill is not None or status is None:
        return False
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status) - 128
    return number in _STOP_SIGNALS


def fail(container: Container, report: dict[str, object]) -> None:
    """A launch that came to nothing: no process, cgroup or socket of it stays, and its record says why."""
    container.ending.launch_error = report
    container.phase = FINISHED
    container.ended_ns = time.time_ns()
    if container.pidfd >= 0:
        container.kill_everything()
        processes.has_ended(container.pidfd, -1)
        if container.wait_status is None:
            processes.take_wait_status(container.pid)
    try:
        if container.cgroup is not None and not container.cgroup.is_empty():
            container.cgroup.kill_all(timeout_s=5.0)
    except OSError as error:
        container.ending.note_problem(error)
    _close_logs(container)
    _record_failure(container)
    _remove(container)
    if container.record_file is not None:
        # Whoever hears of the end may use the file again.
        container.record_file.close()
    container.clients.send_all(
        {"event": protocol.EVENT_FAILED, "container_id": container.identity.container_id, **report}
    )


def _record_failure(container: Container) -> None:
    """In the record that is there, or in a new one; where the id was used before, the record is another container's."""
    if container.record_file is None:
        try:
            container.record_file = record.create(container.plan.record)
        except OSError:
            return
    write_record(container)


def _reap_all(container: Container) -> None:
    for session in tuple(container.sessions.values()):
        operations.reap_exec(container, session)


def _close_logs(container: Container) -> None:
    for log in container.logs:
        if log.pipe_fd >= 0:
            container.unwatch(log.pipe_fd)
            try:
                log.pump(container.host.null_fd, _LAST_DRAIN_BYTES)
            except OSError as error:
                container.ending.note_problem(error, "splice", container.plan.sandbox)
        log.close()
        if log.failure is not None:
            container.ending.note_problem(log.failure, "rotate", container.plan.sandbox)


def write_record(container: Container) -> dict[str, object]:
    """Make it durable, however long that takes: until then shim and cgroups stay. Clients may ask for the state meanwhile."""
    assert container.record_file is not None
    while True:
        fields = build_record(
            container.identity,
            container.plan.cgroup,
            container.ending,
            ended_ns=container.ended_ns,
            wait_status=None if container.ending.launch_error is not None else container.wait_status,
            kill=None if container.kill is None else container.kill.to_json(),
            max_completion_reached=container.max_completion_reached,
            logs=container.log_counts(),
        )
        try:
            container.record_file.finish(fields)
        except OSError as error:
            if not any(
                problem["operation"] == getattr(error, "operation", "") for problem in container.ending.problems
            ):
                container.ending.note_problem(error)
            container.ending.shorten()
            container.turn(_RETRY_NS)
        else:
            return fields


def _remove(container: Container) -> None:
    if container.cgroup is not None:
        for failure in container.cgroup.remove():
            container.ending.note_problem(failure)
            container.leftovers = True
    if container.clients.listener is None:
        return
    try:
        os.unlink(container.plan.socket)
    except FileNotFoundError:
        pass
    except OSError as error:
        container.ending.note_problem(error, "unlink", container.plan.socket)
