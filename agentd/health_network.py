"""Health checks over the network: tasks share the host's, so they are asked at 127.0.0.1, from here."""

from __future__ import annotations

import asyncio
import re
import ssl

from paddock.model.health import HealthEvidence, HttpCheck, TcpCheck

HOST = "127.0.0.1"
_HEAD_LIMIT_BYTES = 8 * 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r?\n)")
_SHOWN_BYTES = 80


async def check_tcp(check: TcpCheck) -> HealthEvidence:
    """Raises OSError when nobody accepts."""
    _, writer = await asyncio.open_connection(HOST, check.port)
    writer.transport.abort()
    return HealthEvidence(passed=True, message=f"connect to {HOST}:{check.port}: accepted")


async def check_http(check: HttpCheck) -> HealthEvidence:
    """The status line decides: what follows it is not read, and a redirection is not followed. Raises OSError."""
    reader, writer = await asyncio.open_connection(
        HOST, check.port, ssl=_any_certificate() if check.scheme == "https" else None, limit=_HEAD_LIMIT_BYTES
    )
    what = f"GET {check.scheme}://{HOST}:{check.port}{check.path}"
    try:
        head = f"GET {check.path} HTTP/1.1\r\nHost: {HOST}:{check.port}\r\nUser-Agent: paddock\r\nConnection: close\r\n\r\n"
        writer.write(head.encode("ascii"))
        await writer.drain()
        line = await _line(reader)
    finally:
        writer.transport.abort()
    found = _STATUS_LINE.match(line)
    if found is None:
        shown = line[:_SHOWN_BYTES].decode("ascii", "backslashreplace")
        return HealthEvidence(passed=False, message=f"{what}: the answer is no HTTP: {shown!r}")
    status = int(found.group(1))
    passed = status in check.statuses if check.statuses else 200 <= status < 400
    return HealthEvidence(passed=passed, message=f"{what}: status {status}", http_status=status)


async def _line(reader: asyncio.StreamReader) -> bytes:
    """The first line, or as much of one as there is."""
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    except asyncio.LimitOverrunError:
        return await reader.read(_SHOWN_BYTES)


def _any_certificate() -> ssl.SSLContext:
    """A certificate is for a name; the task is asked by an address, and from its own host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
