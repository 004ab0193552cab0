"""One daemon as a process: started, ready when it says so, ended for certain."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import BinaryIO, Protocol

from paddock.model.errors import Unavailable

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
"""A busy machine stalls for seconds."""
_LOG_TAIL_BYTES = 2_000


class Process(Protocol):
    """What is asked of a Popen."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code, or None while it lives."""

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code. Raises subprocess.TimeoutExpired."""

    def send_signal(self, sig: int) -> None:
        """Harmless when it has ended."""

    def kill(self) -> None:
        """SIGKILL."""


class DaemonProcess:
    """`python -m MODULE ARGUMENT…`, its words in a log file.

    Readiness comes by sd_notify, as under systemd: nothing is polled.
    """

    def __init__(self, module: str, arguments: Sequence[str], directory: str) -> None:
        """Nothing is started yet. `directory` takes the log and the notification socket."""
        self.module = module
        self.log_path = os.path.join(directory, f"{module}.log")
        self._command = [sys.executable, "-m", module, *arguments]
        self._notify_path = os.path.join(directory, f"{module}.notify")
        self._process: Process | None = None
        self._notify: socket.socket | None = None
        self.build: str | None = None
        """The directory of another build's packages, in place of ours, from the next start on."""

    @property
    def pid(self) -> int:
        """0 when it was not started."""
        return 0 if self._process is None else self._process.pid

    def start(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Returns once it is ready. Raises Unavailable with the end of its log when it ends or says nothing so long."""
        if os.path.exists(self._notify_path):
            os.unlink(self._notify_path)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        notify.bind(self._notify_path)
        # Kept until the end: a daemon also says when it stops.
        self._notify = notify
        with open(self.log_path, "ab") as log:
            self._process = self._begin(log, {**os.environ, "NOTIFY_SOCKET": self._notify_path})
        self._await_ready(notify, timeout_s)

    def _begin(self, log: BinaryIO, environment: Mapping[str, str]) -> Process:
        return subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd=self.build,
            start_new_session=True,
        )

    def _await_ready(self, notify: socket.socket, timeout_s: float) -> None:
        deadline_s, has_ended = time.monotonic() + timeout_s, False
        descriptor = os.pidfd_open(self.pid)
        try:
            while (left_s := deadline_s - time.monotonic()) > 0:
                readable, _, _ = select.select([notify.fileno(), descriptor], [], [], left_s)
                if notify.fileno() in readable and b"READY=1" in notify.recv(4096).split(b"\n"):
                    return
                if has_ended := descriptor in readable:
                    break
        finally:
            os.close(descriptor)
        assert self._process is not None
        # Whose child it is may take a moment to tell how it ended.
        code = self._process.wait(STOP_TIMEOUT_S) if has_ended else None
        what = f"was not ready within {timeout_s:.0f} s" if code is None else f"ended with code {code}"
        raise Unavailable(f"{self.module} {what}; the end of {self.log_path}:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """The last words of its log."""
        return log_tail(self.log_path)

    def send(self, number: signal.Signals) -> None:
        """A signal, while it lives."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def resume(self) -> None:
        """After a SIGSTOP: what is stopped does not hear SIGTERM."""
        self.send(signal.SIGCONT)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int | None:
        """SIGTERM, then SIGKILL. Its exit code; None when it was never started. Idempotent."""
        if self._process is None:
            return None
        self.resume()
        self.send(signal.SIGTERM)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            if self._notify is not None:
                self._notify.close()


def log_tail(path: str) -> str:
    """A log's last words; nothing when there is no log."""
    try:
        with open(path, "rb") as log:
            log.seek(max(os.path.getsize(path) - _LOG_TAIL_BYTES, 0))
            return log.read().decode(errors="replace").strip()
    except FileNotFoundError:
        return ""
