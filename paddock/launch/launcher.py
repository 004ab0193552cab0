"""The launcher: a small single-threaded process that takes a finished plan and forks its shim. It only launches.

`python -I -S -c "import sys; sys.path[:0] = [ROOT]; from paddock.launch.launcher import main; main()" --socket … --agent-id …`

It reads no more of a plan than its header: every later shim inherits its memory, and a plan's environment may hold secrets.
It is started before anything imports grpc, and may end and be started anew at any time: shims and containers go on.
"""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import socket
import sys
import time

from paddock.kernel import processes
from paddock.kernel.errors import KernelError
from paddock.kernel.syscalls import MACHINE
from paddock.launch import ear, launcher_start, plan_file, protocol, shim, sockets, sweep, warming
from paddock.launch.children import end_child
from paddock.launch.host import Host
from paddock.launch.init_maker import InitMaker
from paddock.launch.launcher_log import log
from paddock.launch.nursery import Nursery
from paddock.launch.orders import Launch
from paddock.launch.plan_file import PlanFile
from paddock.launch.sockets import Socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.launch.launcher_start import Arguments

_AF_UNIX = int(socket.AF_UNIX)
_SOCK_SEQPACKET = int(socket.SOCK_SEQPACKET)
_PLAN_FDS = 2
_SIGCHLD = int(signal.SIGCHLD)
_SEND_FLAGS = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
_MAX_CONNECTIONS = 256
_MAX_MESSAGE_BYTES = 4096
_SWEEP_ATTEMPTS = 20
_MOST_ENDS = 64
_FDS_OF_A_POOL = 4
"""For each that it has: an init's two, and a shim's, twice where many came back."""
_SPARE_FDS = 32


