"""From a URI into an open file: http(s) by the standard library, files by opening them. With the rights of the task's user."""

from __future__ import annotations

import http.client
import os
import re
import ssl
import stat
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

from agentd.fetcher.failure import FetchFailure
from agentd.fetcher.pace import LeastSpeed, paced_handlers

_HOST = re.compile(r"[A-Za-z0-9._:~-]+", re.ASCII)
_PIECE_BYTES = 256 * 1024
_KEPT = "/%:@!$&'()*+,;=~-._"
"""What stays as it is in a URI's path; the rest goes as UTF-8 with percent signs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """`stall_s`: without a byte for so long, or with fewer than `least_bytes_per_s` on an average of so long, it is given up.
    `limit_bytes`: no more than this. `ca_file`: whom https trusts; empty: the host's own list.
    """

    stall_s: float
    least_bytes_per_s: int
    limit_bytes: int
    ca_file: str = ""


def download(uri: str, target_fd: int, bounds: Bounds, proxies: Mapping[str, str]) -> int:
    """The count of bytes. Raises FetchFailure."""
    if uri.startswith("/"):
        return _copy_file(uri, target_fd, bounds)
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme == "file":
        return _copy_file(urllib.parse.unquote(parts.path, errors="surrogateescape"), target_fd, bounds)
    return _get(ascii_url(parts), target_fd, bounds, proxies)


def ascii_url(parts: urllib.parse.SplitResult) -> str:
    """As a request carries it: names in every alphabet are welcome. Raises FetchFailure."""
    try:
        host = (parts.hostname or "").encode("idna").decode("ascii")
    except UnicodeError as error:
        raise FetchFailure(f"the host's name cannot be written in ASCII: {error}") from None
    if not _HOST.fullmatch(host):
        raise FetchFailure(f"{host!r} is no host's name")
    host = f"[{host}]" if ":" in host else host
    netloc = host if parts.port is None else f"{host}:{parts.port}"
    path = urllib.parse.quote(parts.path, safe=_KEPT)
    query = urllib.parse.quote(parts.query, safe=_KEPT + "?")
    return urllib.parse.urlunsplit((parts.scheme, netloc, path or "/", query, ""))


def _copy_file(path: str, target_fd: int, bounds: Bounds) -> int:
    """Opened by the task's user, so it reads what that user may read. Never waits for a FIFO's writer."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise FetchFailure(f"uid {os.geteuid()} cannot open it: {why}") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FetchFailure("it is no regular file: put it into an archive")
    with os.fdopen(fd, "rb", buffering=0) as source:
        return _copy(source, target_fd, bounds)


def _get(url: str, target_fd: int, bounds: Bounds, proxies: Mapping[str, str]) -> int:
    try:
        trust = ssl.create_default_context(cafile=bounds.ca_file or None)
    except OSError as error:
        raise FetchFailure(f"the certificates in {bounds.ca_file} cannot be read: {error}") from None
    least = LeastSpeed(bytes_per_s=bounds.least_bytes_per_s, window_s=bounds.stall_s)
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(dict(proxies)),
        *paced_handlers(least, trust),
        urllib.request.HTTPDefaultErrorHandler(),
        # Follows to http and https only: there is no handler for anything else.
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    request = urllib.request.Request(url, headers={"User-Agent": "paddock", "Accept-Encoding": "identity"})  # noqa: S310
    try:
        with opener.open(request, timeout=bounds.stall_s) as response:
            told = response.headers.get("Content-Length")
            copied_bytes = _copy(response, target_fd, bounds)
    except urllib.error.HTTPError as error:
        raise FetchFailure(f"the server answered {error.code} {error.reason}") from None
    except (urllib.error.URLError, TimeoutError) as error:
        if isinstance(error, TimeoutError) or isinstance(error.reason, TimeoutError):
            raise FetchFailure(f"no byte came for {bounds.stall_s:g} s (--fetcher-stall-timeout)") from None
        raise FetchFailure(f"the server cannot be reached: {error.reason}") from None
    except (http.client.HTTPException, ConnectionError, ValueError) as error:
        raise FetchFailure(f"the server does not speak HTTP as it should: {type(error).__name__}: {error}") from None
    if told is not None and told.isdecimal() and int(told) != copied_bytes:
        raise FetchFailure(f"the server sent {copied_bytes} of {told} bytes and closed the connection")
    return copied_bytes


def _copy(source: IO[bytes], target_fd: int, bounds: Bounds) -> int:
    copied_bytes = 0
    while piece := source.read(_PIECE_BYTES):
        copied_bytes += len(piece)
        if copied_bytes > bounds.limit_bytes:
            raise FetchFailure(f"it is larger than {bounds.limit_bytes} bytes (--fetcher-size-limit)")
        write_all(target_fd, piece)
    return copied_bytes


def write_all(fd: int, content: bytes) -> None:
    """In as many writes as it takes. Raises FetchFailure when the disk is full."""
    view = memoryview(content)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except OSError as error:
            raise FetchFailure(f"it cannot be written to this host's disk: {error.strerror}") from None
