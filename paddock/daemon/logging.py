"""Logs: one constant phrase and fields, as JSON or logfmt, with the ids of what is being worked on, in journald's priorities.

Write `log.info("container launched", extra={"pid": pid})`. Fields may not be named like LogRecord's own attributes.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from enum import Enum

_ids: ContextVar[tuple[tuple[str, str], ...]] = ContextVar("paddock_log_ids", default=())

_OWN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

# syslog's numbers, which journald reads from the beginning of a line.
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))

# Made once: json.dumps makes one anew for each value.
_to_json = json.JSONEncoder(default=str, ensure_ascii=False).encode
_is_plain = re.compile(r"[a-zA-Z0-9._\-/:@+,%]+").fullmatch


class LogFormat(Enum):
    """How a line looks."""

    JSON = "json"
    LOGFMT = "logfmt"


class log_ids:  # noqa: N801 - used as a word, as contextlib's own are; its generator takes three times as long
    """Every line written inside, in this task and the tasks that it starts, carries these ids; an empty one says nothing."""

    __slots__ = ("_added", "_token")

    def __init__(self, **ids: str) -> None:
        """By name. Used once."""
        self._added = tuple([pair for pair in ids.items() if pair[1]])
        self._token: Token[tuple[tuple[str, str], ...]] | None = None

    def __enter__(self) -> None:
        """From here on."""
        self._token = _ids.set((*_ids.get(), *self._added))

    def __exit__(self, *_error: object) -> None:
        """As before."""
        if self._token is not None:
            _ids.reset(self._token)


class FieldFormatter(logging.Formatter):
    """Time, level, logger, phrase, ids, fields, and a traceback where there is one: always one line."""

    def __init__(self, log_format: LogFormat, *, priorities: bool) -> None:
        """`priorities`: journald's `<6>` before each line."""
        super().__init__()
        self._format = log_format
        self._priorities = priorities

    def format(self, record: logging.LogRecord) -> str:
        """The line without its end."""
        line = self.line(self.fields(record))
        return f"<{self.priority(record)}>{line}" if self._priorities else line

    def line(self, fields: Mapping[str, object]) -> str:
        """Without a priority."""
        if self._format is LogFormat.JSON:
            line = _to_json(fields)
        else:
            line = " ".join(f"{name}={_logfmt(value)}" for name, value in fields.items())
        return _printable(line)

    def priority(self, record: logging.LogRecord) -> int:
        """Syslog's."""
        return next(number for level, number in _PRIORITIES if record.levelno >= level)

    def fields(self, record: logging.LogRecord) -> Mapping[str, object]:
        """By name, in the order in which they are told."""
        moment = datetime.fromtimestamp(record.created, tz=UTC)
        fields: dict[str, object] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields.update(_ids.get())
        fields.update((name, value) for name, value in vars(record).items() if name not in _OWN_ATTRIBUTES)
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return fields


def _printable(line: str) -> str:
    """Names of tasks and files are strangers' words: nothing of them may end a line or steer a terminal."""
    if line.isprintable():
        return line
    return "".join(character if character.isprintable() else json.dumps(character)[1:-1] for character in line)


def _logfmt(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    return text if _is_plain(text) else _to_json(text)