class Launcher:
    """One agent's launcher. `plans`: shim's pid → its plan's memfd, kept unread for the sweep of a shim that dies."""

    def __init__(self, arguments: Arguments, host: Host) -> None:
        self._agent_id = arguments.agent_id
        self._host = host
        inits = InitMaker(host.runner, arguments.machine or MACHINE, os.path.dirname(arguments.socket))
        self._nursery = Nursery(arguments.pool_size, inits, host)
        self._plans: dict[int, int] = {}
        self._last_fd = host.facts.open_files[1] - _FDS_OF_A_POOL * arguments.pool_size - _SPARE_FDS
        self._connections: dict[int, Socket] = {}
        self._is_ending = False
        self._wake_fd, self._wake_write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._wake_write_fd, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda _number, _frame: None)
        self._listener = ear.listen(arguments.socket)
        self._poll = select.poll()
        self._poll.register(self._wake_fd, select.POLLIN)
        self._poll.register(self._listener, select.POLLIN)
        self._poll.register(self._nursery.mounts_fd, select.POLLPRI)
        self._poll.register(self._nursery.freed_fd, select.POLLIN)

    def serve(self) -> None:
        """Until SIGTERM or SIGINT."""
        while not self._is_ending:
            events = self._poll.poll(self._nursery.patience_ms())
            for fd, _event in events:
                if fd == self._wake_fd:
                    self._on_signal()
                elif fd == self._nursery.freed_fd:
                    self._hear_freed()
                elif fd == self._listener.fileno():
                    self._accept()
                elif fd == self._nursery.mounts_fd:
                    self._nursery.end_inits()
                elif fd in self._connections:
                    self._on_message(self._connections[fd])
            if not events:
                self._nursery.refill()

    def _on_signal(self) -> None:
        numbers = set(os.read(self._wake_fd, 4096))
        if numbers & {signal.SIGTERM, signal.SIGINT}:
            self._is_ending = True
        for _ in range(_MOST_ENDS):
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._nursery.forget(pid)
            if pid in self._plans:
                self._on_shim_end(pid, status)
        # A task without a PID namespace may make orphans as fast as they are taken; whoever else waits has its turn first.
        try:
            os.write(self._wake_write_fd, bytes((_SIGCHLD,)))
        except BlockingIOError:
            # There is enough in it to come back for.
            pass

    def _hear_freed(self) -> None:
        for pid in self._nursery.free():
            os.close(self._plans.pop(pid))

    def _on_shim_end(self, pid: int, status: int) -> None:
        plan_fd = self._plans.pop(pid)
        if status == shim.CLEAN:
            os.close(plan_fd)
            return
        log("shim-lost", shim=pid, status=status)
        try:
            child = os.fork()
        except OSError as error:
            log("sweep-failed", shim=pid, error=str(error))
            os.close(plan_fd)
            return
        if child == 0:
            end_child(lambda: self._sweep(plan_fd), (plan_fd, self._host.null_fd))
        os.close(plan_fd)

    def _sweep(self, plan_fd: int) -> int:
        """In a process of its own, which may read the plan."""
        planned = PlanFile(plan_fd).read_plan()
        remains = sweep.remains_of_plan(planned, self._host.boot_id)
        for attempt in range(_SWEEP_ATTEMPTS):
            try:
                sweep.sweep(planned.record, remains)
            except OSError as error:
                log("sweep-failed", container=planned.container_id, attempt=attempt, error=str(error))
                time.sleep(min(0.05 * 2**attempt, 5.0))
            else:
                log("swept", container=planned.container_id)
                break
        return 0

    def _accept(self) -> None:
        try:
            connection = sockets.accept(self._listener)
        except OSError:
            return
        if len(self._connections) >= _MAX_CONNECTIONS or ear.peer_uid(connection) != 0:
            connection.close()
            return
        self._connections[connection.fileno()] = connection
        self._poll.register(connection, select.POLLIN)

    def _drop(self, connection: Socket) -> None:
        self._poll.unregister(connection)
        del self._connections[connection.fileno()]
        connection.close()

    def _on_message(self, connection: Socket) -> None:
        try:
            received = ear.receive(connection, _MAX_MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            received = None
        if received is None:
            self._drop(connection)
            return
        content, fds = received
        try:
            self._perform(connection, content, fds)
        except (protocol.ProtocolError, OSError) as error:
            log("refused", error=str(error))
            self._drop(connection)
        finally:
            for fd in fds:
                os.close(fd)

    def _perform(self, connection: Socket, content: bytes, fds: list[int]) -> None:
        """`fds` that are taken over are taken out of the list."""
        message = protocol.decode(content, _MAX_MESSAGE_BYTES)
        operation = message.get("op")
        if operation == "ping":
            answer = {
                "format": protocol.FORMAT,
                "plan_format": plan_file.FORMAT,
                "pid": os.getpid(),
                "agent_id": self._agent_id,
                "pool": len(self._nursery),
                "shims": len(self._plans),
                "facts": self._host.facts.to_json(),
            }
            connection.send(protocol.encode(answer), _SEND_FLAGS)
            return
        if operation != "launch":
            raise protocol.ProtocolError("op", "must be ping or launch")
        protocol.check_format(message)
        if len(fds) != _PLAN_FDS:
            raise protocol.ProtocolError("fds", "must be the plan's memfd and a socket")
        plan_fd, socket_fd = fds
        control = sockets.of(socket_fd)
        fds.remove(socket_fd)
        try:
            # Their values, as the kernel gave them when the object was made.
            if control.family != _AF_UNIX or control.type != _SOCK_SEQPACKET:
                raise protocol.ProtocolError("fds[1]", "must be a SEQPACKET socket")
            self._launch(plan_fd, control, fds)
        finally:
            control.close()

    def _launch(self, plan_fd: int, control: Socket, fds: list[int]) -> None:
        stage = "plan"
        try:
            launch = Launch(plan_fd, control.fileno())
            stage = "launcher"
            self._check_room(control.fileno())
            pid = self._nursery.order(launch)
        except (OSError, protocol.ProtocolError) as error:
            log("launch-refused", error=str(error))
            report = protocol.error_from(error, "fork").to_json()
            message = {"event": protocol.EVENT_FAILED, "stage": stage, **report}
            try:
                control.send(protocol.encode(message), _SEND_FLAGS)
            except OSError:
                # Who wanted to know has gone; the connection on which other launches come is none of that one's.
                pass
            return
        self._plans[pid] = plan_fd
        fds.remove(plan_fd)

    def _check_room(self, fd: int) -> None:
        """All descriptors below a new one are in use. While some are left, it can be told that no launch has room."""
        if fd > self._last_fd:
            raise KernelError("launch", "", f"{len(self._plans)} containers", errno.EMFILE)

    def close(self) -> None:
        """End the waiting shims; those with a container stay."""
        self._nursery.end()
        self._listener.close()


def _freeze() -> None:
    """What lives now lives as long as the launcher: out of the collector's sight, its pages stay shared with every shim."""
    gc.collect()
    gc.disable()
    gc.freeze()


def main() -> None:
    """The launcher's life."""
    try:
        arguments = launcher_start.parse_arguments(sys.argv[1:])
    except ValueError as error:
        log("bad-arguments", error=str(error))
        sys.exit(2)
    try:
        host = launcher_start.begin(arguments)
        warming.rehearse(arguments, host)
        launcher_start.reset_signals()
        processes.set_name("paddock-launch")
        _freeze()
        launcher = Launcher(arguments, host)
    except OSError as error:
        log("cannot-start", error=str(error))
        sys.exit(protocol.ANOTHER_RUNS if error.errno == errno.EADDRINUSE else 1)
    log("ready", pid=os.getpid(), agent=arguments.agent_id, socket=arguments.socket)
    launcher.serve()
    launcher.close()
    launcher_start.end(arguments)
    log("ended", pid=os.getpid())


if __name__ == "__main__":
    main()
