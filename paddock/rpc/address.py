"""Addresses of daemons in words. Without grpc: agentd reads its settings before that may come in."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from paddock.model.errors import InvalidRequest

PATH_LIMIT_BYTES = 107
"""sockaddr_un.sun_path without its NUL."""

_TCP = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Either `unix_path` or `tcp` is set."""

    unix_path: str = ""
    tcp: str = ""

    @property
    def target(self) -> str:
        """In gRPC's words."""
        return f"unix:{self.unix_path}" if self.unix_path else f"dns:///{self.tcp}"

    def __str__(self) -> str:
        """In ours: what parse_address takes."""
        return f"unix:{self.unix_path}" if self.unix_path else self.tcp


def path_problem(path: str) -> str:
    """Why no socket can be at this absolute path; empty when one can."""
    size_bytes = len(os.fsencode(path))
    if size_bytes <= PATH_LIMIT_BYTES:
        return ""
    return f"a socket's path has at most {PATH_LIMIT_BYTES} bytes, not {size_bytes}"


def parse_address(text: str, field: str = "address") -> Address:
    """`unix:/path`, `/path` or `host:port` (`[v6]:port`)."""
    path = text.removeprefix("unix://") if text.startswith("unix://") else text.removeprefix("unix:")
    if path.startswith("/") and "\0" not in path:
        if problem := path_problem(path):
            raise InvalidRequest(field, text, problem)
        return Address(unix_path=path)
    match = _TCP.fullmatch(text)
    if match is None or not 1 <= int(match.group(2)) <= 65_535:
        raise InvalidRequest(field, text, "use unix:/path or host:port, with a port from 1 to 65535")
    return Address(tcp=text)
