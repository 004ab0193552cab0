"""Callers who say nothing, read nothing or send without measure, on each listener of both daemons: memory stays bounded, and
others are served. The daemons begin with the 1,024 open files that a shell gives.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from paddock.daemon import open_files
from testbed.one_host import OneHost
from tests.cluster.conftest import PADDOCK
from tests.cluster.tcp_host import one_host_over_tcp
from tests.http2 import (
    CALL,
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    HELLO,
    PING,
    RESET,
    connect,
    frame,
    header,
    pour,
)

SHELL_LIMIT_COUNT = 1_024
IDLE_COUNT = 1_100
MOST_BYTES = 100 << 20
"""What a flood may cost; each of those below sends more, or asks for more."""

WAIT_S = 60.0


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[OneHost, dict[str, str]]]:
    _, hard = open_files.limits()
    with open_files.as_before((SHELL_LIMIT_COUNT, hard)), one_host_over_tcp() as found:
        open_files.raise_limit()
        yield found


def check(channel: grpc.Channel, request: health_pb2.HealthCheckRequest) -> health_pb2.HealthCheckResponse:
    method: grpc.UnaryUnaryMultiCallable[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]
    method = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return method(request, timeout=WAIT_S)


class Target:
    def __init__(self, host: OneHost, tcp: dict[str, str], word: str) -> None:
        daemon, kind = word.split("-")
        self.address = tcp[daemon] if kind == "tcp" else f"unix:{host.directory}/{daemon}.sock"
        self.pid = (host.masterd if daemon == "masterd" else host.agentd).pid

    @property
    def resident_bytes(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    @property
    def open_count(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(self.address, options=(("grpc.use_local_subchannel_pool", 1),))

    def serves(self) -> None:
        with self.channel() as channel:
            answer = check(channel, health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.fixture(params=["masterd-unix", "masterd-tcp", "agentd-unix", "agentd-tcp"])
def target(both: tuple[OneHost, dict[str, str]], request: pytest.FixtureRequest) -> Iterator[Target]:
    """Whatever the test did to it, it serves others meanwhile, and its memory is in bounds."""
    found = Target(*both, request.param)
    found.serves()
    before_bytes, before_count = found.resident_bytes, found.open_count
    yield found
    found.serves()
    assert found.resident_bytes - before_bytes < MOST_BYTES
    deadline_s = time.monotonic() + WAIT_S
    while found.open_count > before_count + 10:
        assert time.monotonic() < deadline_s, "connections are kept that their callers have closed"
        time.sleep(0.02)


def test_a_thousand_who_say_nothing_or_begin_a_message_without_end(target: Target) -> None:
    announced = frame(HEADERS, END_HEADERS, 1, CALL) + frame(DATA, 0, 1, b"\x00\xff\xff\xff\xff")
    with ExitStack() as stack:
        for number in range(IDLE_COUNT):
            connection = stack.enter_context(connect(target.address))
            if number % 2:
                connection.sendall(HELLO + announced)
        target.serves()
        assert target.open_count > IDLE_COUNT


@pytest.mark.parametrize("flood", ["header without end", "calls with large headers", "pings", "calls taken back"])
def test_frames_without_measure_are_not_kept(target: Target, flood: str) -> None:
    large = header(b"x", b"y" * 15_000)
    with connect(target.address) as connection:
        connection.sendall(HELLO)
        if flood == "header without end":
            connection.sendall(frame(HEADERS, 0, 1, CALL))
            pour(connection, frame(CONTINUATION, 0, 1, large) * 10, 800)
        elif flood == "calls with large headers":
            for number in range(8_000):
                if not pour(connection, frame(HEADERS, END_HEADERS, 1 + 2 * number, CALL + large), 1):
                    break
        elif flood == "pings":
            pour(connection, frame(PING, 0, 0, b"12345678") * 1_000, 200)
        else:
            for first in range(1, 20_000, 200):
                calls = (
                    frame(HEADERS, END_HEADERS, stream, CALL) + frame(RESET, 0, stream, CANCEL)
                    for stream in range(first, first + 200, 2)
                )
                if not pour(connection, b"".join(calls), 1):
                    break
        target.serves()


def test_what_is_too_large_is_refused_by_its_name(target: Target) -> None:
    with target.channel() as channel:
        with pytest.raises(grpc.RpcError) as caught:
            check(channel, health_pb2.HealthCheckRequest(service="x" * (5 << 20)))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "larger than max" in str(caught.value.details())


def test_who_asks_much_and_reads_nothing_waits_alone(target: Target) -> None:
    """Each stream's answers would be some 5 MiB."""
    asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol="grpc.health.v1.Health")
    with target.channel() as channel:
        reflect: grpc.StreamStreamMultiCallable[
            reflection_pb2.ServerReflectionRequest, reflection_pb2.ServerReflectionResponse
        ] = channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        deaf = [reflect(iter([asked] * 2_000)) for _ in range(40)]
        for stream in deaf:
            next(stream)
        target.serves()
        for stream in deaf:
            stream.cancel()


def test_a_task_has_the_limit_of_open_files_that_its_agent_was_given(both: tuple[OneHost, dict[str, str]]) -> None:
    command = [PADDOCK, "run", "--", "/bin/sh", "-c", "ulimit -Sn"]
    environment = {**os.environ, "PADDOCK_MASTER": both[0].master_address}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, f"{SHELL_LIMIT_COUNT}\n"), done.stderr
