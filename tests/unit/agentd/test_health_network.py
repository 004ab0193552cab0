"""Health checks over the network against real servers on 127.0.0.1: right ones, wrong ones, silent ones, and none."""

import asyncio
import contextlib
import logging
import resource
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.checker import Checker
from agentd.containerizer.composing import ComposingContainerizer
from agentd.core.events import HealthChecked
from agentd.health_network import check_http, check_tcp
from paddock.daemon.clock import SystemClock
from paddock.model.docker import DockerInfo, DockerNetwork
from paddock.model.health import HealthCheck, HealthEvidence, HttpCheck, TcpCheck
from paddock.model.ids import ContainerId
from paddock.model.image import parse_image
from paddock.model.task import ContainerInfo, ContainerType
from tests.ports import free_port
from tests.unit.agentd.core import made


@contextlib.asynccontextmanager
async def answering(content: bytes, *, tls: ssl.SSLContext | None = None, silent: bool = False) -> AsyncIterator[int]:
    """A server that says this once it was asked; `silent`: and then neither ends nor says more."""
    gone = asyncio.Event()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(content)
            if silent:
                await gone.wait()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        gone.set()
        server.close()
        await server.wait_closed()
        for _ in range(
            20
        ):  # what was accepted just now has a writer, and what is aborted a closed socket, some turns later
            for writer in writers:
                writer.transport.abort()
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("status", "wanted", "passed"),
    [(200, (), True), (399, (), True), (199, (), False), (400, (), False), (503, (503,), True), (200, (503,), False)],
)
async def test_the_status_decides(status: int, wanted: tuple[int, ...], passed: bool) -> None:
    async with answering(f"HTTP/1.1 {status} Whatever\r\n\r\n".encode()) as port:
        found = await check_http(HttpCheck(port=port, statuses=wanted))
    assert (found.passed, found.http_status) == (passed, status)
    assert found.message == f"GET http://127.0.0.1:{port}/: status {status}"


@pytest.mark.parametrize(
    "content", [b"", b"SSH-2.0-x\r\n", b"HTTP/2 200\r\n", b"HTTP/1.1 2000 x\r\n", b"x" * 100_000, b"HTTP/1.1 200"]
)
async def test_what_is_no_http_fails_and_is_shown_in_part(content: bytes) -> None:
    async with answering(content) as port:
        found = await check_http(HttpCheck(port=port))
    assert not found.passed
    assert "no HTTP" in found.message
    assert len(found.message) < 400


@given(content=st.binary(max_size=200))
@settings(max_examples=40, deadline=None)
def test_any_answer_is_an_outcome(content: bytes) -> None:
    async def ask() -> HealthEvidence:
        async with answering(content) as port:
            return await check_http(HttpCheck(port=port))

    found = asyncio.run(ask())
    assert found.passed == (found.http_status is not None and 200 <= found.http_status < 400)


async def test_https_asks_no_certificate(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=elsewhere"
    command = [*make.split(), "-keyout", str(key), "-out", str(certificate)]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n", tls=tls) as port:
        assert (await check_http(HttpCheck(port=port, scheme="https"))).passed


async def test_tcp() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert (await check_tcp(TcpCheck(port=listener.getsockname()[1]))).passed
    with pytest.raises(ConnectionRefusedError):
        await check_tcp(TcpCheck(port=free_port()))


class Asked:
    """A checker without any containerizer, and what it says."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[HealthChecked] = asyncio.Queue()
        self.checker = Checker(ComposingContainerizer({}, lambda _: None), self._hear, SystemClock())

    def ask(self, check: HealthCheck, container_id: str = "c1", *, in_ns: int = 0) -> None:
        config = replace(made.config(container_id, task_id="t1"), health_check=check)
        self.checker.check(config, check, SystemClock().monotonic_ns() + in_ns)

    def _hear(self, container_id: ContainerId, found: HealthEvidence) -> None:
        self.said.put_nowait(HealthChecked(container_id=container_id, evidence=found))


async def test_silence_ends_with_the_time_and_a_refusal_says_so() -> None:
    asked = Asked()
    async with answering(b"", silent=True) as port:
        asked.ask(HealthCheck(http=HttpCheck(port=port), timeout_ms=50))
        found = (await asked.said.get()).evidence
    assert not found.passed
    assert found.message == f"GET http://127.0.0.1:{port}/: no result within 50 ms"
    assert found.took_ms >= 50
    asked.ask(HealthCheck(tcp=TcpCheck(port=free_port())))
    assert "onnect" in (await asked.said.get()).evidence.message


async def test_what_could_not_be_made_is_no_failure_and_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = Asked()
    caplog.set_level(logging.DEBUG)
    asked.ask(HealthCheck(command="true", interval_ms=100))  # of a container whose shim is not connected
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            asked.ask(HealthCheck(tcp=TcpCheck(port=port), interval_ms=100), "c2")
            async with asyncio.timeout(20):
                while sum("could not be made" in record.message for record in caplog.records) < 4:
                    await asyncio.sleep(0.01)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        said = await asked.said.get()
        assert (said.container_id, said.evidence.passed) == ("c2", True)
        await asked.checker.stop()
    assert asked.said.empty()
    warned = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 2, "once of each, not at each interval"


async def test_a_task_is_not_blamed_for_what_nobody_answers_outside_its_own_network(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As with a stand-in, whose pid is all that an agent has which runs Docker no more."""
    caplog.set_level(logging.DEBUG)
    asked = Asked()
    docker = DockerInfo(image=parse_image("busybox"), network=DockerNetwork.BRIDGE)
    with subprocess.Popen(["sleep", "1000"]) as stand_in:
        try:
            checks = {"c1": HealthCheck(tcp=TcpCheck(port=free_port())), "c2": HealthCheck(http=HttpCheck(port=1))}
            for name, check in checks.items():
                container = ContainerInfo(type=ContainerType.DOCKER, docker=docker)
                config = replace(made.config(name, task_id="t1"), health_check=check, container=container)
                asked.checker.check(config, replace(check, interval_ms=10), 0, stand_in.pid)
            async with asyncio.timeout(20):
                while sum("could not be made" in record.message for record in caplog.records) < 6:
                    await asyncio.sleep(0.01)
            await asked.checker.stop()
        finally:
            stand_in.kill()
    assert asked.said.empty()
    warned = {record.__dict__["container_id"] for record in caplog.records if record.levelno == logging.WARNING}
    assert warned == {"c1", "c2"}


async def test_what_is_cancelled_is_never_told_and_asking_again_is_one_check() -> None:
    asked = Asked()
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n") as port:
        check = HealthCheck(http=HttpCheck(port=port))
        asked.ask(check, "c1", in_ns=3600 * 10**9)
        asked.ask(check, "c1")
        asked.ask(check, "c2", in_ns=3600 * 10**9)
        asked.checker.cancel(ContainerId("c2"))
        asked.ask(check, "c3", in_ns=3600 * 10**9)
        assert (await asked.said.get()).container_id == "c1"
        await asked.checker.stop()
        await asked.checker.stop()
    assert asked.said.empty()
