"""The identity socket: grpcio shows no peer's uid, so a small socket beside the gRPC one reads it and gives a token.

Protocol: the caller connects and says nothing; the daemon reads SO_PEERCRED, answers one line of JSON
`{"token": …, "lifetime_s": …}` and closes. The uid is the one at the time of connect, as the kernel keeps it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
import time

from paddock.model.errors import PermissionRefused, Unavailable
from paddock.rpc import sockets
from paddock.rpc.tokens import TokenIssuer

_log = logging.getLogger(__name__)
_UCRED = struct.Struct("3i")
_ANSWER_LIMIT_BYTES = 1024
_ANSWER_TIMEOUT_S = 5.0
_RENEW_AT_SHARE = 0.8
"""Renewed after this share of the lifetime: a call that starts with the old token still finds it valid."""


def identity_path(grpc_path: str) -> str:
    """Where the identity socket of the gRPC socket at this path is."""
    return f"{grpc_path}.id"


class IdentitySocket:
    """The daemon's side."""

    def __init__(self, grpc_path: str, issuer: TokenIssuer) -> None:
        """Nothing is touched before `start`."""
        self.path = identity_path(grpc_path)
        self._issuer = issuer
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Raises ConfigError or AlreadyExists."""
        self._server = await asyncio.start_unix_server(self._answer, sock=sockets.bind(self.path))

    async def stop(self) -> None:
        """Idempotent."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
            sockets.remove(self.path)

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # What the caller says is never read: whatever it is, it cannot matter. The answer fits every socket's buffer,
        # so a caller that does not read holds nothing up.
        try:
            peer = writer.get_extra_info("socket")
            _pid, uid, _gid = _UCRED.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
            answer = {"token": self._issuer.issue(uid), "lifetime_s": self._issuer.lifetime_s}
            writer.write(json.dumps(answer).encode() + b"\n")
            writer.close()
            await writer.wait_closed()
        except OSError as error:
            _log.debug("identity caller went away", extra={"error": str(error)})


class IdentitySource:
    """The client's side: the current token, fetched when there is none, when it ages, or when the daemon restarted."""

    def __init__(self, grpc_path: str) -> None:
        """Nothing is touched before `token`."""
        self._path = identity_path(grpc_path)
        self._token = ""
        self._renew_at_s = 0.0
        self._socket_file: tuple[int, int] = (0, 0)
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """Raises Unavailable or PermissionRefused with the remedy."""
        # A restarted daemon has another key and another socket file: one stat finds out what a refused call would.
        socket_file = self._look()
        if self._token and socket_file == self._socket_file and time.monotonic() < self._renew_at_s:
            return self._token
        async with self._lock:
            if not self._token or socket_file != self._socket_file or time.monotonic() >= self._renew_at_s:
                started_s = time.monotonic()
                token, lifetime_s = await self._fetch()
                self._token = token
                self._renew_at_s = started_s + lifetime_s * _RENEW_AT_SHARE
                self._socket_file = socket_file
            return self._token

    def _look(self) -> tuple[int, int]:
        try:
            found = os.stat(self._path)
        except OSError as error:
            raise self._explained(error) from None
        return found.st_ino, found.st_ctime_ns

    async def _fetch(self) -> tuple[str, float]:
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=_ANSWER_LIMIT_BYTES)
                try:
                    line = await reader.readline()
                finally:
                    writer.close()
            answer = json.loads(line)
            return str(answer["token"]), float(answer["lifetime_s"])
        except TimeoutError:
            raise Unavailable(f"identity socket {self._path}: no answer within {_ANSWER_TIMEOUT_S:g} s") from None
        except OSError as error:
            raise self._explained(error) from None
        except (ValueError, KeyError, TypeError):
            raise Unavailable(f"identity socket {self._path}: the answer is not one of a Paddock daemon") from None

    def _explained(self, error: OSError) -> Unavailable | PermissionRefused:
        if isinstance(error, PermissionError):
            remedy = f"ask as root, or as a member of group {sockets.GROUP}"
            return PermissionRefused(f"identity socket {self._path}: {error.strerror}; {remedy}")
        remedy = "is the daemon running, and is this its socket?"
        return Unavailable(f"identity socket {self._path}: {error.strerror}; {remedy}")
