"""All that one shim knows of its container: the single place of its state, changed by launching, operations and finishing."""

from __future__ import annotations

import os
import select
import signal
import time

from paddock.kernel import processes
from paddock.launch.command_list import Surroundings, flags_of
from paddock.launch.ear import Clients
from paddock.launch.ending import Ending, Identity
from paddock.launch.kill_state import KillState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from paddock.launch.container_cgroup import ContainerCgroup
    from paddock.launch.exec_session import ExecSession
    from paddock.launch.host import Host
    from paddock.launch.logs import LogPump
    from paddock.launch.plan import KillPolicy
    from paddock.launch.record import RecordFile
    from paddock.launch.sockets import Socket
    from paddock.launch.status_pipe import StatusPipe
    from paddock.launch.summary import Summary

# The phases, in order. A launch that fails goes from any of the first two to FINISHED.
LAUNCHING = "launching"
WAITING = "waiting"
RUNNING = "running"
EMPTYING = "emptying"
FINISHED = "finished"

STAND_IN_PATIENCE_NS = 10_000_000_000


class Init:
    """A ready PID 1 from the launcher's pool. Closing the lifeline ends it, and with it its namespace."""

    __slots__ = ("lifeline_fd", "pid", "pidfd")

    def __init__(self, pid: int, pidfd: int, lifeline_fd: int) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.lifeline_fd = lifeline_fd


