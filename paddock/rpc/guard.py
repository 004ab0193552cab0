"""What happens around every served call: who calls, malformed requests, and errors turned into statuses.

Services raise PaddockError and nothing else on purpose; everything else is a defect: logged whole, under a number.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import NoReturn, TypeAlias, cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from paddock.model.errors import InvalidRequest, PaddockError
from paddock.rpc.errors import status_of
from paddock.rpc.principal import Authenticator, serve_as
from paddock.rpc.tokens import TOKEN_KEY

_log = logging.getLogger(__name__)

Context: TypeAlias = "grpc.aio.ServicerContext[Message, Message]"
Handler: TypeAlias = "grpc.RpcMethodHandler[object, object]"
_Call = Callable[[object, Context], object]
_Maker = Callable[[_Call, object, object], object]

_MAKERS = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


class Guard:
    """Around every method. `open_services`: those that need no principal (health, reflection)."""

    def __init__(self, authenticator: Authenticator, open_services: frozenset[str]) -> None:
        """Service names are full: paddock.wire.v1.ContainerService."""
        self._authenticator = authenticator
        self._open_services = open_services
        self._made: dict[str, tuple[object, object]] = {}
        """By method: gRPC's handler, and ours around it. Both are the same for every call."""

    def registry(self, server: grpc.aio.Server) -> grpc.aio.Server:
        """The server, as generated code registers services with it: what comes this way is guarded."""
        return cast("grpc.aio.Server", _Registry(self, server))

    def around(self, method: str, handler: Handler) -> Handler:
        """`method` as gRPC says it: /paddock.wire.v1.ContainerService/LaunchContainer."""
        inner, guarded = self._made.get(method, (None, None))
        if inner is not handler:
            service = method.strip("/").partition("/")[0]
            guarded = self._guarded(handler, is_open=service in self._open_services)
            self._made[method] = (handler, guarded)
        return cast("Handler", guarded)

    def _guarded(self, handler: Handler, *, is_open: bool) -> Handler:
        call = cast(
            "_Call", handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        )
        behaviour = self._streaming(call, is_open) if handler.response_streaming else self._answering(call, is_open)
        make = cast("_Maker", _MAKERS[handler.request_streaming, handler.response_streaming])
        made = make(behaviour, _lenient(handler.request_deserializer), _sparing(handler.response_serializer))
        return cast("Handler", made)

    def _answering(self, call: _Call, is_open: bool) -> _Call:  # noqa: FBT001
        async def answer(request: object, context: Context) -> object:
            try:
                self._admit(context, is_open=is_open)
                return await cast("Awaitable[object]", call(_checked(request), context))
            except Exception as error:  # noqa: BLE001 - the edge of the process: every error becomes a status
                await _refuse(error, context)

        return answer

    def _streaming(self, call: _Call, is_open: bool) -> _Call:  # noqa: FBT001
        async def stream(request: object, context: Context) -> AsyncIterator[object]:
            try:
                self._admit(context, is_open=is_open)
                answers = call(_checked(request), context)
                if inspect.isawaitable(answers):
                    await answers
                    return
                # Closed at once and not whenever it is collected: its `finally` says that the caller is gone.
                async with aclosing(cast("AsyncGenerator[object, None]", answers)) as closing:
                    async for answer in closing:
                        yield answer
            except Exception as error:  # noqa: BLE001 - as above
                await _refuse(error, context)

        return stream

    def _admit(self, context: Context, *, is_open: bool) -> None:
        if is_open:
            return
        tokens = [value for key, value in context.invocation_metadata() or () if key == TOKEN_KEY]
        token = str(tokens[0]) if tokens else None
        serve_as(self._authenticator.authenticate(token, context.peer()))


class _Registry:
    """Takes the generic handlers only, which say the same as the registered ones.

    Of each registered method grpc.aio keeps a waiting task, and to take a call it waits for all of them anew: a call would cost
    by the number of methods. And an interceptor is asked about each call; a handler around a handler is made once.
    """

    def __init__(self, guard: Guard, server: grpc.aio.Server) -> None:
        self._guard = guard
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Each inside of ours."""
        self._server.add_generic_rpc_handlers([_GuardedHandlers(self._guard, each) for each in handlers])

    def add_registered_method_handlers(self, service_name: str, method_handlers: object) -> None:
        """See above."""


class _GuardedHandlers(grpc.GenericRpcHandler):
    def __init__(self, guard: Guard, inner: grpc.GenericRpcHandler) -> None:
        self._guard = guard
        self._inner = inner

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """None when nobody of these serves it: gRPC then answers UNIMPLEMENTED."""
        handler = self._inner.service(handler_call_details)
        return None if handler is None else self._guard.around(handler_call_details.method, handler)


async def _refuse(error: Exception, context: Context) -> NoReturn:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not isinstance(error, PaddockError):
        incident = secrets.token_hex(6)
        _log.error("a served call met a defect", exc_info=error, extra={"incident": incident})
        error = PaddockError(f"a defect ({type(error).__name__}); the daemon's log has it under incident {incident}")
    status = status_of(error)
    await context.abort(status.code, status.message, trailing_metadata=status.trailing_metadata)
    raise asyncio.CancelledError  # not reached: abort raises


def _lenient(parse: Callable[[bytes], object] | None) -> Callable[[bytes], object] | None:
    """Bytes that do not parse are the caller's mistake; gRPC alone answers UNKNOWN and a traceback in the log."""
    if parse is None:
        return None

    def parse_or_mark(raw: bytes) -> object:
        try:
            return parse(raw)
        except DecodeError:
            return _MALFORMED

    return parse_or_mark


def _sparing(serialize: Callable[[object], bytes] | None) -> Callable[[object], bytes] | None:
    """An answer that is bytes already is sent as it is: of what is sent in thousands, a service knows a faster way."""
    if serialize is None:
        return None

    def serialize_unless_bytes(answer: object) -> bytes:
        return answer if isinstance(answer, bytes) else serialize(answer)

    return serialize_unless_bytes


_MALFORMED = object()


def _checked(request: object) -> object:
    if isinstance(request, AsyncIterator):
        return _checked_stream(request)
    return _whole(request)


async def _checked_stream(requests: AsyncIterator[object]) -> AsyncIterator[object]:
    async for request in requests:
        yield _whole(request)


def _whole(request: object) -> object:
    if request is _MALFORMED:
        raise InvalidRequest(
            "request", "bytes that are no message of this method", "generate the client from proto/paddock/wire/v1"
        )
    return request
