"""A task's health: how it is to be checked, and what one check found."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_DELAY_MS = 15_000
DEFAULT_INTERVAL_MS = 10_000
DEFAULT_TIMEOUT_MS = 20_000
DEFAULT_GRACE_MS = 10_000
DEFAULT_FAILURE_COUNT = 3
"""Mesos' numbers, all five."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCheck:
    """GET to the agent's own host. `statuses` empty: 200 to 399 are healthy. `scheme`: http or https (no certificate is
    checked: it is for a name, and the task is asked at 127.0.0.1).
    """

    port: int
    path: str = "/"
    scheme: str = "http"
    statuses: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpCheck:
    """A connection to the agent's own host that is accepted."""

    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """Exactly one of `command` (a shell line, run in the task's container), `http` and `tcp`.

    The first check comes `delay_ms` after the command's start, each further one `interval_ms` after the end of the last.
    Failures within `grace_ms` of the start do not count as long as none has passed; `failure_count` in a row end the task.
    """

    command: str = ""
    http: HttpCheck | None = None
    tcp: TcpCheck | None = None
    delay_ms: int = DEFAULT_DELAY_MS
    interval_ms: int = DEFAULT_INTERVAL_MS
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    grace_ms: int = DEFAULT_GRACE_MS
    failure_count: int = DEFAULT_FAILURE_COUNT

    def __str__(self) -> str:
        """What is asked, for people."""
        if self.http is not None:
            return f"GET {self.http.scheme}://127.0.0.1:{self.http.port}{self.http.path}"
        if self.tcp is not None:
            return f"connect to 127.0.0.1:{self.tcp.port}"
        return f"command {self.command!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthEvidence:
    """What one check found. `message` is for people; `output` is the end of what a command wrote.

    `failed_count`: how many have failed in a row, this one with them.
    """

    passed: bool
    message: str
    failed_count: int = 0
    took_ms: int = 0
    exit_code: int | None = None
    http_status: int | None = None
    output: str = ""
