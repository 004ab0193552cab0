"""Health checks over the network, at 127.0.0.1: of the host, which most tasks share, or of the container's own network."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

from paddock.kernel.namespaces import CLONE_NEWNET, setns
from paddock.model.container import ContainerConfig
from paddock.model.docker import DockerNetwork
from paddock.model.errors import Unavailable
from paddock.model.health import HealthEvidence, HttpCheck, TcpCheck

HOST = "127.0.0.1"
_HEAD_LIMIT_BYTES = 8 * 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r?\n)")
_SHOWN_BYTES = 80
_OUR_OWN = "/proc/self/ns/net"


def network_of(config: ContainerConfig, pid: int) -> str:
    """The file of the container's own network; empty: it is the host's. `pid`: of a process in it. Raises Unavailable when that
    process is not, and OSError when it is no more.
    """
    docker = config.container.docker
    if docker is None or docker.network is DockerNetwork.HOST:
        return ""
    network = f"/proc/{pid}/ns/net"
    if os.path.samefile(network, _OUR_OWN):
        # A stand-in, of an agent that runs Docker no more: whoever answers here is not the task.
        raise Unavailable(f"process {pid} is in the agent's network, not in the task's own")
    return network


async def check_tcp(check: TcpCheck, network: str = "") -> HealthEvidence:
    """Raises OSError when nobody accepts."""
    with await _connected(check.port, network):
        return HealthEvidence(passed=True, message=f"connect to {HOST}:{check.port}: accepted")


async def _connected(port: int, network: str) -> socket.socket:
    if network:
        # Whoever enters another network does nothing else afterwards: the thread ends.
        thread = ThreadPoolExecutor(max_workers=1)
        try:
            made = await asyncio.get_running_loop().run_in_executor(thread, _socket_in, network)
        finally:
            thread.shutdown(wait=False)
    else:
        made = _socket()
    try:
        await asyncio.get_running_loop().sock_connect(made, (HOST, port))
    except OSError as error:
        made.close()
        # Without asyncio's own words around the kernel's.
        raise OSError(error.errno, os.strerror(error.errno or 0)) from None
    except BaseException:
        made.close()
        raise
    return made


def _socket_in(network: str) -> socket.socket:
    """It stays in the network in which it was made, whoever uses it."""
    fd = os.open(network, os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(fd, CLONE_NEWNET)
    finally:
        os.close(fd)
    return _socket()


def _socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


async def check_http(check: HttpCheck, network: str = "") -> HealthEvidence:
    """The status line decides: what follows it is not read, and a redirection is not followed. Raises OSError."""
    is_https = check.scheme == "https"
    reader, writer = await asyncio.open_connection(
        sock=await _connected(check.port, network),
        ssl=_any_certificate() if is_https else None,
        server_hostname=HOST if is_https else None,
        limit=_HEAD_LIMIT_BYTES,
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
