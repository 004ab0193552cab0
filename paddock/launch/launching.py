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
from paddock.launch.ending import Identity
from paddock.launch.logs import LogPump, create_log, make_pipe
from paddock.launch.status_pipe import StatusPipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.launch.container import Container


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


def launch(container: Container) -> None:
    """Everything up to the clone; from then on the status pipe tells. Raises LaunchFailure."""
    stage = "record"
    try:
        _begin_record(container)
        stage = "socket"
        container.clients.open(container.plan.socket)
        stage = "cgroup"
        _make_cgroup(container)
        stage = "logs"
        pipe_ends = _open_logs(container)
        stage = "namespace"
        surroundings = describe_surroundings(container)
        _start(container, surroundings, pipe_ends)
    except (OSError, protocol.ProtocolError) as error:
        raise failure_at(stage, error) from None


def _begin_record(container: Container) -> None:
    plan = container.plan
    identity = container.identity
    identity.shim_pid = os.getpid()
    identity.shim_start_time_ticks = processes.read_start_time_ticks(identity.shim_pid)
    container.record_file = record.create(plan.record)
    write_note(container)


def write_note(container: Container) -> None:
    """What a sweep needs when this shim dies."""
    plan = container.plan
    assert container.record_file is not None
    container.record_file.write_note(
        {
            **container.identity.to_json(),
            "state": "running",
            "shim_start_time_ticks": container.identity.shim_start_time_ticks,
            "socket": plan.socket,
            "cgroup": plan.cgroup.to_json(),
            "final_reads": [{"controller": read.controller, "file": read.file} for read in plan.final_reads],
            "oom_events": None
            if plan.oom_events is None
            else {"controller": plan.oom_events.controller, "file": plan.oom_events.file},
        }
    )


def _make_cgroup(container: Container) -> None:
    plan = container.plan
    container.cgroup = ContainerCgroup(plan.cgroup)
    container.cgroup.create(plan.writes)
    container.unapplied = container.cgroup.write_limits(plan.writes)


def _open_logs(container: Container) -> tuple[int, int]:
    """The command's ends of the two pipes."""
    plan = container.plan
    sandbox_fd = open_directory(plan.sandbox)
    ends = []
    try:
        for name in (plan.stdout, plan.stderr):
            file_fd, problem = create_log(sandbox_fd, name, plan.command.uid, plan.command.gid)
            if problem is not None:
                container.ending.note_problem(problem)
            read_fd, write_fd = make_pipe()
            log = LogPump(read_fd, file_fd)
            container.logs.append(log)
            container.watch(read_fd, lambda log=log: _on_log(container, log))  # type: ignore[misc]
            ends.append(write_fd)
    finally:
        os.close(sandbox_fd)
    return ends[0], ends[1]


def _on_log(container: Container, log: LogPump) -> None:
    pipe_fd = log.pipe_fd
    if not log.pump(container.host.null_fd):
        # At its end a pipe would be readable for ever.
        container.unwatch(pipe_fd)
        log.close()


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
    elif "pid" in plan.namespaces:
        raise KernelError("unshare", "", "the launcher could make no PID namespace", errno.EAGAIN)
    else:
        surroundings.new_namespaces = flags
    return surroundings


def _start(container: Container, surroundings: Surroundings, pipe_ends: tuple[int, int]) -> None:
    plan = container.plan
    if container.has_pid_namespace:
        setns(surroundings.namespace_fd, CLONE_NEWPID)
    status_read, status_write = os.pipe2(os.O_CLOEXEC)
    surroundings.mounts = plan.mounts
    surroundings.status_fd = status_write
    surroundings.standard_fds = (0, *pipe_ends)
    child_ends = [status_write, *pipe_ends, *surroundings.task_fds]
    if plan.barrier:
        surroundings.barrier_fd, container.barrier_fd = os.pipe2(os.O_CLOEXEC)
        child_ends.append(surroundings.barrier_fd)
    surroundings.close_first = (*container.private_fds, status_read)
    container.identity.started_ns = time.time_ns()
    container.pid, container.pidfd = command.start(plan.command, surroundings, container.host)
    for fd in child_ends:
        os.close(fd)
    container.status = StatusPipe(status_read)
    container.identity.pid = container.pid
    container.identity.start_time_ticks = processes.read_start_time_ticks(container.pid)
    write_note(container)


def announce(container: Container, event: str) -> None:
    """Tell every client that the command waits at the barrier (created), or runs (started)."""
    identity = container.identity
    message: dict[str, object] = {
        "event": event,
        "container_id": identity.container_id,
        "pid": identity.pid,
        "start_time_ticks": identity.start_time_ticks,
        "shim_pid": identity.shim_pid,
        "cgroup": container.plan.cgroup.to_json(),
        "unapplied": container.unapplied,
        "started_ns": identity.started_ns,
    }
    if event == protocol.EVENT_STARTED:
        container.phase = RUNNING
        container.started = message
        if container.plan.max_completion_ms is not None:
            container.completion_deadline_ns = time.monotonic_ns() + container.plan.max_completion_ms * 1_000_000
    else:
        container.phase = WAITING
    container.clients.send_all(message)


def open_barrier(container: Container) -> None:
    """Let the command go. Once; a command that has gone already stays gone."""
    if container.barrier_fd >= 0:
        os.write(container.barrier_fd, b"G")
        os.close(container.barrier_fd)
        container.barrier_fd = -1


def new_identity(container: Container) -> Identity:
    """The container's, as far as it is known before it exists."""
    return Identity(container.plan.agent_id, container.plan.container_id, container.host.boot_id)
