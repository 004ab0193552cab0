"""A supervisor's exit record, its JSON checked and turned into the agent's words. Formats N and N-1 are read."""

from __future__ import annotations

import json
import os

from agentd.core.exit_record import ExitRecord, KillOutcome
from paddock.model.errors import ContainerizerError
from paddock.model.ids import ContainerId
from paddock.model.task import LaunchFailure, OomVictim

RECORD_LIMIT_BYTES = 1 << 20
_FORMATS = frozenset({1})


def read_record(path: str, container_id: ContainerId) -> ExitRecord | None:
    """The record in this file, None when there is none. Raises ContainerizerError when it cannot be understood."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        content = os.read(fd, RECORD_LIMIT_BYTES)
    finally:
        os.close(fd)
    try:
        document: object = json.loads(content.rstrip(b"\0 \n"))
    except ValueError as error:
        raise _bad(container_id, path, str(error)) from None
    return record_from(document, container_id, path)


def record_from(document: object, container_id: ContainerId, source: str) -> ExitRecord:
    """`source` names where it came from. Raises ContainerizerError naming the field."""
    if not isinstance(document, dict):
        raise _bad(container_id, source, "it is no object")
    fields: dict[str, object] = document
    if fields.get("format") not in _FORMATS:
        raise _bad(container_id, source, f"format {fields.get('format')!r} is not known to this agent; upgrade it")
    if fields.get("container_id") != container_id:
        raise _bad(container_id, source, f"it is about container {fields.get('container_id')!r}")
    try:
        return _record(fields, container_id)
    except (KeyError, TypeError, ValueError) as error:
        raise _bad(container_id, source, f"{type(error).__name__}: {error}") from None


def _record(fields: dict[str, object], container_id: ContainerId) -> ExitRecord:
    wait_status = fields.get("wait_status")
    victims = fields.get("victims")
    logs = _object(fields.get("logs") or {})
    return ExitRecord(
        container_id=container_id,
        boot_id=_text(fields.get("boot_id") or ""),
        pid=_number(fields.get("pid") or 0),
        shim_pid=_number(fields.get("shim_pid") or 0),
        started_ns=_number(fields.get("started_ns") or 0),
        ended_ns=_number(fields.get("ended_ns") or 0),
        wait_status=None if wait_status is None else _number(wait_status),
        kill=_kill(fields.get("kill")),
        max_completion_reached=bool(fields.get("max_completion_reached")),
        counters=tuple((name, _text(value)) for name, value in _object(fields.get("counters") or {}).items()),
        victims=None if victims is None else tuple(_victim(victim) for victim in _array(victims)),
        dropped_log_bytes=_number(logs.get("dropped_bytes") or 0),
        launch_error=failure_from(fields.get("launch_error")),
        supervisor_lost=bool(fields.get("supervisor_lost")),
        problems=tuple(_problem(problem) for problem in _array(fields.get("problems") or [])),
    )


def failure_from(value: object) -> LaunchFailure | None:
    """A failed launch as the shim says it, also in its `failed` event; None for nothing. Raises TypeError."""
    if value is None:
        return None
    fields = _object(value)
    return LaunchFailure(
        stage=_text(fields.get("stage") or "launch"),
        operation=_text(fields.get("operation") or ""),
        path=_text(fields.get("path") or ""),
        value=_text(fields.get("value") or ""),
        errno=_number(fields.get("errno") or 0),
        message=_text(fields.get("message") or "no reason was given"),
    )


def _kill(value: object) -> KillOutcome | None:
    if value is None:
        return None
    fields = _object(value)
    return KillOutcome(
        signal=_number(fields["signal"]),
        grace_ms=_number(fields["grace_ms"]),
        escalated=bool(fields.get("escalated")),
        took_ms=_number(fields.get("took_ms") or 0),
    )


def _victim(value: object) -> OomVictim:
    fields = _object(value)
    return OomVictim(pid=_number(fields["pid"]), comm=_text(fields["comm"]), main=bool(fields["main"]))


def _problem(value: object) -> str:
    fields = _object(value)
    return _text(fields.get("message") or "") or str(value)


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no object")
    return value


def _array(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no number")
    return int(value)


def _bad(container_id: ContainerId, source: str, why: str) -> ContainerizerError:
    return ContainerizerError(container_id, "record", f"the exit record {source} cannot be understood: {why}")
