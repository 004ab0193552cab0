"""How a task and its health are checked, and what a check found, protobuf ↔ model."""

from __future__ import annotations

import re

from paddock.model.errors import InvalidRequest
from paddock.model.health import (
    DEFAULT_DELAY_MS,
    DEFAULT_FAILURE_COUNT,
    DEFAULT_GRACE_MS,
    DEFAULT_INTERVAL_MS,
    DEFAULT_TIMEOUT_MS,
    Check,
    CheckStatus,
    HealthCheck,
    HealthEvidence,
    HttpCheck,
    TcpCheck,
)
from paddock.wire.convert import bounds
from paddock.wire.v1 import tasks_pb2 as pb

PORT_LIMIT = 65_535
INTERVAL_LEAST_MS = 100
"""A check costs a process, or a connection: ten of a task each second are enough for anybody."""

FAILURES_LIMIT_COUNT = 1_000_000
_STATUSES_LIMIT_COUNT = 100
# What a request line can carry as it is: no blank, nothing that would begin another line, nothing beyond ASCII.
_PATH = re.compile(r"/[!-~]{0,2047}", re.ASCII)


def health_check_from_wire(message: pb.CheckInfo, field: str = "health_check") -> HealthCheck:
    """Exactly one kind; absent times are Mesos' defaults."""
    plain = _plain_check_from_wire(message, field)
    failure_count = message.consecutive_failures if message.HasField("consecutive_failures") else DEFAULT_FAILURE_COUNT
    if failure_count > FAILURES_LIMIT_COUNT:
        raise InvalidRequest(f"{field}.consecutive_failures", failure_count, f"use at most {FAILURES_LIMIT_COUNT}")
    return HealthCheck.judging(
        plain,
        grace_ms=_time_ms(message, "grace_period_ms", DEFAULT_GRACE_MS, field),
        failure_count=failure_count,
    )


def check_from_wire(message: pb.CheckInfo, field: str = "check") -> Check:
    """One that only informs: whatever would judge what it finds is refused."""
    remedy = "a check that only informs has none: leave it out, or use health_check"
    if message.HasField("grace_period_ms"):
        raise InvalidRequest(f"{field}.grace_period_ms", message.grace_period_ms, remedy)
    if message.HasField("consecutive_failures"):
        raise InvalidRequest(f"{field}.consecutive_failures", message.consecutive_failures, remedy)
    if message.http.statuses:
        raise InvalidRequest(f"{field}.http.statuses", message.http.statuses[0], remedy)
    return _plain_check_from_wire(message, field)


def _plain_check_from_wire(message: pb.CheckInfo, field: str) -> Check:
    kinds = [name for name in ("http", "tcp") if message.HasField(name)] + (["command"] if message.command else [])
    if len(kinds) != 1:
        raise InvalidRequest(field, " and ".join(kinds), "give exactly one of command, http and tcp")
    interval_ms = _time_ms(message, "interval_ms", DEFAULT_INTERVAL_MS, field)
    if interval_ms < INTERVAL_LEAST_MS:
        raise InvalidRequest(f"{field}.interval_ms", interval_ms, f"use at least {INTERVAL_LEAST_MS} ms")
    timeout_ms = _time_ms(message, "timeout_ms", DEFAULT_TIMEOUT_MS, field)
    if timeout_ms == 0:
        raise InvalidRequest(f"{field}.timeout_ms", timeout_ms, "no check can be as quick as that: use at least 1 ms")
    return Check(
        command=bounds.text(message.command, f"{field}.command", bounds.MESSAGE_LIMIT_BYTES),
        http=_http_from_wire(message.http, f"{field}.http") if message.HasField("http") else None,
        tcp=TcpCheck(port=_port(message.tcp.port, f"{field}.tcp.port")) if message.HasField("tcp") else None,
        delay_ms=_time_ms(message, "delay_ms", DEFAULT_DELAY_MS, field),
        interval_ms=interval_ms,
        timeout_ms=timeout_ms,
    )


def health_check_to_wire(check: HealthCheck) -> pb.CheckInfo:
    """Always spelled out."""
    message = check_to_wire(check)
    message.grace_period_ms = check.grace_ms
    message.consecutive_failures = check.failure_count
    return message


