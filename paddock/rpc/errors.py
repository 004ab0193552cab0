"""The one table between Paddock's errors and gRPC's statuses, read by servers downwards and by clients upwards.

A status carries google.rpc.ErrorInfo (domain `paddock`, a reason, the error's own fields). Beside it stands what generic
clients understand: BadRequest for a field, ResourceInfo for a thing that is not there or is there already, RetryInfo where
the same call may succeed later, PreconditionFailure for a state that forbids it, and for a master that does not lead the
wire's NotLeader. A client of ours rebuilds the same error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from paddock.model import errors
from paddock.model.errors import PaddockError
from paddock.wire.v1 import parties_pb2

DOMAIN = "paddock"
DETAILS_KEY = "grpc-status-details-bin"

_MESSAGE_LIMIT_CHARACTERS = 1_500
"""Statuses travel in HTTP/2 trailers, which many clients cut off at 8 KiB for everything together."""

_FIELD_LIMIT_CHARACTERS = 300

_RETRY_DELAY = Duration(seconds=1)
"""As long as a daemon that cannot make anything durable waits before it tries again itself."""


class RemoteError(PaddockError):
    """A status for which the table has no error of its own. `code` is gRPC's name for it."""

    def __init__(self, message: str, code: str) -> None:
        """`message` as the server said it."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """`fields`: the error's own attributes, all text, that the client gets back."""

    error: type[PaddockError]
    code: grpc.StatusCode
    reason: str
    fields: tuple[str, ...] = ()


# The first row that fits is taken, so a subclass stands before its base.
_TABLE = (
    _Row(
        error=errors.InvalidRequest,
        code=grpc.StatusCode.INVALID_ARGUMENT,
        reason="INVALID_REQUEST",
        fields=("field", "value", "remedy"),
    ),
    _Row(
        error=errors.Unsupported,
        code=grpc.StatusCode.UNIMPLEMENTED,
        reason="UNSUPPORTED",
        fields=("field", "remedy"),
    ),
    _Row(error=errors.NotFound, code=grpc.StatusCode.NOT_FOUND, reason="NOT_FOUND", fields=("kind", "name")),
    _Row(
        error=errors.AlreadyExists,
        code=grpc.StatusCode.ALREADY_EXISTS,
        reason="ALREADY_EXISTS",
        fields=("kind", "name", "remedy"),
    ),
    _Row(error=errors.PermissionRefused, code=grpc.StatusCode.PERMISSION_DENIED, reason="PERMISSION_REFUSED"),
    _Row(error=errors.Unauthenticated, code=grpc.StatusCode.UNAUTHENTICATED, reason="UNAUTHENTICATED"),
    _Row(error=errors.ResourcesExhausted, code=grpc.StatusCode.RESOURCE_EXHAUSTED, reason="RESOURCES_EXHAUSTED"),
    _Row(error=errors.Unavailable, code=grpc.StatusCode.UNAVAILABLE, reason="UNAVAILABLE"),
    _Row(error=errors.TimedOut, code=grpc.StatusCode.DEADLINE_EXCEEDED, reason="TIMED_OUT"),
    _Row(
        error=errors.OutOfRange,
        code=grpc.StatusCode.OUT_OF_RANGE,
        reason="OUT_OF_RANGE",
        fields=("field", "value", "remedy"),
    ),
    _Row(
        error=errors.NotLeading,
        code=grpc.StatusCode.FAILED_PRECONDITION,
        reason="NOT_LEADER",
        fields=("leader_address",),
    ),
    _Row(
        error=errors.InvalidTransition,
        code=grpc.StatusCode.FAILED_PRECONDITION,
        reason="INVALID_TRANSITION",
        fields=("subject", "state", "event"),
    ),
    _Row(
        error=errors.PlanConflict,
        code=grpc.StatusCode.FAILED_PRECONDITION,
        reason="PLAN_CONFLICT",
        fields=("subject", "first", "second"),
    ),
    _Row(
        error=errors.ContainerizerError,
        code=grpc.StatusCode.FAILED_PRECONDITION,
        reason="CONTAINERIZER_ERROR",
        fields=("container_id", "stage"),
    ),
    _Row(error=PaddockError, code=grpc.StatusCode.INTERNAL, reason="INTERNAL"),
)

_ROWS_BY_REASON = {row.reason: row for row in _TABLE}

# What gRPC itself says, without details of ours: nobody listens; it stops, or too many calls wait there (CANCELLED); the
# deadline passed; the message was too large.
_BARE_CODES: dict[grpc.StatusCode, type[PaddockError]] = {
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.CANCELLED: errors.Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.TimedOut,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.ResourcesExhausted,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionRefused,
}

