"""Asks an agent's Docker engine who it is and what it has of ours. It may be absent or hang: each question has a deadline."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from urllib.parse import quote

from paddock.doctor.traces import EngineContainerTraces, EngineTraces

AGENT_LABEL = "paddock.agent-id"
CONTAINER_LABEL = "paddock.container-id"
SAID_FILE = "engine"
SAID_FORMAT = 1
ANSWER_S = 5.0
ANSWER_LIMIT_BYTES = 16 << 20
_OK = 200


class _NoAnswer(Exception):
    """In words."""


def read_engine(socket_path: str, state_dir: str) -> EngineTraces:
    """Raises nothing: what is wrong with it is in the answer."""
    said = _said(f"{state_dir}/{SAID_FILE}")
    try:
        version, info = _ask(socket_path, "/version"), _ask(socket_path, "/info")
        filters = quote(json.dumps({"label": [AGENT_LABEL]}))
        containers = _ask(socket_path, f"/containers/json?all=1&filters={filters}")
    except _NoAnswer as error:
        return EngineTraces(socket=socket_path, said=said, problem=str(error))
    return engine_from(socket_path, said, version, info, containers, now_s=time.time())


def engine_from(
    socket_path: str, said: str, version: object, info: object, containers: object, *, now_s: float
) -> EngineTraces:
    """Of its three answers, whatever they are."""
    data_root = _text(info, "DockerRootDir")
    return EngineTraces(
        socket=socket_path,
        said=said,
        problem="" if _text(version, "ApiVersion") else "what listens there does not speak the Engine API",
        version=_text(version, "Version"),
        api_version=_text(version, "ApiVersion"),
        cgroup_driver=_text(info, "CgroupDriver"),
        storage_driver=_text(info, "Driver"),
        data_root=data_root,
        free_bytes=_free_bytes(data_root),
        live_restore=_field(info, "LiveRestoreEnabled") is True,
        containers=tuple(_containers(containers, now_s)),
    )


def _containers(answer: object, now_s: float) -> Iterator[EngineContainerTraces]:
    for each in answer if isinstance(answer, list) else ():
        labels, names, created = _field(each, "Labels"), _field(each, "Names"), _field(each, "Created")
        engine_id = _text(each, "Id")
        name = names[0] if isinstance(names, list) and names and isinstance(names[0], str) else engine_id
        yield EngineContainerTraces(
            name=name.removeprefix("/"),
            engine_id=engine_id,
            agent_id=_text(labels, AGENT_LABEL),
            container_id=_text(labels, CONTAINER_LABEL),
            state=_text(each, "State"),
            age_s=max(now_s - created, 0) if isinstance(created, int) else 0,
        )


def _ask(socket_path: str, path: str) -> object:
    """HTTP/1.0, so that the answer ends with the connection."""
    try:
        head, _, body = _answer(socket_path, f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n").partition(b"\r\n\r\n")
    except TimeoutError:
        raise _NoAnswer(f"it does not answer within {ANSWER_S:g} s") from None
    except OSError as error:
        raise _NoAnswer(f"it does not listen ({error.strerror or error})") from None
    words = head.split(None, 2)
    if len(words) < 2 or words[1] != str(_OK).encode():
        raise _NoAnswer(f"it answers {head.splitlines()[:1] or 'nothing'} to {path.partition('?')[0]}")
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        raise _NoAnswer("what listens there does not speak the Engine API") from None
    return found


def _answer(socket_path: str, request: str) -> bytes:
    deadline_s = time.monotonic() + ANSWER_S
    received = bytearray()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_S)
        connection.connect(socket_path)
        connection.sendall(request.encode())
        while len(received) < ANSWER_LIMIT_BYTES:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            connection.settimeout(left_s)
            piece = connection.recv(65_536)
            if not piece:
                break
            received += piece
    return bytes(received)


def _said(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.loads(file.read(65_536))
    except (OSError, ValueError):
        return ""
    return _text(found, "words") if _field(found, "format") == SAID_FORMAT else ""


def _free_bytes(data_root: str) -> int | None:
    try:
        found = os.statvfs(data_root)
    except (OSError, ValueError):
        return None
    return found.f_bavail * found.f_frsize


def _field(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _text(value: object, name: str) -> str:
    found = _field(value, name)
    return found if isinstance(found, str) else ""
