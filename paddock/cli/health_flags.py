"""How a task's health is to be checked, from `paddock run`'s flags."""

from __future__ import annotations

import argparse
import re

from paddock.cli.quantities import duration_ms
from paddock.model.errors import InvalidRequest
from paddock.model.health import (
    DEFAULT_DELAY_MS,
    DEFAULT_FAILURE_COUNT,
    DEFAULT_GRACE_MS,
    DEFAULT_INTERVAL_MS,
    DEFAULT_TIMEOUT_MS,
    HealthCheck,
    HttpCheck,
    TcpCheck,
)

_KINDS = ("--health-cmd", "--health-http", "--health-tcp")
_TIMES = (
    ("delay", DEFAULT_DELAY_MS, "from the start to the first check"),
    ("interval", DEFAULT_INTERVAL_MS, "from the end of a check to the next"),
    ("timeout", DEFAULT_TIMEOUT_MS, "a check that takes longer has failed"),
    ("grace", DEFAULT_GRACE_MS, "from the start, failures do not count until one has passed"),
)
_HTTP = re.compile(r"(?:(https?):)?(\d{1,5})(/.*)?", re.ASCII)
_LEAST_INTERVAL_MS = 100
_PORT_LIMIT = 65_535


def add_health_arguments(parser: argparse.ArgumentParser) -> None:
    """--health-…"""
    parser.add_argument(
        "--health-cmd", metavar="LINE", default="", help="check by this shell line, run inside the task"
    )
    parser.add_argument(
        "--health-http", metavar="[https:]PORT[/PATH]", default="", help="check by GET; 200 to 399 is healthy"
    )
    parser.add_argument("--health-tcp", metavar="PORT", default="", help="check by a connection that is accepted")
    for name, default_ms, text in _TIMES:
        help_text = f"{text} (default: {default_ms // 1000}s)"
        parser.add_argument(f"--health-{name}", metavar="DURATION", default="", help=help_text)
    parser.add_argument(
        "--health-failures",
        metavar="COUNT",
        default="",
        help=f"so many failures in a row end the task (default: {DEFAULT_FAILURE_COUNT})",
    )


def health_check_of(arguments: argparse.Namespace) -> HealthCheck | None:
    """None without a check. Raises InvalidRequest naming the flag."""
    command, http, tcp = arguments.health_cmd, arguments.health_http, arguments.health_tcp
    given = [flag for flag, value in zip(_KINDS, (command, http, tcp), strict=True) if value]
    if len(given) > 1:
        raise InvalidRequest(given[1], http or tcp, f"a task has one check: leave {given[0]} or this out")
    if not given:
        _refuse_alone(arguments)
        return None
    interval_ms = _time_ms(arguments, "interval", DEFAULT_INTERVAL_MS)
    if interval_ms < _LEAST_INTERVAL_MS:
        raise InvalidRequest("--health-interval", arguments.health_interval, f"use at least {_LEAST_INTERVAL_MS}ms")
    timeout_ms = _time_ms(arguments, "timeout", DEFAULT_TIMEOUT_MS)
    if timeout_ms == 0:
        raise InvalidRequest("--health-timeout", arguments.health_timeout, "use at least 1ms")
    return HealthCheck(
        command=command,
        http=_http(http) if http else None,
        tcp=TcpCheck(port=_port(tcp, "--health-tcp", tcp)) if tcp else None,
        delay_ms=_time_ms(arguments, "delay", DEFAULT_DELAY_MS),
        interval_ms=interval_ms,
        timeout_ms=timeout_ms,
        grace_ms=_time_ms(arguments, "grace", DEFAULT_GRACE_MS),
        failure_count=_failures(arguments.health_failures),
    )


def _refuse_alone(arguments: argparse.Namespace) -> None:
    """A time of no check would be silently nothing."""
    for name in (*(name for name, _, _ in _TIMES), "failures"):
        value: str = getattr(arguments, f"health_{name}")
        if value:
            raise InvalidRequest(f"--health-{name}", value, f"say how to check: {', '.join(_KINDS)}")


def _time_ms(arguments: argparse.Namespace, name: str, default_ms: int) -> int:
    text: str = getattr(arguments, f"health_{name}")
    return duration_ms(text, f"--health-{name}") if text else default_ms


def _failures(text: str) -> int:
    if not text:
        return DEFAULT_FAILURE_COUNT
    if not (text.isascii() and text.isdigit()) or not 1 <= len(text) <= 6 or int(text) == 0:
        raise InvalidRequest("--health-failures", text, "write a number from 1 to 999999")
    return int(text)


def _http(text: str) -> HttpCheck:
    match = _HTTP.fullmatch(text)
    if match is None:
        raise InvalidRequest("--health-http", text, "write a port and a path, as in 8080/healthz or https:8443")
    scheme, port, path = match.groups()
    return HttpCheck(port=_port(port, "--health-http", text), path=path or "/", scheme=scheme or "http")


def _port(digits: str, flag: str, text: str) -> int:
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 5 or not 1 <= int(digits) <= _PORT_LIMIT:
        raise InvalidRequest(flag, text, f"write a port, 1 to {_PORT_LIMIT}")
    return int(digits)
