"""Runs inside the virtual machine: takes commands from a virtio-serial port and sends their output back as it comes.

One JSON object on each line. In: ``{"id", "op": "run", "argv", "environment", "input"}`` and ``{"id", "op": "kill"}``.
Out: ``{"id": 0, "ready": true}`` once, ``{"id", "output"}`` (base64) and, last for each id, ``{"id", "exit"}``: the
exit code, or minus the signal. Standard library only: it is started before any path is set.
"""

from __future__ import annotations

import base64
import glob
import json
import os
import signal
import subprocess
import sys
import threading
import time

PORT_NAME = "paddock.control"
PORT_WAIT_S = 60.0
CHUNK_BYTES = 16384
PACKAGES = "/paddock/site-packages"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


class Port:
    """The virtio-serial port: lines in, lines out, safe to send on from several threads."""

    def __init__(self) -> None:
        self._fd = os.open(_port_path(), os.O_RDWR | os.O_CLOEXEC)
        self._sending = threading.Lock()
        self._rest = b""

    def send(self, message: dict[str, object]) -> None:
        data = json.dumps(message).encode() + b"\n"
        with self._sending:
            while data:
                data = data[os.write(self._fd, data) :]

    def receive(self) -> dict[str, object]:
        while b"\n" not in self._rest:
            received = os.read(self._fd, CHUNK_BYTES)
            if not received:  # nobody is connected outside yet
                time.sleep(0.05)
            self._rest += received
        line, self._rest = self._rest.split(b"\n", 1)
        message: dict[str, object] = json.loads(line)
        return message


def _port_path() -> str:
    """The device of our port, found by name: without udev there is no link for it."""
    deadline_s = time.monotonic() + PORT_WAIT_S
    while time.monotonic() < deadline_s:
        for name_file in glob.glob("/sys/class/virtio-ports/*/name"):
            with open(name_file) as file:
                if file.read().strip() == PORT_NAME:
                    return "/dev/" + name_file.split("/")[-2]
        time.sleep(0.05)
    raise SystemExit(f"no virtio port is named {PORT_NAME}")


class Command:
    """One command: started at once, its output sent on as it comes, its end told last."""

    def __init__(self, port: Port, message: dict[str, object]) -> None:
        self._port = port
        self._id = message["id"]
        self._message = message
        self._process: subprocess.Popen[bytes] | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def kill(self) -> None:
        """Kill the command and what shares its session."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    def _run(self) -> None:
        try:
            code = self._follow()
        except OSError as error:
            self._tell(f"{self._message['argv']}: {error}\n".encode())
            code = 127
        self._port.send({"id": self._id, "exit": code})

    def _follow(self) -> int:
        argv, environment = self._message["argv"], self._message["environment"]
        assert isinstance(argv, list)
        assert isinstance(environment, dict)
        process = subprocess.Popen(
            argv,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(base64.b64decode(str(self._message["input"])))
            process.stdin.close()
        except BrokenPipeError:
            pass  # it ended without reading: its exit code tells the rest
        # What outlives the command may keep the pipe open: the command's own end is the end, after a moment's grace.
        reader = threading.Thread(target=self._pump, args=(process.stdout.fileno(),), daemon=True)
        reader.start()
        code = process.wait()
        reader.join(timeout=2.0)
        return code

    def _pump(self, fd: int) -> None:
        while data := os.read(fd, CHUNK_BYTES):
            self._tell(data)

    def _tell(self, data: bytes) -> None:
        self._port.send({"id": self._id, "output": base64.b64encode(data).decode()})


def main() -> None:
    # As in a virtual environment: packages and tree are there for every python3, whatever its flags and environment.
    subprocess.run(["mount", "--bind", PACKAGES, f"/usr/local/lib/{PYTHON}/dist-packages"], check=True)
    port = Port()
    port.send({"id": 0, "ready": True})
    commands: dict[object, Command] = {}
    while True:
        message = port.receive()
        if message["op"] == "run":
            commands[message["id"]] = Command(port, message)
        elif message["op"] == "kill":
            commands[message["id"]].kill()


if __name__ == "__main__":
    main()
