"""A daemon's gRPC server: a unix socket and, on request, TCP; with identity socket, health, reflection and channelz."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import grpc.aio

from paddock.model.errors import ConfigError
from paddock.rpc import channelz, reflection, sockets
from paddock.rpc import health as health_service
from paddock.rpc.guard import Guard
from paddock.rpc.health import Health
from paddock.rpc.identity import IdentitySocket
from paddock.rpc.principal import Authenticator
from paddock.rpc.tokens import TokenIssuer

_log = logging.getLogger(__name__)

REQUEST_LIMIT_BYTES = 4 * 1024 * 1024
"""One message to a daemon; gRPC's own default. Answers have no limit of ours."""

_METADATA_LIMIT_BYTES = 64 * 1024
_STREAMS_PER_CONNECTION = 1_000

_FAREWELL_S = 2.0

_WAITING_CALLS_LIMIT_COUNT = 100_000
"""On all connections together; one that waits costs 13 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """`name` is full (paddock.wire.v1.ContainerService); `register` calls the generated `add_…Servicer_to_server`."""

    name: str
    register: Callable[[grpc.aio.Server], None]


class RpcServer:
    """Not listening before `start`, nothing left after `stop`; both once."""

    def __init__(
        self,
        *,
        services: tuple[Service, ...],
        authenticator: Authenticator,
        issuer: TokenIssuer,
        unix_path: str = "",
        tcp_address: str = "",
        streams_per_connection: int = _STREAMS_PER_CONNECTION,
    ) -> None:
        """An empty path or address: not there. `issuer` makes the tokens that the identity socket hands out.

        `streams_per_connection`: calls under way on one connection; its caller's own side lets no more go. gRPC takes calls
        one by one, in the order in which they came: with many of one caller under way, every other one waits behind them.
        """
        self._services = services
        self._unix_path = unix_path
        self._tcp_address = tcp_address
        self._streams_per_connection = streams_per_connection
        self._identity = IdentitySocket(unix_path, issuer) if unix_path else None
        open_names = (health_service.SERVICE_NAME, reflection.SERVICE_NAME, reflection.ALPHA_SERVICE_NAME)
        self._names = (*(service.name for service in services), channelz.SERVICE_NAME, *open_names)
        self._health = Health(self._names)
        self._guard = Guard(authenticator, frozenset(open_names))
        self._server: grpc.aio.Server | None = None
        self._bound_path = ""
        self.tcp_port = 0
        """The port in use; of interest when the address asked for port 0."""

    async def start(self) -> None:
        """Listening and serving when it returns; health still says NOT_SERVING. Raises ConfigError or AlreadyExists."""
        server = grpc.aio.server(options=(*_OPTIONS, ("grpc.max_concurrent_streams", self._streams_per_connection)))
        registry = self._guard.registry(server)
        for service in self._services:
            service.register(registry)
        await self._health.register(registry)
        channelz.register(registry)
        reflection.register(registry, self._names)
        self._server = server
        try:
            if self._unix_path:
                self._listen_unix(server)
            if self._tcp_address:
                self.tcp_port = _listen(server, self._tcp_address, self._tcp_address)
            if self._identity is not None:
                await self._identity.start()
            await server.start()
        except BaseException:
            await self.stop(grace_s=0)
            raise
        _log.info("rpc server listens", extra={"unix_path": self._unix_path, "tcp_address": self._tcp_address})

    async def set_serving(self, *, serving: bool) -> None:
        """What health says, of the whole and of each service."""
        await self._health.set_serving(serving=serving)

    async def stop(self, *, grace_s: float) -> None:
        """No new calls; those under way get the grace, then they are cancelled. Idempotent.

        For a peer that reads nothing gRPC would wait without end to say farewell: its connection is cut.
        """
        server, self._server = self._server, None
        if server is None:
            return
        if self._identity is not None:
            await self._identity.stop()
        await self._health.set_serving(serving=False)
        stopped = asyncio.ensure_future(server.stop(grace_s))
        await asyncio.wait((stopped,), timeout=grace_s + _FAREWELL_S)
        if not stopped.done():
            sockets.hang_up(self._bound_path, self.tcp_port)
        await stopped
        # gRPC removes the socket of a server that has served, and leaves that of one which never started.
        if self._bound_path:
            sockets.remove(self._bound_path)

    def _listen_unix(self, server: grpc.aio.Server) -> None:
        # gRPC would unlink whatever socket is at the path, a living daemon's too: we look first.
        sockets.claim_path(self._unix_path)
        with sockets.narrow_umask():
            _listen(server, f"unix:{self._unix_path}", self._unix_path)
        self._bound_path = self._unix_path
        sockets.grant(self._unix_path)

    async def wait(self) -> None:
        """Until it was stopped."""
        if self._server is not None:
            await self._server.wait_for_termination()


def _listen(server: grpc.aio.Server, address: str, shown: str) -> int:
    try:
        return server.add_insecure_port(address)
    except RuntimeError as error:
        remedy = "is another process listening there, or is the address not of this host?"
        raise ConfigError((f"listen on {shown}: {error}; {remedy}",)) from error


_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", REQUEST_LIMIT_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", _METADATA_LIMIT_BYTES),
    # Two daemons on one port would share its connections by chance; the second must be told.
    ("grpc.so_reuseport", 0),
    # gRPC's own default, which channelz needs.
    ("grpc.enable_channelz", 1),
    # A peer that vanished without a word is noticed.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Nobody is sent away for pinging too often (GOAWAY too_many_pings). Beside its keepalive a client pings to measure the
    # connection, ten times a second at first while much comes to it.
    ("grpc.http2.max_ping_strikes", 0),
    # By itself gRPC ends calls that wait to be taken with CANCELLED and no reason: by chance from 1,000 on, all from 3,000 on,
    # of whatever connection. A thousand tasks that begin at once are enough for it. Each connection has its own bound.
    ("grpc.server.max_pending_requests", _WAITING_CALLS_LIMIT_COUNT),
    ("grpc.server.max_pending_requests_hard_limit", _WAITING_CALLS_LIMIT_COUNT),
)
