"""A launch: the plan's list is carried out, and what it has made is taken over. A failure names its step."""

from __future__ import annotations

import errno
import os
import time

from paddock.kernel import processes
from paddock.kernel.call_list import result_in
from paddock.kernel.errors import KernelError
from paddock.launch import failed_list, protocol, report, sockets
from paddock.launch.container import RUNNING, WAITING
from paddock.launch.container_cgroup import ContainerCgroup
from paddock.launch.ending import Identity
from paddock.launch.launch_list import DONE, ENDED, INPUTS, INPUTS_AT, OUTCOME, RECORDED, STARTED
from paddock.launch.log_rotation import Rotation
from paddock.launch.logs import LogPump
from paddock.launch.record import PREALLOCATED_BYTES, RecordFile
from paddock.launch.status_pipe import StatusPipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.launch.container import Container
    from paddock.launch.plan_file import PlanFile
    from paddock.launch.summary import Summary


# The command runs, or has run, and that was told.
_TOLD = frozenset({STARTED, ENDED, RECORDED})
_LAUNCHED = _TOLD | {DONE}


class LaunchFailure(Exception):
    """`report`: stage, operation, path, value, errno, message."""

    def __init__(self, report: dict[str, object]) -> None:
        super().__init__(str(report.get("message")))
        self.report = report


def failure_at(stage: str, error: BaseException) -> LaunchFailure:
    """The failed step in the wire's form."""
    report = protocol.error_from(error).to_json()
    report["stage"] = stage
    return LaunchFailure(report)


def death_before_exec(container: Container) -> LaunchFailure:
    """The process ended without having said why: somebody killed it, and that is mostly the kernel."""
    reason = "the process died before it could execute the command; is the memory limit too small to start it?"
    return failure_at("limits", KernelError("execve", container.plan.program, reason, errno.ECHILD))


def launch(container: Container, sealed: PlanFile, code: int | None) -> None:
    """Carry the plan's list out: the command is on its way then. Raises LaunchFailure.

    `code`: how it has ended, where it has been carried out already.
    """
    if code is None:
        _check(container, sealed)
        code = _carry_out(container, sealed)
    # Only now: until then a shim whose container just runs has looked at nothing of this.
    _know(container, sealed)
    if code not in _LAUNCHED:
        try:
            code = failed_list.try_again(container, sealed, code, lambda: _carry_out(container, sealed))
        except OSError as error:
            raise failure_at("cgroup", error) from None
    if code not in _LAUNCHED:
        raise LaunchFailure(failed_list.take_over(container, sealed, code))
    if code in _TOLD:
        # The list has closed it.
        sealed.fd = -1
    _take_over(container, sealed)
    if code in _TOLD:
        _go_on(container, sealed)
        if code != STARTED:
            container.wait_status = report.wait_status(sealed.memory, sealed.report_at)
            container.ended_ns = report.ended_ns(sealed.memory, sealed.report_at)
            container.is_recorded = code == RECORDED
    else:
        _look_up_start_time(container)


def _check(container: Container, sealed: PlanFile) -> None:
    if sealed.shares_memory and not container.host.facts.shares_memory:
        _know(container, sealed)
        raise failure_at(
            "plan", protocol.ProtocolError("launcher", "the plan was made for another launcher: make it anew")
        )
    if container.init is None and "pid" in sealed.read_summary().namespaces:
        _know(container, sealed)
        missing = KernelError("unshare", "", "the launcher could make no PID namespace", errno.EAGAIN)
        raise failure_at("namespace", missing)


def _carry_out(container: Container, sealed: PlanFile) -> int:
    init = container.init
    (connection_fd,) = container.clients.fds
    init_fds = (-1, -1) if init is None else (init.pidfd, init.lifeline_fd)
    INPUTS.pack_into(sealed.memory, INPUTS_AT, *init_fds, connection_fd, sealed.fd)
    return container.host.runner.run(sealed.memory, sealed.first)


def _know(container: Container, sealed: PlanFile) -> None:
    """What this container is."""
    plan = container.plan = sealed.read_summary()
    container.cgroup = ContainerCgroup(plan.cgroup)
    identity = container.identity = Identity(plan.agent_id, plan.container_id, container.host.boot_id)
    identity.shim_pid = os.getpid()
    identity.started_ns = report.started_ns(sealed.memory, sealed.report_at)


