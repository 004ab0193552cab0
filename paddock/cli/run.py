"""`paddock run`: a command as a task of the cluster, with its output here, its exit code ours, and Ctrl-C for it."""

from __future__ import annotations

import argparse
import os
import secrets

from paddock.cli.connect import add_master_argument, master_addresses
from paddock.cli.container_flags import add_container_arguments, labels_of, limits_of, linux_of, rlimits_of
from paddock.cli.docker_flags import add_docker_arguments, docker_request_of
from paddock.cli.exec import command_words
from paddock.cli.health_flags import add_check_arguments, add_health_arguments, check_of, health_check_of
from paddock.cli.quantities import (
    duration_ms,
    environment_variables,
    exact_bytes,
    signal_number,
    size_bytes,
)
from paddock.cli.run_request import RunRequest
from paddock.cli.uris import command_uri
from paddock.model.errors import InvalidRequest
from paddock.model.ids import check_role, task_id
from paddock.model.resource_text import parse_scalar_milli
from paddock.model.resources import DEFAULT_ROLE
from paddock.model.task import (
    DEFAULT_KILL_GRACE_MS,
    DEFAULT_KILL_SIGNAL,
    LOG_FILE_LEAST_BYTES,
    LOG_FILE_MOST_BYTES,
    LOG_FILE_MOST_COUNT,
    CommandInfo,
    KillPolicy,
    LogPolicy,
    ResourceLimits,
)

