"""How large a container's logs may become, as the plan and its summary say it."""

from __future__ import annotations

from paddock.launch import protocol

_MAX_FILES = 1000


class LogLimits:
    """Of each log: `file_count` files (the active one included) of `file_bytes`; 0 is one file without a limit."""

    __slots__ = ("file_bytes", "file_count")

    def __init__(self, file_bytes: int, file_count: int) -> None:
        self.file_bytes = file_bytes
        self.file_count = file_count


def decode_log_limits(value: object) -> LogLimits:
    """Agents that know nothing of rotation name none, and follow one file."""
    fields = protocol.mapping(value, "log_limits")
    file_bytes = protocol.integer(fields.get("file_bytes", 0), "log_limits.file_bytes", 0)
    return LogLimits(file_bytes, protocol.integer(fields.get("file_count", 1), "log_limits.file_count", 1, _MAX_FILES))
