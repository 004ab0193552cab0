"""Pages over HTTP/1.1, by aiohttp. Loaded with the first caller only: see paddock.http.listener.

Whoever calls may be anybody: a head of more than 8 KiB a line or 128 fields is refused by aiohttp, as is what is no HTTP;
connections are few, idle ones end, and of too many those go first that ask for nothing. One that does not read its answer
is cut off. No page has parameters, and no body is read.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from paddock.http.answers import HttpAnswer, Page

_log = logging.getLogger(__name__)

CONNECTIONS_LIMIT_COUNT = 64
IDLE_LIMIT_S = 60.0
"""Longer than monitoring usually waits between two questions."""

ANSWER_LIMIT_S = 30.0
"""From a whole question to the last byte of its answer."""

_LINGERING_S = 1.0
_STOP_S = 1.0
_METHODS = ("GET", "HEAD")


class PageServer:
    """For the event loop's thread."""

    def __init__(self, pages: Mapping[str, Page]) -> None:
        """By their path."""
        self._pages = dict(pages)
        self._server = _BoundedServer(self._answer)
        self._listening: list[asyncio.Server] = []

    async def serve(self, listening: socket.socket) -> None:
        """Take callers from now on."""
        loop = asyncio.get_running_loop()
        if listening.family == socket.AF_UNIX:
            server = await loop.create_unix_server(self._server, sock=listening)
        else:
            server = await loop.create_server(self._server, sock=listening)
        self._listening.append(server)

    async def stop(self) -> None:
        """Answers that are being made have a second."""
        for each in self._listening:
            each.close()
        await self._server.shutdown(_STOP_S)
        self._server.abort_all()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self._server.busy.add(request.protocol)
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                answer = await self._page(request)
                response = web.Response(status=answer.status, body=answer.body)
                response.headers["Content-Type"] = answer.content_type
                if answer.status == 405:
                    response.headers["Allow"] = ", ".join(_METHODS)
                await response.prepare(request)
                await response.write_eof()
                await request.writer.drain()
                return response
        except TimeoutError:
            _log.warning("a caller over http was cut off: it does not read", extra={"path": request.path[:100]})
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("it does not read its answer") from None
        finally:
            self._server.busy.discard(request.protocol)

    async def _page(self, request: web.BaseRequest) -> HttpAnswer:
        if request.method not in _METHODS:
            return HttpAnswer(status=405, body=f"use {' or '.join(_METHODS)}\n".encode())
        page = self._pages.get(request.path)
        if page is None:
            return HttpAnswer(status=404, body=f"there is {', '.join(self._pages)}\n".encode())
        try:
            return await page(request.headers.get("Accept", ""))
        except Exception:  # noqa: BLE001 - a page that fails costs its caller an answer, nothing else
            _log.exception("a page could not be made", extra={"path": request.path})
            return HttpAnswer(status=500, body=b"it could not be made; the log says why\n")


class _BoundedServer(web.Server):
    """Makes room by ending a connection that asks for nothing, the oldest; when all ask for something, the oldest of them."""

    def __init__(self, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        """`answer` tells in `busy` whose question it answers."""
        super().__init__(
            answer,
            access_log=None,
            # What it says, it says of strangers' bytes, with a traceback for each; our own faults are told by `_page`.
            logger=_silent(),
            keepalive_timeout=IDLE_LIMIT_S,
            lingering_time=_LINGERING_S,
        )
        self.busy: set[RequestHandler] = set()
        self._transports: dict[RequestHandler, asyncio.Transport] = {}

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """One more, perhaps in place of another."""
        if len(self._transports) >= CONNECTIONS_LIMIT_COUNT:
            idle = (each for each in self._transports if each not in self.busy)
            leaving = next(idle, next(iter(self._transports)))
            # By the transport: what is still to be sent to it would keep a closed one for as long as it does not read.
            self._transports.pop(leaving).abort()
        self._transports[handler] = transport
        super().connection_made(handler, transport)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """One less."""
        self._transports.pop(handler, None)
        super().connection_lost(handler, exc)

    def abort_all(self) -> None:
        """What is not sent by now is not sent."""
        for transport in self._transports.values():
            transport.abort()


def _silent() -> logging.Logger:
    logger = logging.getLogger(f"{__name__}.aiohttp")
    logger.setLevel(logging.CRITICAL + 1)
    return logger
