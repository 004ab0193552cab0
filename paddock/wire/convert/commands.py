"""What a task or container is to run and how, protobuf ↔ model: command, limits, kill policy, logs."""

from __future__ import annotations

from collections.abc import Sequence

from paddock.model.errors import InvalidRequest
from paddock.model.resources import MILLI_LIMIT
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
from paddock.model.uri import CommandUri, check_uri
from paddock.wire.convert import bounds
from paddock.wire.convert.remembered import remembered
from paddock.wire.v1 import tasks_pb2 as pb

UNLIMITED = -1
"""As a limit: none."""

URIS_LIMIT_COUNT = 100

_SIGNAL_LIMIT = 64


@remembered
def command_from_wire(message: pb.CommandInfo, field: str = "command", *, of_image: bool = False) -> CommandInfo:
    """Either a shell line or a program with arguments; the kernel's own limits at exec are left to the kernel. `of_image`: an
    image says what to run where the arguments do not.
    """
    if message.shell:
        if not message.value or message.arguments:
            raise InvalidRequest(f"{field}.value", message.value, "with shell, give the line in value and no arguments")
    elif message.value:
        raise InvalidRequest(f"{field}.value", message.value, "set shell, or give program and arguments in arguments")
    elif not of_image and (not message.arguments or not message.arguments[0]):
        raise InvalidRequest(f"{field}.arguments", list(message.arguments), "name the program to run")
    words = (message.value, *message.arguments)
    for index, word in enumerate(message.arguments):
        bounds.text(word, f"{field}.arguments[{index}]", bounds.COMMAND_LIMIT_BYTES)
    bounds.text(message.value, f"{field}.value", bounds.COMMAND_LIMIT_BYTES)
    if sum(len(word.encode()) + 1 for word in words) > bounds.COMMAND_LIMIT_BYTES:
        raise InvalidRequest(
            field, words[:2], f"use at most {bounds.COMMAND_LIMIT_BYTES} bytes for all arguments together"
        )
    if any(mark in message.user for mark in ":/\n"):
        raise InvalidRequest(f"{field}.user", message.user, "name a user of the agent's host")
    return CommandInfo(
        shell=message.shell,
        value=message.value,
        arguments=tuple(message.arguments),
        environment=environment_from_wire(message.environment, f"{field}.environment"),
        user=bounds.text(message.user, f"{field}.user"),
        working_directory=bounds.text(message.working_directory, f"{field}.working_directory", bounds.PATH_LIMIT_BYTES),
        uris=uris_from_wire(message.uris, f"{field}.uris"),
    )


def command_to_wire(command: CommandInfo) -> pb.CommandInfo:
    """In the same order, the environment too."""
    return pb.CommandInfo(
        shell=command.shell,
        value=command.value,
        arguments=command.arguments,
        environment=[pb.EnvironmentVariable(name=name, value=value) for name, value in command.environment],
        user=command.user,
        working_directory=command.working_directory,
        uris=[_uri_to_wire(uri) for uri in command.uris],
    )


def uris_from_wire(messages: Sequence[pb.CommandUri], field: str = "uris") -> tuple[CommandUri, ...]:
    """Each by its own rule; two for one file would leave open which of them the command finds there."""
    bounds.count(messages, field, URIS_LIMIT_COUNT)
    uris = tuple(check_uri(_uri_from_wire(message), f"{field}[{index}]") for index, message in enumerate(messages))
    places: set[str] = set()
    for index, uri in enumerate(uris):
        if uri.archive is None and uri.file_name in places:
            raise InvalidRequest(f"{field}[{index}].output_file", uri.file_name, "give each file a name of its own")
        places.add(uri.file_name)
    return uris


def _uri_from_wire(message: pb.CommandUri) -> CommandUri:
    return CommandUri(
        value=message.value,
        executable=message.executable,
        extract=message.extract if message.HasField("extract") else True,
        cache=message.cache,
        output_file=message.output_file,
        checksum=message.checksum,
    )


def _uri_to_wire(uri: CommandUri) -> pb.CommandUri:
    return pb.CommandUri(
        value=uri.value,
        executable=uri.executable,
        extract=uri.extract,
        cache=uri.cache,
        output_file=uri.output_file,
        checksum=uri.checksum,
    )