class Container:
    """`plan`, `cgroup`, `record_file` and `status` are there once launching has come so far; descriptors are -1 until then."""

    plan: Summary
    identity: Identity
    clients: Clients

    __slots__ = (
        "barrier_fd",
        "cgroup",
        "clients",
        "completion_deadline_ns",
        "ear_at_ns",
        "ear_problem_noted",
        "emptying_since_ns",
        "ended_ns",
        "ending",
        "host",
        "identity",
        "init",
        "is_recorded",
        "kill",
        "leftovers",
        "logs",
        "max_completion_reached",
        "phase",
        "pid",
        "pidfd",
        "plan",
        "poll",
        "record_file",
        "retry_at_ns",
        "session_count",
        "sessions",
        "status",
        "unapplied",
        "wait_status",
        "watched",
    )

    def __init__(self, host: Host, init: Init | None) -> None:
        self.host = host
        self.init = init
        self.phase = LAUNCHING
        self.poll = select.poll()
        self.watched: dict[int, Callable[[], None]] = {}
        self.cgroup: ContainerCgroup | None = None
        self.record_file: RecordFile | None = None
        self.logs: list[LogPump] = []
        self.status: StatusPipe | None = None
        self.barrier_fd = -1
        self.pid = 0
        self.pidfd = -1
        self.wait_status: int | None = None
        self.ended_ns = 0
        self.is_recorded = False
        self.unapplied: list[dict[str, object]] = []
        self.kill: KillState | None = None
        self.completion_deadline_ns = 0
        self.max_completion_reached = False
        self.retry_at_ns = 0
        self.emptying_since_ns = 0
        self.sessions: dict[str, ExecSession] = {}
        self.session_count = 0
        self.ending = Ending()
        self.leftovers = False
        # A short life never needs an ear: making and unlinking a socket's inode is a good part of one.
        self.ear_at_ns = 0
        self.ear_problem_noted = False

    def open_clients(self, handle: Callable[[Socket, bytes, list[int]], None]) -> None:
        """Make the place for connections."""
        self.clients = Clients(self.poll, self.watched, handle)

    def watch(self, fd: int, handler: Callable[[], None]) -> None:
        """Call `handler` whenever the descriptor is readable or at its end."""
        self.watched[fd] = handler
        self.poll.register(fd, select.POLLIN)

    def unwatch(self, fd: int) -> None:
        """Stop that; once is enough."""
        if self.watched.pop(fd, None) is not None:
            self.poll.unregister(fd)

    def turn(self, longest_ns: int = 0) -> None:
        """Wait for the next event or deadline, at most `longest_ns` (0: no such bound), and handle what has come."""
        for fd, _events in self.poll.poll(self._timeout_ms(longest_ns)):
            handler = self.watched.get(fd)
            if handler is not None:
                handler()

    def _timeout_ms(self, longest_ns: int) -> float | None:
        now_ns = time.monotonic_ns()
        times = [now_ns + longest_ns] if longest_ns else []
        if self.phase == EMPTYING or (self.kill is not None and self.kill.escalated):
            times.append(self.retry_at_ns)
        elif self.kill is not None:
            times.append(self.kill.deadline_ns)
        if self.ear_at_ns:
            times.append(self.ear_at_ns)
        if self.completion_deadline_ns:
            times.append(self.completion_deadline_ns)
        # Rounded up: waking a moment early would only mean another turn.
        return max((min(times) - now_ns + 999_999) // 1_000_000, 0) if times else None

    @property
    def has_pid_namespace(self) -> bool:
        """Whether the container ends with its init."""
        return self.init is not None and "pid" in self.plan.namespaces

    def exec_surroundings(self, status_fd: int, standard_fds: tuple[int, int, int]) -> Surroundings:
        """Where one more command is to run: beside the first. (Our children enter its PID namespace by birth.)"""
        assert self.cgroup is not None
        surroundings = Surroundings(status_fd, standard_fds)
        surroundings.joined_namespaces = flags_of(self.plan.namespaces)
        surroundings.namespace_fd = self.init.pidfd if self.init is not None and self.has_pid_namespace else self.pidfd
        surroundings.close_first = self.private_fds
        if self.cgroup.is_v2:
            surroundings.cgroup_fd = self.cgroup.fd_of("")[0]
        else:
            surroundings.task_files = tuple(f"{path}/tasks" for path in self.cgroup.made)
        return surroundings

    @property
    def private_fds(self) -> tuple[int, ...]:
        """What every child closes first: while it held one of these, the container or a connection would outlive the shim."""
        own = [self.barrier_fd] if self.barrier_fd >= 0 else []
        if self.init is not None:
            own.append(self.init.lifeline_fd)
        if self.record_file is not None:
            own.append(self.record_file.fd)
        return (*own, *self.clients.fds)

    def wants_ear(self) -> bool:
        """The agent has gone before the ear was due; one that failed to open waits for its next turn."""
        return not self.ear_problem_noted and self.clients.is_lonely()

    def log_counts(self) -> dict[str, object]:
        """Bytes written per stream, and bytes thrown away of both."""
        written = [log.written_bytes for log in self.logs] or [0, 0]
        dropped = sum(log.dropped_bytes for log in self.logs)
        return {"stdout_bytes": written[0], "stderr_bytes": written[-1], "dropped_bytes": dropped}

    def ask_to_end(self, policy: KillPolicy) -> None:
        """Signal the command's process group now and everything after the grace; a later call may only hasten that."""
        if self.kill is None:
            self.kill = KillState(policy)
        else:
            self.kill.shorten(policy)
        if self.pidfd < 0:
            return
        if policy.grace_ms == 0 or policy.signal == signal.SIGKILL:
            self.kill.deadline_ns = min(self.kill.deadline_ns, time.monotonic_ns())
        else:
            self._signal_group(policy.signal)
        if self.kill.is_due():
            self.kill_everything()

    def _signal_group(self, number: int) -> None:
        """The command leads a session of its own; a stopped process must go on to see its signal.

        Its pid cannot have been reused: only this process reaps it.
        """
        if self.cgroup is not None:
            self.cgroup.thaw()
        if processes.has_ended(self.pidfd):
            return
        for sent in (number, signal.SIGCONT):
            try:
                os.kill(-self.pid, sent)
            except OSError:
                processes.send_signal(self.pidfd, sent)

    def _may_still_tell(self) -> bool:
        """A stand-in hears of the end of those for whom it stands, and tells how it was: that takes it a moment."""
        kill = self.kill
        if not self.plan.stand_in or kill is None or self.phase == LAUNCHING:
            return False
        return time.monotonic_ns() < kill.deadline_ns + STAND_IN_PATIENCE_NS

    def kill_everything(self) -> None:
        """SIGKILL to all that is in the container; what cannot die at once is tried again by the loop."""
        if self.kill is not None and self.phase != EMPTYING:
            self.kill.escalated = True
        try:
            if self.cgroup is not None:
                self.cgroup.thaw()
            if self.has_pid_namespace:
                assert self.init is not None
                processes.send_signal(self.init.pidfd, signal.SIGKILL)
            if self.pidfd >= 0 and self.wait_status is None:
                # A stand-in that waits for what is not there yet ends by this.
                processes.send_signal(self.pidfd, signal.SIGTERM if self._may_still_tell() else signal.SIGKILL)
            if not self.has_pid_namespace and self.cgroup is not None:
                self.cgroup.kill_all(timeout_s=0.02)
        except OSError:
            # Still not empty: again, soon.
            self.retry_at_ns = time.monotonic_ns() + 20_000_000
