"""A least speed for what a server sends, watched below HTTP: headers, chunk sizes and bodies that drip are the same here."""

from __future__ import annotations

import io
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING

from agentd.fetcher.failure import FetchFailure

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


@dataclass(frozen=True, slots=True, kw_only=True)
class LeastSpeed:
    """Fewer than `bytes_per_s` over `window_s` is too slow. 0: nothing is."""

    bytes_per_s: int
    window_s: float


class PacedReader(io.RawIOBase):
    """Reads from `raw`, and owns it. Only the time spent waiting for it counts, because this host's disk may be slow as well;
    and only from the first byte on, because a server may think: the stall time-out bounds that.
    """

    def __init__(self, raw: io.RawIOBase, least: LeastSpeed, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` in seconds."""
        self._raw = raw
        self._least = least
        self._clock = clock
        self._has_begun = False
        self._waited_s = 0.0
        self._count_bytes = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        """Raises FetchFailure when the server is too slow."""
        begun_s = self._clock()
        count: int | None = self._raw.readinto(buffer)
        if self._has_begun and count:
            self._note(count, self._clock() - begun_s)
        self._has_begun = True
        return count

    def _note(self, count_bytes: int, waited_s: float) -> None:
        self._waited_s += waited_s
        self._count_bytes += count_bytes
        if self._waited_s < self._least.window_s:
            return
        if self._count_bytes < self._least.bytes_per_s * self._waited_s:
            raise FetchFailure(
                f"the server sent {self._count_bytes} bytes in {self._waited_s:.1f} s: fewer than {self._least.bytes_per_s} "
                f"bytes/s (--fetcher-least-speed) for {self._least.window_s:g} s (--fetcher-stall-timeout)"
            )
        self._waited_s, self._count_bytes = 0.0, 0

    def close(self) -> None:
        """Of `raw` as well."""
        super().close()
        self._raw.close()


def paced_handlers(
    least: LeastSpeed, trust: ssl.SSLContext
) -> tuple[urllib.request.HTTPHandler, urllib.request.HTTPSHandler]:
    """For an opener. Their connections read at a least speed, from a proxy too."""

    class Response(HTTPResponse):
        def __init__(
            self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: str | None = None
        ) -> None:
            super().__init__(sock, debuglevel, method, url)
            # Nothing was read yet.
            self.fp = io.BufferedReader(PacedReader(self.fp.detach(), least))

    class Plain(HTTPConnection):
        response_class = Response

    class Secure(HTTPSConnection):
        response_class = Response

    class PlainHandler(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> HTTPResponse:
            return self.do_open(Plain, req)

    class SecureHandler(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> HTTPResponse:
            return self.do_open(Secure, req, context=trust)

    return PlainHandler(), SecureHandler()
