"""A real Docker engine for tests: in a network namespace, a directory and a cgroup of its own; gone without a trace."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from testbed.engine import names, remains

# What answers slowly here is slow because the machine is.
PATIENCE_S = round(40 * float(os.environ.get("PADDOCK_TEST_TIME_SCALE", "1")))
# The oldest engine's that we know, Debian 12's, speaks 1.41.
API_VERSION = "1.41"
_NEEDED = ("dockerd", "containerd", "runc", "docker-registry", "ip", "nsenter", "busybox")
# dockerd makes it when it is missing, wherever its own directories are.
_TRUST_KEY = Path("/etc/docker/key.json")
_CONTAINERD = """version = 2
root = "{directory}/containerd/root"
state = "{directory}/containerd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
grpc = {{ address = "{directory}/containerd/socket" }}
"""


class Engine:
    """dockerd and, beside it as on any distribution, its containerd.

    `name` is that of their directory, their network namespace and their containers' cgroup. `disk_bytes`: the size of a disk
    (a tmpfs) of its own for images, containers and logs, which can be filled.
    """

    def __init__(self, *, live_restore: bool = False, disk_bytes: int = 0) -> None:
        self.name = names.new_name()
        self.live_restore = live_restore
        self._disk_bytes = disk_bytes
        self.directory = names.directory_of(self.name)
        self.socket = self.directory / "docker.sock"
        self.log = self.directory / "log"  # of both
        self._process: subprocess.Popen[bytes] | None = None
        self._containerd: subprocess.Popen[bytes] | None = None
        self._had_trust_key = _TRUST_KEY.exists()

    @property
    def url(self) -> str:
        """As clients want it."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        """dockerd's."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def network_namespace(self) -> Path:
        """Where its registry is, and where its containers' ports and those of network `host` are."""
        return remains.NETWORK_NAMESPACES / self.name

    def start(self) -> None:
        """Until it answers. The first time makes the places; later, what is in them is found again."""
        _check_installed()
        if not self.directory.exists():
            self._make_places()
        if self._containerd is None:
            self._containerd = self._run("containerd", f"--config={self.directory}/containerd.toml")
        self._process = self._run("dockerd", *self._options())
        self._wait_for_answer()

    def terminate(self) -> None:
        """SIGTERM, as a service manager ends it: its containers end too, unless live-restore is on. Ready to start again."""
        self.resume()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)

    def kill(self) -> None:
        """SIGKILL to dockerd; containerd and the containers live on."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE_S)

    def restart(self, *, live_restore: bool | None = None) -> None:
        """Terminate and start, perhaps with another setting."""
        self.terminate()
        if live_restore is not None:
            self.live_restore = live_restore
        self.start()

    def pause(self) -> None:
        """SIGSTOP: the hung engine. Connections are still taken, by the kernel, and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT; harmless for one that is not paused."""
        if self._process is not None and self._process.poll() is None:
            os.kill(self.pid, signal.SIGCONT)

    def fill_disk(self) -> None:
        """Not a byte is left on its disk."""
        assert self._disk_bytes, "only a disk of its own may be filled"
        with self._filler.open("ab", buffering=0) as file:
            for size_bytes in (1 << 20, 1 << 12):
                with suppress(OSError):
                    while file.write(bytes(size_bytes)) == size_bytes:
                        pass

    def empty_disk(self) -> None:
        """As it was before `fill_disk`; harmless without it."""
        self._filler.unlink(missing_ok=True)

    @property
    def _filler(self) -> Path:
        return self.directory / "root/filler"

    def heal(self) -> None:
        """Whatever was done to it: it answers."""
        self.empty_disk()
        self.resume()
        if self._process is None or self._process.poll() is not None:
            self.start()
        self._wait_for_answer()

    def stop(self) -> None:
        """For good, and without a trace, whatever state it and its containers are in."""
        containers = remains.container_ids(self.name)
        remains.kill(remains.members(self.name, containers))
        try:
            self.terminate()
        except subprocess.TimeoutExpired:
            self.kill()
        if self._containerd is not None:
            self._containerd.terminate()
            self._containerd.wait(PATIENCE_S)
        remains.clear(self.name)
        if not self._had_trust_key:
            _TRUST_KEY.unlink(missing_ok=True)

    def inside(self, *words: str | Path) -> list[str | Path]:
        """A command that runs these words in the engine's network namespace; `ip netns exec` would hide the cgroups."""
        return ["nsenter", f"--net={self.network_namespace}", *words]

    def _make_places(self) -> None:
        self.directory.mkdir(mode=0o700)
        (self.directory / "daemon.json").write_text("{}")
        (self.directory / "containerd.toml").write_text(_CONTAINERD.format(directory=self.directory))
        if self._disk_bytes:
            (self.directory / "root").mkdir()
            options = f"size={self._disk_bytes},mode=711"
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, self.name, self.directory / "root"], check=True)
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        subprocess.run(["ip", "-n", self.name, "link", "set", "lo", "up"], check=True)

    def _run(self, *words: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.inside(*words), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _options(self) -> list[str]:
        return [
            f"--containerd={self.directory}/containerd/socket",
            f"--config-file={self.directory}/daemon.json",
            f"--data-root={self.directory}/root",
            f"--exec-root={self.directory}/exec",
            f"--pidfile={self.directory}/docker.pid",
            f"--host={self.url}",
            "--group=0",
            "--storage-driver=overlay2",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            f"--cgroup-parent=/{self.name}",
            # How long it waits, when it ends, for containers that do not.
            "--shutdown-timeout=2",
            *(["--live-restore"] if self.live_restore else []),
        ]

    def _wait_for_answer(self) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not self._answers(deadline_s):
            assert self._process is not None
            assert self._process.poll() is None, f"dockerd ended with {self._process.returncode}:\n{self.last_words()}"
            assert time.monotonic() < deadline_s, f"dockerd does not answer:\n{self.last_words()}"
            time.sleep(0.02)

    def _answers(self, deadline_s: float) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(max(0.1, deadline_s - time.monotonic()))
                connection.connect(str(self.socket))
                connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 OK" in connection.recv(64)
        except OSError:
            return False

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])


@contextmanager
def running_engine(*, live_restore: bool = False, disk_bytes: int = 0) -> Iterator[Engine]:
    """An engine of one's own, whatever is done to it: gone afterwards."""
    engine = Engine(live_restore=live_restore, disk_bytes=disk_bytes)
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()


def _check_installed() -> None:
    missing = [program for program in _NEEDED if not shutil.which(program)]
    assert not missing, f"no engine to test with: {', '.join(missing)} missing. 'setup/install test' brings them."
