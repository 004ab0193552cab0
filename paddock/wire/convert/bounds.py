"""The bounds of everything that comes from outside, and the checks that name the field which broke one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from google.protobuf.timestamp_pb2 import Timestamp

from paddock.model.errors import InvalidRequest

NAME_LIMIT_BYTES = 255
TEXT_LIMIT_BYTES = 4_096
PATH_LIMIT_BYTES = 4_095
"""The kernel's PATH_MAX without its NUL."""

MESSAGE_LIMIT_BYTES = 64 * 1024
"""Free words for people: a status' message, a launch failure's."""

COMMAND_LIMIT_BYTES = 1024 * 1024
"""For all arguments together, and for all of the environment together. The kernel has limits of its own, at exec."""

LIST_LIMIT_COUNT = 1_000
SPANS_LIMIT_COUNT = 4_096
LABELS_LIMIT_COUNT = 256
LABELS_LIMIT_BYTES = 64 * 1024
"""All labels of one thing together: they are remembered after its end, and shown in every list."""

TASKS_LIMIT_COUNT = 10_000

DURATION_LIMIT_MS = 10 * 365 * 24 * 3600 * 1000
"""Ten years; keeps every sum of times far inside 64 bits."""

COUNTER_LIMIT = 2**64 - 1
_TIMESTAMP_LIMIT_S = 253_402_300_799
"""The end of the year 9999, as google.protobuf.Timestamp has it."""

TIME_LIMIT_MS = _TIMESTAMP_LIMIT_S * 1_000

NS_PER_S = 1_000_000_000


@contextmanager
def sendable(field: str, value: object) -> Iterator[None]:
    """Around what makes a message: a value that no message can hold is refused as the master would refuse it. protobuf does
    not say of which field.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        raise InvalidRequest(field, value, f"something in it cannot be sent ({error})") from error


def text(value: str, field: str, limit_bytes: int = NAME_LIMIT_BYTES) -> str:
    """Any text without NUL, up to the limit. Protobuf already refused what is not UTF-8."""
    if "\0" in value or len(value.encode()) > limit_bytes:
        raise InvalidRequest(field, value, f"use at most {limit_bytes} bytes, without NUL")
    return value


def shown(value: str, limit_bytes: int = MESSAGE_LIMIT_BYTES) -> str:
    """Words of ours on their way out, made such that every receiver takes them: file names that are not UTF-8 are
    escaped, NUL is pictured, what is too long is cut. A status that nobody accepts would be sent for ever.
    """
    raw = value.replace("\0", "\N{SYMBOL FOR NULL}").encode("utf-8", "backslashreplace")
    if len(raw) <= limit_bytes:
        return raw.decode()
    mark = "…"
    return raw[: limit_bytes - len(mark.encode())].decode("utf-8", "ignore") + mark


def count(values: Sequence[object], field: str, limit_count: int = LIST_LIMIT_COUNT) -> None:
    """Refuse lists whose handling would cost more than any honest caller needs."""
    if len(values) > limit_count:
        raise InvalidRequest(field, f"{len(values)} entries", f"use at most {limit_count}")


def duration_ms(value: int, field: str, limit_ms: int = DURATION_LIMIT_MS) -> int:
    """Unsigned already; bounded here."""
    if value > limit_ms:
        raise InvalidRequest(field, value, f"use at most {limit_ms} ms")
    return value


def labels(values: Mapping[str, str], field: str) -> tuple[tuple[str, str], ...]:
    """Sorted by key: protobuf's maps have no order, and equal labels must compare equal."""
    if len(values) > LABELS_LIMIT_COUNT:
        raise InvalidRequest(field, f"{len(values)} labels", f"use at most {LABELS_LIMIT_COUNT}")
    for key, value in values.items():
        if not key:
            raise InvalidRequest(field, key, "give every label a name")
        text(key, f"{field} key")
        text(value, f"{field}[{key!r}]", TEXT_LIMIT_BYTES)
    total_bytes = sum(len(key.encode()) + len(value.encode()) for key, value in values.items())
    if total_bytes > LABELS_LIMIT_BYTES:
        raise InvalidRequest(field, f"{total_bytes} bytes of labels", f"use at most {LABELS_LIMIT_BYTES} together")
    return tuple(sorted(values.items()))


def unique(values: Sequence[str], field: str) -> None:
    """A name given twice would leave open which one is meant."""
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            raise InvalidRequest(f"{field}[{index}]", value, "give each name once")
        seen.add(value)


def timestamp_ns(message: Timestamp, field: str) -> int:
    """Wall clock in nanoseconds; 0 when the message is absent (all its fields are then 0)."""
    if not 0 <= message.seconds <= _TIMESTAMP_LIMIT_S or not 0 <= message.nanos < NS_PER_S:
        raise InvalidRequest(field, f"{message.seconds} s {message.nanos} ns", "use a time between 1970 and 9999")
    return message.seconds * NS_PER_S + message.nanos


def timestamp(time_ns: int) -> Timestamp | None:
    """The message, or None for 0: absent."""
    if time_ns == 0:
        return None
    seconds, nanos = divmod(time_ns, NS_PER_S)
    return Timestamp(seconds=seconds, nanos=nanos)
