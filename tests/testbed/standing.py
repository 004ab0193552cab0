"""Tasks that stay until they are let go, on the host that they were launched for; and all that was told of them."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

from testbed.three_hosts import ADDRESSES, MASTER, MASTER_PORT, Testbed
from tests.testbed import standing_framework
from tests.testbed.patience import until

# It says once that it has begun and once that it ends, on its host's disk; the code is its own.
STAY = (
    'echo "$0 begin" >>/var/tmp/stayed; '
    'while [ ! -e /var/tmp/let-go ]; do sleep 0.5; done; echo "$0 end" >>/var/tmp/stayed; exit '
)


class Standing:
    """Use it as `with`: its framework is outside of the three hosts."""

    def __init__(self, testbed: Testbed, name: str, refuse_s: float = 0.5) -> None:
        """Nothing is started yet. `refuse_s`: for how long it refuses what it has no task for."""
        self.testbed = testbed
        # A testbed lives through many tests, and its master remembers their tasks.
        self.name = f"{name}-{secrets.token_hex(2)}"
        self._refuse_s = refuse_s
        self.hosts: dict[str, str] = {}
        self._heard = testbed.directory / f"{self.name}.heard"

    def __enter__(self) -> Self:
        """Subscribes."""
        words = [
            sys.executable,
            standing_framework.__file__,
            f"{ADDRESSES[MASTER]}:{MASTER_PORT}",
            self.name,
            str(self._refuse_s),
        ]
        with self._heard.open("wb") as heard:
            self._process = subprocess.Popen(
                self.testbed.outside(words), stdin=subprocess.PIPE, stdout=heard, stderr=heard, text=True
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Its tasks are killed, where a test left them; nothing of it runs here."""
        try:
            for task in self.hosts:
                if not self.is_over(task):
                    self.testbed.exec(MASTER, "paddock", "kill", self.id(task), "--grace=0")
            until(lambda: all(map(self.is_over, self.hosts)), self.words)
        finally:
            self._process.kill()
            self._process.communicate()
            for host in set(self.hosts.values()):
                self.testbed.exec(host, "rm", "-f", "/var/tmp/stayed", "/var/tmp/let-go")

    def id(self, task: str) -> str:
        """As the cluster knows it."""
        return f"{self.name}-{task}"

    def launch(self, task: str, host: str, line: str) -> None:
        """As soon as that host is offered."""
        self.hosts[task] = host
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"task": self.id(task), "host": host, "line": line}) + "\n")
        self._process.stdin.flush()

    def run(self, task: str, host: str, line: str = "exit 0") -> dict[str, Any]:
        """To its end, which is returned."""
        self.launch(task, host, line)
        until(lambda: self.is_over(task), self.words)
        return self.heard(task)[-1]

    def lines(self) -> list[dict[str, Any]]:
        """All that it was told, oldest first."""
        whole, _, _ = self._heard.read_text(encoding="utf-8").rpartition("\n")  # the last one may be half written
        return [json.loads(line) for line in whole.splitlines() if line[:1] == "{"]

    def heard(self, task: str) -> list[dict[str, Any]]:
        """Of one task."""
        return [line for line in self.lines() if line.get("task") == self.id(task)]

    def offered_s(self, host: str) -> list[float]:
        """When it was offered that host, on this machine's monotonic clock."""
        return [line["at_s"] for line in self.lines() if line.get("offered") == host]

    def states(self, task: str) -> list[str]:
        """Of one task, oldest first."""
        return [line["state"] for line in self.heard(task)]

    def is_over(self, task: str) -> bool:
        """It was told to have ended."""
        return bool(
            {"FINISHED", "FAILED", "KILLED", "GONE", "DROPPED", "ERROR", "LOST"}.intersection(self.states(task))
        )

    def becomes(self, task: str, state: str) -> None:
        """Waits until that is the last that was told of it."""
        until(lambda: self.states(task)[-1:] == [state], lambda: f"{self.id(task)} is not {state}: {self.words()}")

    def let_go(self, host: str) -> None:
        """Whoever stays there ends by itself."""
        assert self.testbed.exec(host, "touch", "/var/tmp/let-go").returncode == 0

    def stayed(self, host: str) -> list[str]:
        """What those who stay there have written, oldest first."""
        return self.testbed.exec(host, "cat", "/var/tmp/stayed").stdout.splitlines()

    def words(self) -> str:
        """For a person who looks why."""
        return f"{self._heard.read_text(encoding='utf-8')}\n{self.testbed.last_words()}"
