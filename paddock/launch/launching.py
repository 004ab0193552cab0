"""The steps of a launch, each with the name under which its failure is reported."""

from __future__ import annotations

import errno
import os
import time

from paddock.kernel import processes
from paddock.kernel.errors import KernelError
from paddock.kernel.namespaces import CLONE_NEWPID, setns
from paddock.kernel.paths import open_directory
from paddock.launch import command, protocol, record
from paddock.launch.command import Surroundings
from paddock.launch.container import RUNNING, WAITING
from paddock.launch.container_cgroup import ContainerCgroup
from paddock.launch.logs import LogPump, create_log, make_pipe
from paddock.launch.status_pipe import StatusPipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.launch.container import Container
    from paddock.launch.plan import Plan


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


def launch(container: Container, plan: Plan) -> None:
    """Start the command, held at its barrier, and make all else ready while it walks there. Raises LaunchFailure.

    What the command's own process needs comes before the clone; record and log files come after it, and run beside it.
    """
    stage = "cgroup"
    try:
        _make_cgroup(container, plan)
        stage = "logs"
        pipe_ends = _make_pipes(container)
        stage = "namespace"
        surroundings = describe_surroundings(container)
        _start(container, plan, surroundings, pipe_ends)
        stage = "record"
        container.record_file = record.create(plan.record)
        stage = "logs"
        _open_logs(container, plan)
        _write_note(container)
    except (OSError, protocol.ProtocolError) as error:
        raise failure_at(stage, error) from None
    if not plan.barrier:
        open_barrier(container)


def _write_note(container: Container) -> None:
    """What a sweep needs when this shim dies."""
    plan = container.plan
    identity = container.identity
    identity.shim_start_time_ticks = processes.read_start_time_ticks(identity.shim_pid)
    identity.start_time_ticks = processes.read_start_time_ticks(container.pid)
    assert container.record_file is not None
    oom = plan.oom_events
    container.record_file.write_note(
        {
            **identity.to_json(),
            "state": "running",
            "shim_start_time_ticks": identity.shim_start_time_ticks,
            "socket": plan.socket,
            "cgroup": plan.cgroup.to_json(),
            "final_reads": [{"controller": read.controller, "file": read.file} for read in plan.final_reads],
            "oom_events": None if oom is None else {"controller": oom.controller, "file": oom.file},
        }
    )


def _make_cgroup(container: Container, plan: Plan) -> None:
    container.cgroup = ContainerCgroup(plan.cgroup)
    container.cgroup.create(plan.writes)
    container.unapplied = container.cgroup.write_limits(plan.writes)


def _make_pipes(container: Container) -> tuple[int, int]:
    """The command's ends of the two pipes."""
    out_read, out_write = make_pipe()
    err_read, err_write = make_pipe()
    container.logs = [LogPump(out_read), LogPump(err_read)]
    return out_write, err_write


def _open_logs(container: Container, plan: Plan) -> None:
    sandbox_fd = open_directory(plan.sandbox)
    try:
        for log, name in zip(container.logs, (plan.stdout, plan.stderr), strict=True):
            log.file_fd, problem = create_log(sandbox_fd, name, plan.command.uid, plan.command.gid)
            if problem is not None:
                container.ending.note_problem(problem)
    finally:
        os.close(sandbox_fd)


def describe_surroundings(container: Container) -> Surroundings:
    """Where the command, or an exec, is to run; joins the PID namespace on the way (for children only, for good)."""
    plan = container.plan
    assert container.cgroup is not None
    surroundings = Surroundings()
    surroundings.task_fds = container.cgroup.open_task_files()
    if container.cgroup.is_v2:
        surroundings.cgroup_fd = container.cgroup.fd_of("")[0]
    flags = command.flags_of(plan.namespaces)
    if container.has_pid_namespace:
        assert container.init is not None
        surroundings.namespace_fd = container.init.pidfd
        surroundings.joined_namespaces = flags
        if not container.has_joined_namespace:
            setns(surroundings.namespace_fd, CLONE_NEWPID)
            container.has_joined_namespace = True
    elif "pid" in plan.namespaces:
        raise KernelError("unshare", "", "the launcher could make no PID namespace", errno.EAGAIN)
    else:
        surroundings.new_namespaces = flags
    return surroundings


def _start(container: Container, plan: Plan, surroundings: Surroundings, pipe_ends: tuple[int, int]) -> None:
    status_read, status_write = os.pipe2(os.O_CLOEXEC)
    surroundings.barrier_fd, container.barrier_fd = os.pipe2(os.O_CLOEXEC)
    surroundings.announces_barrier = plan.barrier
    surroundings.mounts = plan.mounts
    surroundings.status_fd = status_write
    surroundings.standard_fds = (0, *pipe_ends)
    surroundings.close_first = (*container.private_fds, status_read)
    container.identity.started_ns = time.time_ns()
    container.pid, container.pidfd = command.start(plan.command, surroundings, container.host)
    container.identity.pid = container.pid
    for fd in (status_write, *pipe_ends, *surroundings.task_fds, surroundings.barrier_fd):
        os.close(fd)
    container.status = StatusPipe(status_read)


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