_ALREADY_CLOSED = "Channel is closed."


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What a server ends a call with."""

    code: grpc.StatusCode
    message: str
    details: bytes

    @property
    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        """The details under gRPC's own key."""
        return ((DETAILS_KEY, self.details),)


def status_of(error: PaddockError) -> Status:
    """The status that tells this error."""
    row = next(row for row in _TABLE if isinstance(error, row.error))
    message = _cut(str(error), _MESSAGE_LIMIT_CHARACTERS)
    fields = {name: _short(str(getattr(error, name))) for name in row.fields}
    info = error_details_pb2.ErrorInfo(reason=row.reason, domain=DOMAIN, metadata=fields)
    details = [info, *_for_any_client(error, message)]
    status = status_pb2.Status(code=row.code.value[0], message=message, details=[_packed(detail) for detail in details])
    return Status(code=row.code, message=message, details=status.SerializeToString())


def _for_any_client(error: PaddockError, message: str) -> Iterator[Message]:
    """What says the same to clients that know nothing of Paddock."""
    match error:
        case errors.InvalidRequest() | errors.Unsupported() | errors.OutOfRange():
            violation = error_details_pb2.BadRequest.FieldViolation(
                field=_short(error.field), description=_short(error.remedy)
            )
            yield error_details_pb2.BadRequest(field_violations=[violation])
        case errors.NotFound() | errors.AlreadyExists():
            yield error_details_pb2.ResourceInfo(
                resource_type=error.kind, resource_name=_short(error.name), description=_short(message)
            )
        case errors.Unavailable():
            yield error_details_pb2.RetryInfo(retry_delay=_RETRY_DELAY)
        case errors.NotLeading():
            yield parties_pb2.NotLeader(leader_address=error.leader_address)
        case errors.InvalidTransition():
            yield _precondition("STATE", error.subject, message)
        case errors.PlanConflict():
            yield _precondition("ISOLATORS", error.subject, message)
        case errors.ContainerizerError():
            yield _precondition("CONTAINERIZER", f"container {error.container_id}, stage {error.stage}", message)


def _precondition(kind: str, subject: str, message: str) -> error_details_pb2.PreconditionFailure:
    violation = error_details_pb2.PreconditionFailure.Violation(
        type=kind, subject=_short(subject), description=_short(message)
    )
    return error_details_pb2.PreconditionFailure(violations=[violation])


def error_of(failed: grpc.aio.AioRpcError, subject: str = "") -> PaddockError:
    """The error that the server raised, or the nearest one for what gRPC itself says. `subject`: whom we asked."""
    known = _rebuilt(failed)
    if known is not None:
        return known
    words = failed.details() or "no reason given"
    message = f"{subject}: {words}" if subject else words
    bare = _BARE_CODES.get(failed.code())
    if bare is not None:
        return bare(message)
    return RemoteError(f"{message} ({failed.code().name})", failed.code().name)


@contextmanager
def remote_errors(subject: str = "") -> Iterator[None]:
    """Around calls and around reading streams: what the other side raised comes out as the same error here."""
    try:
        yield
    except grpc.aio.AioRpcError as failed:
        raise error_of(failed, subject) from None
    except asyncio.CancelledError:
        # gRPC says so too when the channel was closed under a call; only a cancelled task may pass it on as it is.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise _closed(subject) from None
    except grpc.aio.UsageError as error:
        # Closed before the call had begun: in the same way nobody's mistake, where another task has closed it.
        if str(error) != _ALREADY_CLOSED:
            raise
        raise _closed(subject) from None


def _closed(subject: str) -> errors.Unavailable:
    return errors.Unavailable(f"{subject or 'the other side'}: the connection was closed")


def _rebuilt(failed: grpc.aio.AioRpcError) -> PaddockError | None:
    info = _error_info(failed)
    if info is None or info.domain != DOMAIN:
        return None
    row = _ROWS_BY_REASON.get(info.reason)
    message = failed.details() or info.reason
    if row is None:
        return RemoteError(f"{message} ({info.reason})", failed.code().name)
    error = row.error.__new__(row.error)
    Exception.__init__(error, message)
    for name in row.fields:
        setattr(error, name, info.metadata.get(name, ""))
    return error


def _error_info(failed: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo | None:
    for key, value in failed.trailing_metadata() or ():
        if key != DETAILS_KEY or not isinstance(value, bytes):
            continue
        try:
            status = status_pb2.Status.FromString(value)
        except DecodeError:
            return None
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            if detail.Is(info.DESCRIPTOR) and detail.Unpack(info):
                return info
    return None


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed


def _short(text: str) -> str:
    return _cut(text, _FIELD_LIMIT_CHARACTERS)


def _cut(text: str, limit_characters: int) -> str:
    return text if len(text) <= limit_characters else text[: limit_characters - 1] + "…"
