"""A real masterd in a directory of its own, for every test that needs one; stopped, and looked after, at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0


class MasterdProcess:
    """`start` returns when it serves. Its state survives `stop` and `kill` in `directory`."""

    def __init__(self, directory: Path, *flags: str) -> None:
        self.directory = directory
        self.flags = flags
        self.unix_path = directory / "masterd.sock"
        self.log_path = directory / "masterd.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"unix:{self.unix_path}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            "masterd",
            f"--listen={self.address}",
            f"--state-dir={self.directory / 'state'}",
            *self.flags,
        ]

    def start(self) -> None:
        assert self._process is None
        served_before = self.log.count("master serves")
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment()
            )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while self.log.count("master serves") == served_before:
            code = self._process.poll()
            if code is not None:
                self._process = None
                raise AssertionError(f"masterd ended with {code} instead of serving:\n{self.log}")
            if time.monotonic() > deadline_s:
                self.kill()
                raise AssertionError(f"masterd did not serve within {START_TIMEOUT_S:g} s:\n{self.log}")
            time.sleep(0.02)

    def stop(self) -> int:
        """SIGTERM; its exit code. Its sockets are gone afterwards."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"masterd did not stop within {STOP_TIMEOUT_S:g} s:\n{self.log}") from None
        left = sorted(path.name for path in self.directory.glob("masterd.sock*"))
        assert not left, f"masterd left sockets behind: {left}"
        return code

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _environment() -> dict[str, str]:
    """Ours without settings of a Paddock that is installed beside."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PADDOCK_")}
