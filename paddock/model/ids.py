"""Identifiers: distinct types for the checker, and one rule for what is accepted from outside."""

from __future__ import annotations

from typing import NewType

from paddock.model.errors import InvalidRequest

AgentId = NewType("AgentId", str)
ContainerId = NewType("ContainerId", str)
FrameworkId = NewType("FrameworkId", str)
MasterId = NewType("MasterId", str)
OfferId = NewType("OfferId", str)
TaskId = NewType("TaskId", str)

NO_AGENT_ID = AgentId("")
NO_CONTAINER_ID = ContainerId("")
NO_FRAMEWORK_ID = FrameworkId("")
NO_TASK_ID = TaskId("")
"""Where there is none: the wire's empty string."""

ID_LIMIT_BYTES = 255
"""Mesos' limit, and a file name's."""

CONTAINER_ID_LIMIT_BYTES = 64
"""A container's id is a cgroup's name, a socket's and a record's; short enough for all of them with their suffixes."""

_CONTAINER_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def check_id(value: str, field: str) -> str:
    """Mesos' rule: 1 to 255 bytes of UTF-8, no slash, backslash or control character, not `.` or `..`."""
    remedy = "use 1 to 255 bytes without '/', '\\' or control characters, and neither '.' nor '..'"
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidRequest(field, value, remedy) from None
    if not 1 <= size <= ID_LIMIT_BYTES or value in {".", ".."}:
        raise InvalidRequest(field, value, remedy)
    if any(character in "/\\" or ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in value):
        raise InvalidRequest(field, value, remedy)
    return value


def task_id(value: str, field: str = "task_id") -> TaskId:
    """A checked task id (unique among its framework's tasks)."""
    return TaskId(check_id(value, field))


def framework_id(value: str, field: str = "framework_id") -> FrameworkId:
    """A checked framework id."""
    return FrameworkId(check_id(value, field))


def agent_id(value: str, field: str = "agent_id") -> AgentId:
    """A checked agent id. It is part of directory names, so it follows the container's rule."""
    return AgentId(_check_name(value, field))


def offer_id(value: str, field: str = "offer_id") -> OfferId:
    """A checked offer id."""
    return OfferId(check_id(value, field))


def container_id(value: str, field: str = "container_id") -> ContainerId:
    """A checked container id: 1 to 64 of [A-Za-z0-9._-], not beginning with a dot or a dash."""
    return ContainerId(_check_name(value, field))


def _check_name(value: str, field: str) -> str:
    if (
        not 1 <= len(value) <= CONTAINER_ID_LIMIT_BYTES
        or value[0] in ".-"
        or not set(value) <= _CONTAINER_ID_CHARACTERS
    ):
        remedy = "use 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter, digit or '_'"
        raise InvalidRequest(field, value, remedy)
    return value


def check_role(value: str, field: str = "role") -> str:
    """Mesos' rule for roles: `*`, or components joined by single slashes, each neither empty, `.`, `..`, `*` nor
    beginning with `-`.
    """
    remedy = (
        "use '*' or components joined by '/', without white space, none of them '.', '..', '*' or beginning with '-'"
    )
    if value == "*":
        return value
    if any(
        ord(character) in {0x7F, 0x20} or 0x09 <= ord(character) <= 0x0D or character == "\0" for character in value
    ):
        raise InvalidRequest(field, value, remedy)
    for component in value.split("/"):
        if component in {"", ".", "..", "*"} or component.startswith("-"):
            raise InvalidRequest(field, value, remedy)
    return value