_RESOURCES = (
    ("cpus", "0.1", "CPUs, in shares of the machine when it is busy (default 0.1)"),
    ("mem", "64MiB", "memory, swap included: MiB, or with a unit (default 64MiB)"),
    ("disk", "", "disk of its sandbox (default: not asked, and not limited)"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes; the command after -- comes as `command`."""
    parser.usage = "paddock run [FLAG…] -- CMD [ARG…]\n       paddock run --docker IMAGE [FLAG…] [-- CMD [ARG…]]"
    for name, default, text in _RESOURCES:
        parser.add_argument(f"--{name}", metavar="AMOUNT", default=default, help=text)
    parser.add_argument(
        "--cpus-limit",
        metavar="AMOUNT",
        default="",
        help="never more than so many CPUs, or none (default: the agent's)",
    )
    parser.add_argument(
        "--mem-limit", metavar="SIZE", default="", help="memory limit beyond --mem, or none (default: --mem)"
    )
    parser.add_argument(
        "--swap", metavar="SIZE", default="", help="swap on top of the memory limit, or none for no limit"
    )
    parser.add_argument(
        "--pids", metavar="COUNT", default="", help="processes and threads, or none (default: the agent's)"
    )
    parser.add_argument("-u", "--user", metavar="NAME", default="", help="run as this user (default: the caller)")
    parser.add_argument("--role", metavar="ROLE", default=DEFAULT_ROLE, help="whose share to use (default: *)")
    parser.add_argument(
        "-e", "--env", metavar="NAME=VALUE", action="append", default=[], help="environment (repeatable)"
    )
    parser.add_argument(
        "--uri",
        metavar="URI[,OPTION…]",
        action="append",
        default=[],
        help="fetch it into the sandbox first (repeatable): executable, extract=no, cache, output=NAME, sha256=HEX",
    )
    parser.add_argument(
        "-w", "--workdir", metavar="PATH", default="", help="where to run it (default: the sandbox, or the image's own)"
    )
    parser.add_argument("--name", metavar="NAME", default="", help="the task's name (default: the command's)")
    parser.add_argument("--timeout", metavar="DURATION", default="", help="end it after this long; exit code 124")
    parser.add_argument(
        "-s", "--signal", metavar="SIGNAL", default="", help="the first signal of a kill (default: TERM)"
    )
    parser.add_argument(
        "--grace", metavar="DURATION", default="", help="time from that signal to SIGKILL (default: 3s)"
    )
    parser.add_argument(
        "--log-size",
        metavar="SIZE",
        default="",
        help="of one file of its output, or none (default: the agent's, 10MiB)",
    )
    parser.add_argument(
        "--log-files", metavar="COUNT", default="", help="how many of them are kept (default: the agent's, 5)"
    )
    parser.add_argument(
        "--offer-timeout", metavar="DURATION", default="", help="give up when no offer fits for this long"
    )
    add_container_arguments(parser)
    add_docker_arguments(parser)
    add_health_arguments(parser)
    add_check_arguments(parser)
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Subscribe, take the first offer that fits, stream, and return the task's exit code."""
    request = request_of(arguments)
    from paddock.cli.run_framework import run_request  # noqa: PLC0415 - loads gRPC

    return await run_request(request, master_addresses(arguments))


def request_of(arguments: argparse.Namespace) -> RunRequest:
    """What was asked, checked before anybody is called."""
    words = tuple(arguments.command) if arguments.docker else command_words(arguments.command)
    command = CommandInfo(
        arguments=words,
        environment=environment_variables(arguments.env, "--env"),
        user=arguments.user,
        working_directory=arguments.workdir,
        uris=tuple(command_uri(text, "--uri") for text in arguments.uri),
    )
    docker = docker_request_of(arguments, command)
    called = words[0] if words or docker is None else docker.docker.image.repository
    name: str = arguments.name or os.path.basename(called) or "task"
    amounts = _amounts(arguments)
    return RunRequest(
        task_id=task_id(f"{_id_part(name)}-{secrets.token_hex(4)}", "--name"),
        name=name,
        role=check_role(arguments.role, "--role"),
        command=command,
        docker=docker,
        linux=linux_of(arguments),
        rlimits=rlimits_of(arguments),
        labels=labels_of(arguments),
        amounts_milli=amounts,
        limits=_limits(arguments, dict(amounts)),
        kill_policy=KillPolicy(
            signal=signal_number(arguments.signal, "--signal") if arguments.signal else DEFAULT_KILL_SIGNAL,
            grace_period_ms=duration_ms(arguments.grace, "--grace") if arguments.grace else DEFAULT_KILL_GRACE_MS,
        ),
        timeout_ms=_positive_ms(arguments.timeout, "--timeout"),
        health_check=health_check_of(arguments),
        check=check_of(arguments),
        offer_timeout_ms=_positive_ms(arguments.offer_timeout, "--offer-timeout"),
        log_policy=_log_policy(arguments.log_size, arguments.log_files),
    )


def _id_part(name: str) -> str:
    """What of the name may be in an id, a directory and a terminal."""
    kept = "".join(character if character.isascii() and character.isalnum() else "-" for character in name)
    return kept.strip("-")[:40] or "task"


def _amounts(arguments: argparse.Namespace) -> tuple[tuple[str, int], ...]:
    amounts = []
    for name, _, _ in _RESOURCES:
        text: str = getattr(arguments, name)
        if not text:
            continue
        milli = parse_scalar_milli(name, text, f"--{name}")
        if milli == 0:
            raise InvalidRequest(f"--{name}", text, "ask for more than nothing")
        amounts.append((name, milli))
    return tuple(amounts)


def _limits(arguments: argparse.Namespace, amounts_milli: dict[str, int]) -> ResourceLimits:
    limits = limits_of(arguments)
    if limits.cpus_milli is not None and 0 <= limits.cpus_milli < amounts_milli.get("cpus", 0):
        raise InvalidRequest(
            "--cpus-limit", arguments.cpus_limit, f"write no less than --cpus, {arguments.cpus}, or none"
        )
    if (
        arguments.mem
        and limits.memory_bytes is not None
        and 0 <= limits.memory_bytes < size_bytes(arguments.mem, "--mem")
    ):
        raise InvalidRequest("--mem-limit", arguments.mem_limit, f"write no less than --mem, {arguments.mem}, or none")
    return limits


def _log_policy(size: str, count: str) -> LogPolicy:
    file_bytes = None
    if size:
        file_bytes = -1 if size == "none" else exact_bytes(size, "--log-size")
        if file_bytes != -1 and not LOG_FILE_LEAST_BYTES <= file_bytes <= LOG_FILE_MOST_BYTES:
            raise InvalidRequest("--log-size", size, "write a size from 64KiB to 1024TiB, or none")
    if not count:
        return LogPolicy(file_bytes=file_bytes)
    if not (count.isascii() and count.isdigit()) or len(count) > 3 or not 1 <= int(count) <= LOG_FILE_MOST_COUNT:
        raise InvalidRequest("--log-files", count, f"write a number from 1 to {LOG_FILE_MOST_COUNT}")
    return LogPolicy(file_bytes=file_bytes, file_count=int(count))


def _positive_ms(text: str, flag: str) -> int:
    """0 when the flag was not given."""
    if not text:
        return 0
    milliseconds = duration_ms(text, flag)
    if milliseconds == 0:
        raise InvalidRequest(flag, text, "leave it out for no limit")
    return milliseconds
