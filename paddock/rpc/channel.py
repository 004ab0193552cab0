"""A client's channel to a daemon: address forms, identity, deadlines, keepalive."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

import grpc.aio
from grpc.aio import Channel, StreamStreamCall, StreamUnaryCall, UnaryStreamCall

from paddock.rpc.address import Address, parse_address
from paddock.rpc.identity import IdentitySource
from paddock.rpc.tokens import TOKEN_KEY

__all__ = ["DEFAULT_DEADLINE_S", "NO_DEADLINE_S", "Address", "Channel", "open_channel", "parse_address"]

DEFAULT_DEADLINE_S = 30.0
"""For calls with one answer that give no time-out of their own; streams have none."""

NO_DEADLINE_S = 10 * 365 * 24 * 3600.0
"""As a call's time-out: for those that wait for a task's end."""

_ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
_METADATA_LIMIT_BYTES = 64 * 1024

Request = TypeVar("Request")
Response = TypeVar("Response")


def open_channel(address: Address | str) -> Channel:
    """Use it as `async with`. Over a unix socket every call carries the caller's token; the first call connects."""
    if isinstance(address, str):
        address = parse_address(address)
    source = IdentitySource(address.unix_path) if address.unix_path else None
    streaming = () if source is None else (_UnaryStream(source), _StreamUnary(source), _StreamStream(source))
    channel = grpc.aio.insecure_channel(address.target, options=_OPTIONS, interceptors=streaming)
    return cast("Channel", _BoundedChannel(channel, source))


_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", _ANSWER_LIMIT_BYTES),
    ("grpc.max_metadata_size", _METADATA_LIMIT_BYTES),
    # A proxy of the environment is never meant for a cluster's own connections.
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    # Whatever its name says: how long one attempt to connect may take. A busy daemon needs more than the moment.
    ("grpc.min_reconnect_backoff_ms", 20_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # A host that lost its power says nothing: so long until its callers look, and so long again until they give it up.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
)


class _BoundedChannel:
    """gRPC's channel, but for calls with one answer. An interceptor would see to those too: in a task, and a call, of its own
    around each call, which is a tenth of what a call costs its caller. Such a call is a coroutine that gives the answer, and no
    call object: who wants what is told beside the answer asks over a channel of gRPC's own.
    """

    def __init__(self, channel: Channel, source: IdentitySource | None) -> None:
        self._channel = channel
        self._source = source

    async def __aenter__(self) -> Self:
        await self._channel.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._channel.__aexit__(kind, error, traceback)

    def __getattr__(self, name: str) -> object:
        return cast("object", getattr(self._channel, name))

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[Request], bytes] | None = None,
        response_deserializer: Callable[[bytes], Response] | None = None,
        **named: bool,
    ) -> _OneAnswer[Request, Response]:
        """As generated code asks for it."""
        call = self._channel.unary_unary(method, request_serializer, response_deserializer, **named)
        return _OneAnswer(call, self._source)


class _OneAnswer(Generic[Request, Response]):
    """Calls of one method, each with a deadline (a hung daemon must not hang its callers) and the caller's token."""

    def __init__(
        self, call: grpc.aio.UnaryUnaryMultiCallable[Request, Response], source: IdentitySource | None
    ) -> None:
        self._call = call
        self._source = source

    async def __call__(
        self,
        request: Request,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - gRPC's word for it
        wait_for_ready: bool | None = None,
    ) -> Response:
        return await self._call(
            request,
            timeout=DEFAULT_DEADLINE_S if timeout is None else timeout,
            metadata=None if self._source is None else ((TOKEN_KEY, await self._source.token()),),
            wait_for_ready=wait_for_ready,
        )


class _Identified:
    """What the three kinds of interceptor share. gRPC sorts interceptors by their class, so there must be three."""

    def __init__(self, source: IdentitySource) -> None:
        self._source = source

    async def _identified(self, details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        metadata.add(TOKEN_KEY, await self._source.token())
        return grpc.aio.ClientCallDetails(
            details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
        )


class _UnaryStream(_Identified, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Request], Awaitable[UnaryStreamCall[Request, Response]]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Request,
    ) -> AsyncIterator[Response] | UnaryStreamCall[Request, Response]:
        return await continuation(await self._identified(client_call_details), request)


class _StreamUnary(_Identified, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self,
        continuation: Callable[
            [grpc.aio.ClientCallDetails, AsyncIterable[Request] | Iterable[Request]],
            Awaitable[StreamUnaryCall[Request, Response]],
        ],
        client_call_details: grpc.aio.ClientCallDetails,
        request_iterator: AsyncIterable[Request] | Iterable[Request],
    ) -> Response | StreamUnaryCall[Request, Response]:
        return await continuation(await self._identified(client_call_details), request_iterator)


class _StreamStream(_Identified, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self,
        continuation: Callable[
            [grpc.aio.ClientCallDetails, AsyncIterable[Request] | Iterable[Request]],
            Awaitable[StreamStreamCall[Request, Response]],
        ],
        client_call_details: grpc.aio.ClientCallDetails,
        request_iterator: AsyncIterable[Request] | Iterable[Request],
    ) -> AsyncIterator[Response] | StreamStreamCall[Request, Response]:
        return await continuation(await self._identified(client_call_details), request_iterator)
