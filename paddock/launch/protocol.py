"""What agent, launcher and shim say to each other: one JSON object per SEQPACKET message, bounded, checked on arrival.

Format 1. A shim of an old build may live for years, so names here are never changed, only added.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1
# A message over 212,992 bytes does not fit a socket's default buffer; this leaves room for the kernel's own accounting.
MAX_MESSAGE_BYTES = 180_000
MAX_PLAN_BYTES = 8 * 1024 * 1024

EVENT_CREATED = "created"
EVENT_STARTED = "started"
EVENT_DIED = "died"
"""The process has ended before its execve; why is told by \"failed\", soon."""
EVENT_FAILED = "failed"
EVENT_EXITED = "exited"
EVENT_EXEC_EXITED = "exec_exited"

ANOTHER_RUNS = 3
"""The exit code of a launcher that found another one on its socket: serving, or still on its way."""

_INTEGER_LIMIT = 1 << 63

# json's own C parts, made once. json.dumps and json.loads around them touch four times as many pages, and each is a page
# that a shim no longer shares with the launcher.
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_encode_pieces = json.encoder.c_make_encoder(  # type: ignore[attr-defined]
    None, None, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, False
)


class ProtocolError(ValueError):
    """`field` is where in the message (`writes[2].file`), `problem` is what is wrong there."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class FormatError(ProtocolError):
    """Of a build whose format is not read here. What it has written is left as it is: that build can read it."""

    def __init__(self, field: str, found: object, known: int) -> None:
        super().__init__(field, f"is {str(found)[:20]}, and this build reads {known}: start the build that wrote it")
        self.found = found
        self.known = known


class OperationError:
    """Why a step failed, as it goes over the wire: what was tried, on what, with which value, and what the kernel said."""

    __slots__ = ("errno", "message", "operation", "path", "value")

    def __init__(self, operation: str, path: str, value: str, errno: int, message: str) -> None:
        self.operation = operation
        self.path = path
        self.value = value
        self.errno = errno
        self.message = message

    def to_json(self) -> dict[str, object]:
        """The wire's form."""
        return {
            "operation": self.operation,
            "path": self.path,
            "value": self.value,
            "errno": self.errno,
            "message": self.message,
        }


def error_from(error: BaseException, operation: str = "", path: str = "") -> OperationError:
    """Any failure in the wire's form; a KernelError keeps its own operation, path and value."""
    return OperationError(
        str(getattr(error, "operation", operation) or operation),
        str(getattr(error, "path", None) or getattr(error, "filename", None) or getattr(error, "field", None) or path),
        # A value may be a whole environment: the message stays readable and within a datagram.
        str(getattr(error, "value", ""))[:1024],
        int(getattr(error, "errno", 0) or 0),
        str(error)[:4096] or type(error).__name__,
    )


def encode(message: Mapping[str, object]) -> bytes:
    """One message."""
    return "".join(_encode_pieces(message, 0)).encode()


def decode(content: bytes, max_bytes: int = MAX_MESSAGE_BYTES) -> dict[str, object]:
    """The object in this message; raises ProtocolError for anything else."""
    if len(content) > max_bytes:
        raise ProtocolError("message", f"{len(content)} bytes, at most {max_bytes}")
    try:
        text_of_it = str(content, "utf-8").strip(" \t\r\n")
        message, end = _scan(text_of_it, 0)
    except (ValueError, RecursionError, StopIteration) as error:
        raise ProtocolError("message", f"not JSON: {str(error)[:200]}") from None
    if end != len(text_of_it):
        raise ProtocolError("message", f"not JSON: something follows at {end}")
    if not isinstance(message, dict):
        raise ProtocolError("message", "must be a JSON object")
    return message


def check_format(message: Mapping[str, object]) -> None:
    """Refuse a format that this build does not read."""
    if message.get("format") != FORMAT:
        raise FormatError("format", message.get("format"), FORMAT)


def text(value: object, field: str, max_bytes: int = 4096, *, empty: bool = False) -> str:
    """A string without NUL."""
    if not isinstance(value, str):
        raise ProtocolError(field, "must be a string")
    if not value and not empty:
        raise ProtocolError(field, "must not be empty")
    if len(value) > max_bytes:
        raise ProtocolError(field, f"{len(value)} characters, at most {max_bytes}")
    if "\0" in value:
        raise ProtocolError(field, "must not contain NUL")
    if not value.isascii():
        try:
            value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise ProtocolError(field, "must be Unicode text, or bytes as surrogate escapes") from None
    return value


def name(value: object, field: str) -> str:
    """One component of a path."""
    found = text(value, field, 255)
    if "/" in found or found in {".", ".."}:
        raise ProtocolError(field, "must be one name, without '/'")
    return found


def absolute_path(value: object, field: str) -> str:
    """An absolute path without `..`."""
    found = text(value, field)
    if not found.startswith("/") or ".." in found.split("/"):
        raise ProtocolError(field, "must be an absolute path without '..'")
    return found


def integer(value: object, field: str, low: int = -_INTEGER_LIMIT, high: int = _INTEGER_LIMIT) -> int:
    """An integer (a boolean is none) between `low` and `high`, both included."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ProtocolError(field, "must be an integer")
    if not low <= value <= high:
        raise ProtocolError(field, f"{value} is not between {low} and {high}")
    return value


def boolean(value: object, field: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ProtocolError(field, "must be true or false")
    return value


def mapping(value: object, field: str) -> dict[str, object]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise ProtocolError(field, "must be an object")
    return value


def sequence(value: object, field: str, max_count: int = 4096) -> list[object]:
    """A JSON array."""
    if not isinstance(value, list):
        raise ProtocolError(field, "must be an array")
    if len(value) > max_count:
        raise ProtocolError(field, f"{len(value)} elements, at most {max_count}")
    return value
