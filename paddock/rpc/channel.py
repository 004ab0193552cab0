"""A client's channel to a daemon: address forms, identity, deadlines, keepalive."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

import grpc.aio
from grpc.aio import Channel, StreamStreamCall, StreamUnaryCall, UnaryStreamCall, UnaryUnaryCall

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
    interceptors: list[grpc.aio.ClientInterceptor] = [_Deadline()]
    if address.unix_path:
        source = IdentitySource(address.unix_path)
        interceptors += [_UnaryUnary(source), _UnaryStream(source), _StreamUnary(source), _StreamStream(source)]
    return grpc.aio.insecure_channel(address.target, options=_OPTIONS, interceptors=interceptors)


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


class _Deadline(grpc.aio.UnaryUnaryClientInterceptor):
    """A call that nobody bounded is bounded here: a hung daemon must not hang its callers."""

    async def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Request], Awaitable[UnaryUnaryCall[Request, Response]]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Request,
    ) -> Response | UnaryUnaryCall[Request, Response]:
        """The same call, with a deadline."""
        if client_call_details.timeout is None:
            client_call_details = _changed(client_call_details, timeout_s=DEFAULT_DEADLINE_S)
        return await continuation(client_call_details, request)


class _Identified:
    """What the four kinds of interceptor share. gRPC sorts interceptors by their class, so there must be four."""

    def __init__(self, source: IdentitySource) -> None:
        self._source = source

    async def _identified(self, details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        metadata.add(TOKEN_KEY, await self._source.token())
        return _changed(details, metadata=metadata)


class _UnaryUnary(_Identified, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Request], Awaitable[UnaryUnaryCall[Request, Response]]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Request,
    ) -> Response | UnaryUnaryCall[Request, Response]:
        return await continuation(await self._identified(client_call_details), request)


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


def _changed(
    details: grpc.aio.ClientCallDetails, *, timeout_s: float | None = None, metadata: grpc.aio.Metadata | None = None
) -> grpc.aio.ClientCallDetails:
    return grpc.aio.ClientCallDetails(
        details.method,
        details.timeout if timeout_s is None else timeout_s,
        details.metadata if metadata is None else metadata,
        details.credentials,
        details.wait_for_ready,
    )
