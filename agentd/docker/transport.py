"""The docker package's client with deadlines that hold: its own time-out begins anew with every byte that comes.

A thread has one of these, and one call at a time. Whatever the engine does, the thread is free again at the call's deadline, or
a moment after nobody wants the answer any more.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlencode

import docker
from docker.transport.unixconn import UnixHTTPAdapter, UnixHTTPConnection, UnixHTTPConnectionPool

from agentd.docker.plain_http import Exchange, HalfAnswer

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

Read = TypeVar("Read")

_URL = "http+docker://localhost"
_OK = range(200, 300)
_SLICE_S = 0.25
"""How long a thread waits before it looks whether it is still to wait."""


class DeadlinePassed(TimeoutError):
    """In the middle of a call; or nobody waits for its answer any more. The message says how long it was."""


class Refusal(Exception):
    """The engine's answer, as it came, when it is no success."""

    def __init__(self, status: int, content: bytes) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.content = content


class Turn:
    """One call: until when, and what went wrong with its connection. Set from outside: whether it is wanted."""

    __slots__ = ("_deadline_s", "_until_s", "failure", "is_wanted")

    def __init__(self) -> None:
        """Over, until it begins."""
        self._deadline_s = 0.0
        self._until_s = 0.0
        self.is_wanted = True
        self.failure: OSError | None = None

    def begin(self, deadline_s: float) -> None:
        """Now."""
        self._deadline_s = deadline_s
        self._until_s = time.monotonic() + deadline_s

    @property
    def left_s(self) -> float:
        """Raises DeadlinePassed instead of an end."""
        left_s = self._until_s - time.monotonic()
        if left_s <= 0 or not self.is_wanted:
            raise DeadlinePassed(f"did not answer within {self._deadline_s:g} s")
        return left_s


class Wire:
    """What all connections of one client share: the turn that they are used in."""

    __slots__ = ("socket_path", "turn")

    def __init__(self, socket_path: str) -> None:
        """Nothing is sent before a turn begins."""
        self.socket_path = socket_path
        self.turn = Turn()


class _Socket(socket.socket):
    """Takes its time-outs from the turn. Errors are kept there too: the layers above hide them in each other."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._wire = wire

    def settimeout(self, value: float | None) -> None:
        """Not anybody else's."""

    def reach(self) -> None:
        """Connect."""
        try:
            super().settimeout(self._wire.turn.left_s)
            super().connect(self._wire.socket_path)
        except OSError as error:
            self._wire.turn.failure = error
            raise

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """All that the package reads of answers comes this way."""
        return self._read(lambda: socket.socket.recv_into(self, buffer, nbytes, flags))

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """All that we read."""
        return self._read(lambda: socket.socket.recv(self, bufsize, flags))

    def _read(self, read: Callable[[], Read]) -> Read:
        try:
            while True:
                super().settimeout(min(self._wire.turn.left_s, _SLICE_S))
                try:
                    return read()
                except TimeoutError:
                    continue
        except OSError as error:
            self._wire.turn.failure = error
            raise

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        """All that is sent goes this way."""
        try:
            super().settimeout(self._wire.turn.left_s)
            super().sendall(data, flags)
        except OSError as error:
            self._wire.turn.failure = error
            raise


class _Connection(UnixHTTPConnection):
    def __init__(self, wire: Wire) -> None:
        super().__init__(_URL, wire.socket_path)
        self._wire = wire

    def connect(self) -> None:
        """The package's own, but for the socket."""
        sock = _Socket(self._wire)
        try:
            sock.reach()
        except BaseException:
            sock.close()
            raise
        self.sock = sock


class _Pool(UnixHTTPConnectionPool):
    def __init__(self, wire: Wire) -> None:
        super().__init__(_URL, wire.socket_path, maxsize=1)
        self._wire = wire

    def _new_conn(self) -> UnixHTTPConnection:  # type: ignore[override]  # urllib3 names a base class of it
        return _Connection(self._wire)


class _Adapter(UnixHTTPAdapter):
    def __init__(self, wire: Wire) -> None:
        super().__init__(f"http+unix://{wire.socket_path}")
        self._pool = _Pool(wire)

    def get_connection(self, url: bytes | str, proxies: object = None) -> UnixHTTPConnectionPool:
        """One, for every address: there is one socket."""
        return self._pool

    def close(self) -> None:
        """The connection too."""
        self._pool.close()
        super().close()


class Client(docker.APIClient):
    """Speaks one version of the API. Asks nothing when it is made."""

    def __init__(self, wire: Wire, api_version: str) -> None:
        """What root's own Docker configuration says is not meant for agents: its headers and passwords are forgotten."""
        super().__init__(base_url=f"unix://{wire.socket_path}", version=api_version)
        self._wire = wire
        self._general_configs: dict[str, object] = {}
        self.trust_env = False
        self.mount("http+docker://", _Adapter(wire))

    def image(self, name: str) -> object:
        """What the engine has under this name."""
        return self._say("GET", f"/images/{quote(name, safe='/:')}/json")

    def create(self, name: str, body: Mapping[str, object]) -> object:
        """As ordered, nothing added."""
        return self._say("POST", f"/containers/create?{urlencode({'name': name})}", json.dumps(body).encode())

    def remove(self, container: str) -> None:
        """Running or not, with the volumes that have no name."""
        self._say("DELETE", f"/containers/{quote(container, safe='')}?v=1&force=1")

    def _say(self, method: str, path: str, content: bytes = b"") -> object:
        """What each launch asks for: the package takes 1.5 ms of processor time for a call, this 0.2. Raises Refusal."""
        with _Socket(self._wire) as sock:
            sock.reach()
            exchange = Exchange(sock, method, f"/v{self.api_version}{path}", content)
            try:
                body = exchange.read_body()
            except HalfAnswer as error:
                raise ConnectionResetError(str(error)) from None
        if exchange.status not in _OK:
            raise Refusal(exchange.status, body)
        return json.loads(body) if body.strip() else None

    def update_limits(self, container: str, body: Mapping[str, object]) -> None:
        """Of a running container. The package's own call does not know all of them."""
        path = f"{self.base_url}/v{self.api_version}/containers/{quote(container, safe='')}/update"
        response = self.post(path, json=body)
        if not response.ok:
            raise docker.errors.APIError("update", response=response)