def environment_from_wire(
    messages: Sequence[pb.EnvironmentVariable], field: str = "environment"
) -> tuple[tuple[str, str], ...]:
    """Names without `=`, each once; 1 MiB together. Values never come into an error's words: they may be secrets."""
    total_bytes = 0
    for index, message in enumerate(messages):
        name, value = message.name, message.value
        if not name or "=" in name or "\0" in name:
            raise InvalidRequest(f"{field}[{index}].name", name, "use a name without '=' and NUL")
        if "\0" in value:
            raise InvalidRequest(f"{field}[{index}].value", f"the value of {name}", "use a value without NUL")
        total_bytes += len(name.encode()) + len(value.encode()) + 2
        if total_bytes > bounds.COMMAND_LIMIT_BYTES:
            remedy = f"use at most {bounds.COMMAND_LIMIT_BYTES} bytes for the whole environment; put more into a file"
            raise InvalidRequest(field, f"{len(messages)} variables", remedy)
    bounds.unique([message.name for message in messages], field)
    return tuple((message.name, message.value) for message in messages)


@remembered
def kill_policy_from_wire(message: pb.KillPolicy, field: str = "kill_policy") -> KillPolicy:
    """An absent message, an absent grace and signal 0 mean the defaults."""
    if message.signal > _SIGNAL_LIMIT:
        raise InvalidRequest(f"{field}.signal", message.signal, "use a signal's number, 1 to 64")
    grace_ms = message.grace_period_ms if message.HasField("grace_period_ms") else DEFAULT_KILL_GRACE_MS
    return KillPolicy(
        signal=message.signal or DEFAULT_KILL_SIGNAL,
        grace_period_ms=bounds.duration_ms(grace_ms, f"{field}.grace_period_ms"),
    )


def kill_policy_to_wire(policy: KillPolicy) -> pb.KillPolicy:
    """Always spelled out."""
    return pb.KillPolicy(signal=policy.signal, grace_period_ms=policy.grace_period_ms)


@remembered
def limits_from_wire(message: pb.ResourceLimits, field: str = "limits") -> ResourceLimits:
    """Absent fields stay None; -1 is no limit."""
    return ResourceLimits(
        cpus_milli=_limit(message.cpus_milli, f"{field}.cpus_milli", 1, MILLI_LIMIT)
        if message.HasField("cpus_milli")
        else None,
        memory_bytes=_limit(message.memory_bytes, f"{field}.memory_bytes", 1)
        if message.HasField("memory_bytes")
        else None,
        swap_bytes=_limit(message.swap_bytes, f"{field}.swap_bytes", 0) if message.HasField("swap_bytes") else None,
        pids_count=_limit(message.pids_count, f"{field}.pids_count", 1) if message.HasField("pids_count") else None,
    )


def limits_to_wire(limits: ResourceLimits) -> pb.ResourceLimits | None:
    """None, absent, when no limit is given."""
    if limits == ResourceLimits():
        return None
    return pb.ResourceLimits(
        cpus_milli=limits.cpus_milli,
        memory_bytes=limits.memory_bytes,
        swap_bytes=limits.swap_bytes,
        pids_count=limits.pids_count,
    )


def _limit(value: int, field: str, least: int, most: int = 2**63 - 1) -> int:
    if value != UNLIMITED and not least <= value <= most:
        raise InvalidRequest(field, value, f"use a number from {least} to {most}, or {UNLIMITED} for no limit")
    return value


@remembered
def log_policy_from_wire(message: pb.LogPolicy, field: str = "log_policy") -> LogPolicy:
    """Absent fields stay None; -1 is no limit."""
    file_bytes = message.file_bytes if message.HasField("file_bytes") else None
    file_count = message.file_count if message.HasField("file_count") else None
    if file_bytes is not None:
        _limit(file_bytes, f"{field}.file_bytes", LOG_FILE_LEAST_BYTES, LOG_FILE_MOST_BYTES)
    if file_count is not None and not 1 <= file_count <= LOG_FILE_MOST_COUNT:
        raise InvalidRequest(f"{field}.file_count", file_count, f"use a number from 1 to {LOG_FILE_MOST_COUNT}")
    return LogPolicy(file_bytes=file_bytes, file_count=file_count)


def log_policy_to_wire(policy: LogPolicy) -> pb.LogPolicy | None:
    """None, absent, when all is left to the agent."""
    if policy == LogPolicy():
        return None
    return pb.LogPolicy(file_bytes=policy.file_bytes, file_count=policy.file_count)
