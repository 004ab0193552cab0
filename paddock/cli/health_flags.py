"""How a task and its health are to be checked, from `paddock run`'s flags."""

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
    Check,
    HealthCheck,
    HttpCheck,
    TcpCheck,
)

_KINDS = ("cmd", "http", "tcp")
_TIMES = (
    ("delay", DEFAULT_DELAY_MS, "from the start to the first check"),
    ("interval", DEFAULT_INTERVAL_MS, "from the end of a check to the next"),
    ("timeout", DEFAULT_TIMEOUT_MS, "a check that takes longer has failed"),
)
_GRACE = ("grace", DEFAULT_GRACE_MS, "from the start, failures do not count until one has passed")
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
    _add_times(parser, "health", (*_TIMES, _GRACE))
    parser.add_argument(
        "--health-failures",
        metavar="COUNT",
        default="",
        help=f"so many failures in a row end the task (default: {DEFAULT_FAILURE_COUNT})",
    )


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    """--check-…"""
    parser.add_argument(
        "--check-cmd", metavar="LINE", default="", help="only inform about this shell line's exit code; never kills"
    )
    parser.add_argument(
        "--check-http", metavar="[https:]PORT[/PATH]", default="", help="only inform about a GET's status"
    )
    parser.add_argument("--check-tcp", metavar="PORT", default="", help="only inform whether a connection is accepted")
    _add_times(parser, "check", _TIMES)


def _add_times(parser: argparse.ArgumentParser, prefix: str, times: tuple[tuple[str, int, str], ...]) -> None:
    for name, default_ms, text in times:
        help_text = f"{text} (default: {default_ms // 1000}s)"
        parser.add_argument(f"--{prefix}-{name}", metavar="DURATION", default="", help=help_text)


def health_check_of(arguments: argparse.Namespace) -> HealthCheck | None:
    """None without a check. Raises InvalidRequest naming the flag."""
    plain = _plain_check_of(arguments, "health", ("grace", "failures"))
    if plain is None:
        return None
    return HealthCheck.judging(
        plain,
        grace_ms=_time_ms(arguments, "health", "grace", DEFAULT_GRACE_MS),
        failure_count=_failures(arguments.health_failures),
    )


def check_of(arguments: argparse.Namespace) -> Check | None:
    """The one that only informs. None without. Raises InvalidRequest naming the flag."""
    return _plain_check_of(arguments, "check", ())


def _plain_check_of(arguments: argparse.Namespace, prefix: str, more: tuple[str, ...]) -> Check | None:
    flags = [f"--{prefix}-{kind}" for kind in _KINDS]
    command, http, tcp = (_text(arguments, prefix, kind) for kind in _KINDS)
    given = [flag for flag, value in zip(flags, (command, http, tcp), strict=True) if value]
    if len(given) > 1:
        raise InvalidRequest(given[1], http or tcp, f"a task has one of these: leave {given[0]} or this out")
    if not given:
        _refuse_alone(arguments, prefix, (*(name for name, _, _ in _TIMES), *more))
        return None
    interval_ms = _time_ms(arguments, prefix, "interval", DEFAULT_INTERVAL_MS)
    if interval_ms < _LEAST_INTERVAL_MS:
        value = _text(arguments, prefix, "interval")
        raise InvalidRequest(f"--{prefix}-interval", value, f"use at least {_LEAST_INTERVAL_MS}ms")
    timeout_ms = _time_ms(arguments, prefix, "timeout", DEFAULT_TIMEOUT_MS)
    if timeout_ms == 0:
        raise InvalidRequest(f"--{prefix}-timeout", _text(arguments, prefix, "timeout"), "use at least 1ms")
    return Check(
        command=command,
        http=_http(http, f"--{prefix}-http") if http else None,
        tcp=TcpCheck(port=_port(tcp, f"--{prefix}-tcp", tcp)) if tcp else None,
        delay_ms=_time_ms(arguments, prefix, "delay", DEFAULT_DELAY_MS),
        interval_ms=interval_ms,
        timeout_ms=timeout_ms,
    )


def _text(arguments: argparse.Namespace, prefix: str, name: str) -> str:
    value: str = getattr(arguments, f"{prefix}_{name}")
    return value


def _refuse_alone(arguments: argparse.Namespace, prefix: str, names: tuple[str, ...]) -> None:
    """A time of no check would be silently nothing."""
    for name in names:
        value = _text(arguments, prefix, name)
        if value:
            kinds = ", ".join(f"--{prefix}-{kind}" for kind in _KINDS)
            raise InvalidRequest(f"--{prefix}-{name}", value, f"say how to check: {kinds}")


def _time_ms(arguments: argparse.Namespace, prefix: str, name: str, default_ms: int) -> int:
    text = _text(arguments, prefix, name)
    return duration_ms(text, f"--{prefix}-{name}") if text else default_ms


def _failures(text: str) -> int:
    if not text:
        return DEFAULT_FAILURE_COUNT
    if not (text.isascii() and text.isdigit()) or not 1 <= len(text) <= 6 or int(text) == 0:
        raise InvalidRequest("--health-failures", text, "write a number from 1 to 999999")
    return int(text)


def _http(text: str, flag: str) -> HttpCheck:
    match = _HTTP.fullmatch(text)
    if match is None:
        raise InvalidRequest(flag, text, "write a port and a path, as in 8080/healthz or https:8443")
    scheme, port, path = match.groups()
    return HttpCheck(port=_port(port, flag, text), path=path or "/", scheme=scheme or "http")


def _port(digits: str, flag: str, text: str) -> int:
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 5 or not 1 <= int(digits) <= _PORT_LIMIT:
        raise InvalidRequest(flag, text, f"write a port, 1 to {_PORT_LIMIT}")
    return int(digits)