def check_to_wire(check: Check) -> pb.CheckInfo:
    """Always spelled out."""
    http = check.http
    return pb.CheckInfo(
        command=check.command,
        http=None
        if http is None
        else pb.HttpCheck(port=http.port, path=http.path, scheme=http.scheme, statuses=http.statuses),
        tcp=None if check.tcp is None else pb.TcpCheck(port=check.tcp.port),
        delay_ms=check.delay_ms,
        interval_ms=check.interval_ms,
        timeout_ms=check.timeout_ms,
    )


def _time_ms(message: pb.CheckInfo, name: str, default_ms: int, field: str) -> int:
    if not message.HasField(name):  # type: ignore[arg-type]  # the stub knows the names as literals
        return default_ms
    value: int = getattr(message, name)
    return bounds.duration_ms(value, f"{field}.{name}")


def _http_from_wire(message: pb.HttpCheck, field: str) -> HttpCheck:
    path, scheme = message.path or "/", message.scheme or "http"
    if not _PATH.fullmatch(path):
        raise InvalidRequest(f"{field}.path", path, "begin with /, and escape what is not a visible ASCII character")
    if scheme not in {"http", "https"}:
        raise InvalidRequest(f"{field}.scheme", scheme, "use http or https")
    bounds.count(message.statuses, f"{field}.statuses", _STATUSES_LIMIT_COUNT)
    for index, status in enumerate(message.statuses):
        if not 100 <= status <= 599:
            raise InvalidRequest(f"{field}.statuses[{index}]", status, "use a status of HTTP, 100 to 599")
    return HttpCheck(
        port=_port(message.port, f"{field}.port"), path=path, scheme=scheme, statuses=tuple(message.statuses)
    )


def _port(value: int, field: str) -> int:
    if not 1 <= value <= PORT_LIMIT:
        raise InvalidRequest(field, value, f"use a port, 1 to {PORT_LIMIT}")
    return value


def health_evidence_from_wire(message: pb.HealthEvidence, field: str) -> HealthEvidence:
    """As a client reads it."""
    return HealthEvidence(
        passed=message.passed,
        message=bounds.text(message.message, f"{field}.message", bounds.MESSAGE_LIMIT_BYTES),
        failed_count=message.failed_count,
        took_ms=message.took_ms,
        exit_code=message.exit_code if message.HasField("exit_code") else None,
        http_status=message.http_status if message.HasField("http_status") else None,
        output=bounds.text(message.output, f"{field}.output", bounds.MESSAGE_LIMIT_BYTES),
    )


def health_evidence_to_wire(evidence: HealthEvidence) -> pb.HealthEvidence:
    """What health_evidence_from_wire turns back into the same."""
    return pb.HealthEvidence(
        passed=evidence.passed,
        message=bounds.shown(evidence.message),
        failed_count=evidence.failed_count,
        took_ms=evidence.took_ms,
        exit_code=evidence.exit_code,
        http_status=evidence.http_status,
        output=bounds.shown(evidence.output),
    )


def check_status_from_wire(message: pb.CheckStatus, field: str = "check_status") -> CheckStatus:
    """As a client reads it."""
    return CheckStatus(
        exit_code=message.exit_code if message.HasField("exit_code") else None,
        http_status=message.http_status if message.HasField("http_status") else None,
        tcp_succeeded=message.tcp_succeeded if message.HasField("tcp_succeeded") else None,
        message=bounds.text(message.message, f"{field}.message", bounds.MESSAGE_LIMIT_BYTES),
        took_ms=message.took_ms,
        output=bounds.text(message.output, f"{field}.output", bounds.MESSAGE_LIMIT_BYTES),
    )


def check_status_to_wire(status: CheckStatus) -> pb.CheckStatus:
    """What check_status_from_wire turns back into the same."""
    return pb.CheckStatus(
        exit_code=status.exit_code,
        http_status=status.http_status,
        tcp_succeeded=status.tcp_succeeded,
        message=bounds.shown(status.message),
        took_ms=status.took_ms,
        output=bounds.shown(status.output),
    )
