"""A daemon's HTTP sockets. What serves them is loaded when the first caller comes.

The server's modules take 0.25 s of processor time and 20 MiB; a daemon that nobody asks by HTTP needs neither, and one that is
asked starts no later for it: until they are there, on a thread of their own, callers wait in the sockets' backlog.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import socket
from collections.abc import Mapping
from typing import Protocol, cast

from paddock.http.addresses import HttpAddresses
from paddock.http.answers import Page
from paddock.model.errors import ConfigError
from paddock.rpc import sockets

_log = logging.getLogger(__name__)
_BACKLOG_COUNT = 128


class Serving(Protocol):
    """paddock.http.server.PageServer, of which nothing is imported here."""

    async def serve(self, listening: socket.socket) -> None:
        """Take callers from now on."""

    async def stop(self) -> None:
        """No more of them."""


class _ServerModule(Protocol):
    def PageServer(self, pages: Mapping[str, Page]) -> Serving: ...  # noqa: N802 - it is a class


class HttpListener:
    """Listens from `start` to `stop`; both once."""

    def __init__(self, addresses: HttpAddresses, pages: Mapping[str, Page]) -> None:
        """Pages by their path."""
        self._addresses = addresses
        self._pages = pages
        self._sockets: list[socket.socket] = []
        self._loading: asyncio.Task[Serving] | None = None

    async def start(self) -> None:
        """Whoever connects from now on is answered. Raises ConfigError or AlreadyExists."""
        addresses = self._addresses
        if addresses.unix_path:
            os.makedirs(os.path.dirname(addresses.unix_path), mode=0o755, exist_ok=True)
            self._listen(sockets.bind(addresses.unix_path))
        if addresses.host:
            try:
                self._listen(_bind_tcp(addresses))
            except BaseException:
                await self.stop()
                raise
        if addresses.is_exposed:
            _log.warning("http is served without encryption to other machines", extra={"address": str(addresses)})
        elif addresses:
            _log.info("http is served", extra={"address": str(addresses)})

    def _listen(self, bound: socket.socket) -> None:
        bound.setblocking(False)
        bound.listen(_BACKLOG_COUNT)
        self._sockets.append(bound)
        asyncio.get_running_loop().add_reader(bound, self._first_caller)

    def _first_caller(self) -> None:
        self._forget_readers()
        self._loading = asyncio.create_task(self._serve())

    def _forget_readers(self) -> None:
        for each in self._sockets:
            asyncio.get_running_loop().remove_reader(each)

    async def _serve(self) -> Serving:
        module = await asyncio.to_thread(importlib.import_module, "paddock.http.server")
        server = cast("_ServerModule", module).PageServer(self._pages)
        for each in self._sockets:
            await server.serve(each)
        return server

    async def stop(self) -> None:
        """Connections are closed, the unix socket is gone. Idempotent."""
        self._forget_readers()
        if self._loading is not None:
            loading, self._loading = self._loading, None
            # A thread that loads cannot be interrupted: it is waited for.
            await (await loading).stop()
        if self._sockets and self._addresses.unix_path:
            sockets.remove(self._addresses.unix_path)
        for each in self._sockets:
            each.close()
        self._sockets.clear()


def _bind_tcp(addresses: HttpAddresses) -> socket.socket:
    try:
        found = socket.getaddrinfo(addresses.host, addresses.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = found[0]
        return socket.create_server((str(address[0]), addresses.port), family=family)
    except OSError as error:
        remedy = "is another process listening there, or is the address not of this host?"
        raise ConfigError((f"http_listen: {addresses}: {error.strerror or error}; {remedy}",)) from None
