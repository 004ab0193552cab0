"""A real registry on loopback in an engine's network namespace; with a password or without; it can be paused."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from testbed.engine.engine import PATIENCE_S, Engine

USER = "paddock"
PASSWORD = "open sesame"
# The registry takes bcrypt only.
_PASSWORD_HASH = "$2b$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW"


class Registry:
    """docker-registry, in a directory of the engine's: gone with it, if not before."""

    def __init__(self, engine: Engine, *, port: int, needs_password: bool) -> None:
        self.address = f"127.0.0.1:{port}"
        self._engine = engine
        self._needs_password = needs_password
        self._directory = engine.directory / f"registry-{port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Until it takes connections."""
        self._directory.mkdir(exist_ok=True)
        (self._directory / "htpasswd").write_text(f"{USER}:{_PASSWORD_HASH}\n")
        configuration = self._directory / "config.yml"
        configuration.write_text(self._configuration())
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self._engine.inside("docker-registry", "serve", configuration),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline_s = time.monotonic() + PATIENCE_S
        while b"listening on" not in (self._directory / "log").read_bytes():
            assert self._process.poll() is None, (self._directory / "log").read_text()
            assert time.monotonic() < deadline_s, "docker-registry does not listen"
            time.sleep(0.02)

    def pause(self) -> None:
        """SIGSTOP: the hung registry."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """What was pushed stays, for a later start."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_S)

    def _configuration(self) -> str:
        lines = [
            "version: 0.1",
            "log: {level: info, accesslog: {disabled: true}}",
            f"storage: {{filesystem: {{rootdirectory: {self._directory}/blobs}}, delete: {{enabled: true}}}}",
            f"http: {{addr: '{self.address}'}}",
        ]
        if self._needs_password:
            lines.append(f"auth: {{htpasswd: {{realm: paddock, path: {self._directory}/htpasswd}}}}")
        return "\n".join(lines) + "\n"


@contextmanager
def running_registry(engine: Engine, *, port: int = 5000, needs_password: bool = False) -> Iterator[Registry]:
    """Listens on 127.0.0.1 where the engine is, and nowhere else."""
    registry = Registry(engine, port=port, needs_password=needs_password)
    try:
        registry.start()
        yield registry
    finally:
        registry.stop()
