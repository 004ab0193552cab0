"""Daemons that need not import anything: forked, one after the other, from a process that has imported all and does nothing.

A daemon's start is mostly its imports, a second of a processor, and most cells kill one. Everything else of a start is as ever:
a process and a session of its own, its arguments, its environment, its state from the disk alone.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import BinaryIO

from testbed.daemon_process import DaemonProcess, Process

IMPORTED = ("agentd.__main__", "agentd.daemon", "masterd.__main__")
DAEMONS = ("agentd", "masterd")
_MAX_BYTES = 64 << 10


class WarmStarter:
    """Its process names `directory` and the daemons on its command line, and so do all that it starts: who looks for what is
    left of those finds it, and them (testbed.our_processes).
    """

    def __init__(self, directory: str) -> None:
        """It takes orders when this returns, and answers them when it has imported everything."""
        self._path = f"{directory}/warm.sock"
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with listening, open(f"{directory}/warm.log", "ab") as log:
            listening.bind(self._path)
            listening.listen(16)
            self.process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(listening.fileno()), directory, *DAEMONS],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[listening.fileno()], start_new_session=True,
            )  # fmt: skip

    def start(self, words: Sequence[str], log: BinaryIO, environment: Mapping[str, str]) -> Warm:
        """`words`: what comes after `python -m tests.faults.stopping`."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect(self._path)
        order = {"words": list(words), "environment": dict(environment)}
        socket.send_fds(connection, [json.dumps(order).encode()], [log.fileno()])
        return Warm(int(connection.recv(64)), connection)

    def stop(self) -> None:
        """Its children are their own. Idempotent."""
        self.process.kill()
        self.process.wait()


class Warm(Process):
    """Of the starter's children, by the connection on which its end is told."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self._connection = connection
        self._pidfd = os.pidfd_open(pid)
        self._code: int | None = None

    def poll(self) -> int | None:
        """As Popen's."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """As Popen's. Without the starter nobody can say how it ended: as if it had been killed."""
        if self._code is None:
            readable, _, _ = select.select([self._connection], [], [], timeout)
            told = self._connection.recv(64) if readable else b""
            if not told and not (readable and select.select([self._pidfd], [], [], timeout)[0]):
                raise subprocess.TimeoutExpired("a daemon", timeout or 0)
            self._code = int(told or -signal.SIGKILL)
            self._connection.close()
            os.close(self._pidfd)
        return self._code

    def send_signal(self, sig: int) -> None:
        """As Popen's: harmless when it has ended, which is heard a moment later."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, sig)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class WarmDaemon(DaemonProcess):
    """A DaemonProcess in all but its imports."""

    def __init__(self, starter: WarmStarter, module: str, arguments: Sequence[str], directory: str) -> None:
        super().__init__(module, arguments, directory)
        self._starter = starter
        self._arguments = arguments

    def _begin(self, log: BinaryIO, environment: Mapping[str, str]) -> Process:
        return self._starter.start(self._arguments, log, environment)


class _Serving:
    """One thread, so that a fork finds nobody half-way."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._children: dict[int, tuple[int, socket.socket]] = {}
        """By pidfd."""

    def serve(self) -> None:
        poll = select.poll()
        poll.register(self._listening, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self._listening.fileno():
                    poll.register(self._start_one(), select.POLLIN)
                else:
                    poll.unregister(fd)
                    self._tell_the_end(fd)

    def _start_one(self) -> int:
        connection, _ = self._listening.accept()
        content, fds, _, _ = socket.recv_fds(connection, _MAX_BYTES, 1)
        pid = os.fork()
        if pid == 0:
            self._become(json.loads(content), fds[0], connection)
        os.close(fds[0])
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = (pid, connection)
        connection.send(str(pid).encode())
        return pidfd

    def _become(self, order: dict[str, object], log_fd: int, connection: socket.socket) -> None:
        """Does not return."""
        code = 1
        try:
            os.setsid()
            for fd in (1, 2):
                os.dup2(log_fd, fd)
            connection.close()
            self._listening.close()
            for pidfd, (_, other) in self._children.items():
                os.close(pidfd)
                other.close()
            os.close(log_fd)
            words, environment = order["words"], order["environment"]
            assert isinstance(words, list)
            assert isinstance(environment, dict)
            os.environ.clear()
            os.environ.update(environment)
            sys.argv = ["stopping", *words]
            code = importlib.import_module("tests.faults.stopping").main()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _tell_the_end(self, pidfd: int) -> None:
        pid, connection = self._children.pop(pidfd)
        _, status = os.waitpid(pid, 0)
        os.close(pidfd)
        try:
            connection.send(str(os.waitstatus_to_exitcode(status)).encode())
        except OSError:
            pass  # nobody asks any more
        connection.close()


def main() -> None:
    listening = socket.socket(fileno=int(sys.argv[1]))
    for name in IMPORTED:
        importlib.import_module(name)
    importlib.import_module("tests.faults.stopping")
    gc.collect()
    gc.freeze()
    _Serving(listening).serve()


if __name__ == "__main__":
    main()
