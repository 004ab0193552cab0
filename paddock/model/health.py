"""Checks of a task, of its health and such as only inform: how they are to be made, and what one found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

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
class Check:
    """Exactly one of `command` (a shell line, run in the task's container), `http` and `tcp`.

    The first check comes `delay_ms` after the command's start, each further one `interval_ms` after the end of the last.
    """

    command: str = ""
    http: HttpCheck | None = None
    tcp: TcpCheck | None = None
    delay_ms: int = DEFAULT_DELAY_MS
    interval_ms: int = DEFAULT_INTERVAL_MS
    timeout_ms: int = DEFAULT_TIMEOUT_MS

    def __str__(self) -> str:
        """What is asked, for people."""
        if self.http is not None:
            return f"GET {self.http.scheme}://127.0.0.1:{self.http.port}{self.http.path}"
        if self.tcp is not None:
            return f"connect to 127.0.0.1:{self.tcp.port}"
        return f"command {self.command!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck(Check):
    """Failures within `grace_ms` of the start do not count as long as none has passed; `failure_count` in a row end it."""

    grace_ms: int = DEFAULT_GRACE_MS
    failure_count: int = DEFAULT_FAILURE_COUNT

    @classmethod
    def judging(cls, check: Check, *, grace_ms: int, failure_count: int) -> Self:
        """By what that check finds."""
        return cls(
            command=check.command,
            http=check.http,
            tcp=check.tcp,
            delay_ms=check.delay_ms,
            interval_ms=check.interval_ms,
            timeout_ms=check.timeout_ms,
            grace_ms=grace_ms,
            failure_count=failure_count,
        )


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckStatus:
    """What a check that only informs has found. Without exit code, HTTP status and word about the connection it gave no result,
    and `message` says why.
    """

    exit_code: int | None = None
    http_status: int | None = None
    tcp_succeeded: bool | None = None
    message: str = ""
    took_ms: int = 0
    output: str = ""

    @property
    def result(self) -> tuple[int | None, int | None, bool | None]:
        """What is told when it changes."""
        return self.exit_code, self.http_status, self.tcp_succeeded