def _take_over(container: Container, sealed: PlanFile) -> None:
    """What is open now is the container's. The memory is the child's too until its status pipe ends."""
    outcome = OUTCOME.unpack_from(sealed.memory, sealed.outcome_at)
    heard_at = sealed.outcome_at + OUTCOME.size - 4
    plan, identity = container.plan, container.identity
    identity.started_ns = report.started_ns(sealed.memory, sealed.report_at)
    container.pid = identity.pid = outcome[0]
    container.pidfd = outcome[1]
    container.record_file = RecordFile(plan.record, outcome[2])
    container.logs = [
        LogPump(pipe_fd, file_fd, _rotation(plan, name))
        for (pipe_fd, file_fd), (name, _step) in zip(
            ((outcome[5], outcome[3]), (outcome[7], outcome[4])), plan.opened_logs, strict=True
        )
    ]
    for log, written_bytes in zip(container.logs, report.log_bytes(sealed.memory, sealed.report_at), strict=True):
        log.written_bytes = written_bytes
    container.status = StatusPipe(
        outcome[9],
        explain=lambda results: failed_list.explain(sealed, results),
        has_executed=lambda: report.was_reached(sealed.memory, sealed.report_at),
        content=bytes(sealed.memory[heard_at : heard_at + max(outcome[14], 0)]),
    )
    if plan.barrier:
        container.barrier_fd = outcome[12]
    assert container.cgroup is not None
    container.cgroup.made = list(container.cgroup.paths)
    _note_missing(container, sealed.memory)
    if result_in(sealed.memory, plan.allocated) < 0:
        try:
            os.posix_fallocate(outcome[2], 0, PREALLOCATED_BYTES)
        except OSError as error:
            container.ending.note_problem(error, "posix_fallocate", plan.record)


def _look_up_start_time(container: Container) -> None:
    identity = container.identity
    try:
        identity.start_time_ticks = processes.read_start_time_ticks(identity.pid)
    except OSError as error:
        raise failure_at("record", error) from None


def _rotation(plan: Summary, name: str) -> Rotation | None:
    limits = plan.log_limits
    return Rotation(plan.sandbox, name, limits.file_bytes, limits.file_count) if limits.file_bytes else None


def _go_on(container: Container, sealed: PlanFile) -> None:
    """The list has seen the status pipe's end, has told of it and written the note, and has waited until now."""
    listener_fd = OUTCOME.unpack_from(sealed.memory, sealed.outcome_at)[11]
    if listener_fd >= 0:
        container.clients.adopt(sockets.of(listener_fd))
    identity = container.identity
    identity.shim_start_time_ticks, identity.start_time_ticks = report.times_of(sealed.memory, sealed.report_at)
    # The list has closed the pipe; with its reader goes the plan's memory.
    container.status = None
    if report.was_reached(sealed.memory, sealed.report_at):
        begin_running(container)
    else:
        raise death_before_exec(container)


def _note_missing(container: Container, memory: bytearray | memoryview) -> None:
    """The optional limits which this host has not, and the logs in whose place something else stands."""
    plan = container.plan
    for controller, file, value, *steps in plan.optional:
        code = -min(result_in(memory, step) for step in steps)
        if code > 0:
            missing = {"controller": controller, "file": file, "value": value, "errno": code}
            container.unapplied.append(missing)
    for log, (name, step) in zip(container.logs, plan.opened_logs, strict=True):
        if log.file_fd < 0:
            container.ending.note_problem(KernelError("openat", name, "", -result_in(memory, step)))
            log.file_fd = -1


def write_note(container: Container) -> None:
    """What a sweep needs when this shim dies."""
    plan = container.plan
    identity = container.identity
    identity.shim_start_time_ticks = processes.read_start_time_ticks(identity.shim_pid)
    assert container.record_file is not None
    ticks = identity.shim_start_time_ticks
    container.record_file.write_note({**identity.to_json(), **report.remains_of(plan), "shim_start_time_ticks": ticks})


def describe(container: Container, event: str) -> dict[str, object]:
    """The event that tells of the command's process: `created` at the barrier, `started` when it runs."""
    identity = container.identity
    return {
        "event": event,
        "container_id": identity.container_id,
        "pid": identity.pid,
        "start_time_ticks": identity.start_time_ticks,
        "shim_pid": identity.shim_pid,
        "cgroup": container.plan.cgroup.to_json(),
        "unapplied": container.unapplied,
        "started_ns": identity.started_ns,
    }


def announce(container: Container, event: str) -> None:
    """Tell every client that the command waits at the barrier (created), or runs (started)."""
    write_note(container)
    container.clients.send_all(describe(container, event))
    if event == protocol.EVENT_STARTED:
        begin_running(container)
    else:
        container.phase = WAITING


def begin_running(container: Container) -> None:
    """From now on its time is counted."""
    container.phase = RUNNING
    if container.plan.max_completion_ms is not None:
        container.completion_deadline_ns = time.monotonic_ns() + container.plan.max_completion_ms * 1_000_000


def open_barrier(container: Container) -> None:
    """Let the command go. Once; a command that has gone already stays gone."""
    if container.barrier_fd >= 0:
        try:
            os.write(container.barrier_fd, b"G")
        except BrokenPipeError:
            # It ended on its way: its status pipe has the reason.
            pass
        os.close(container.barrier_fd)
        container.barrier_fd = -1
