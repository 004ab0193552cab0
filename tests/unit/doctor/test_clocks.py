"""The clocks of other hosts, as their daemons tell them: asked of real servers, and judged."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.doctor.clocks import RemoteClock, ahead_of, read_clocks
from paddock.doctor.finding import Verdict
from paddock.doctor.judging_surroundings import MOST_SKEW_S, of_clock
from paddock.rpc.health import CLOCK_KEY
from tests.unit.rpc.serving import serving

HOUR_NS = 3600 * 1_000_000_000


class OnAnotherClock(health_pb2_grpc.HealthServicer):
    """`ahead_ns` None: of a version that does not tell it."""

    def __init__(self, ahead_ns: int | None) -> None:
        self.ahead_ns = ahead_ns

    async def Check(  # noqa: N802 - the wire's name
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.aio.ServicerContext[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse],
    ) -> health_pb2.HealthCheckResponse:
        if self.ahead_ns is not None:
            await context.send_initial_metadata(((CLOCK_KEY, str(time.time_ns() + self.ahead_ns)),))
        return health_pb2.HealthCheckResponse()


@asynccontextmanager
async def on_another_clock(ahead_ns: int | None) -> AsyncIterator[str]:
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(OnAnotherClock(ahead_ns), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def test_a_daemon_tells_its_clock_to_who_has_no_token(tmp_path: Path) -> None:
    async with serving(tmp_path, tcp_address="127.0.0.1:0") as server:
        (found,) = await read_clocks([("master", f"127.0.0.1:{server.tcp_port}")])
    assert abs(found.ahead_s) <= found.uncertain_s + 1
    assert of_clock(found).verdict is Verdict.FINE


@pytest.mark.parametrize("ahead_ns", [HOUR_NS, -HOUR_NS])
async def test_another_time_there_is_told_with_what_to_do(ahead_ns: int) -> None:
    async with on_another_clock(ahead_ns) as address:
        (found,) = await read_clocks([("agent", address)])
    said = of_clock(found)
    assert (said.verdict, said.name) == (Verdict.WRONG, f"agent {address}")
    assert ("ahead of" if ahead_ns > 0 else "behind") in said.why
    assert "chrony" in said.remedy
    assert abs(abs(found.ahead_s) - 3600) < found.uncertain_s + 1


async def test_who_does_not_answer_or_does_not_tell_is_not_judged() -> None:
    async with on_another_clock(None) as address:
        assert await read_clocks([("agent", address), ("master", "127.0.0.1:1")]) == ()


def test_a_slow_answer_accuses_nobody() -> None:
    clock = RemoteClock(what="agent", address="h:1", ahead_s=MOST_SKEW_S + 1, uncertain_s=1.5)
    assert of_clock(clock).verdict is Verdict.FINE


@settings(max_examples=50)
@given(st.text(max_size=30), st.integers(0, 2**63), st.integers(0, 2**40))
def test_whatever_is_told_is_a_time_or_none(text: str, before_ns: int, took_ns: int) -> None:
    assert ahead_of(text, before_ns, took_ns) is None or text.isdecimal()


def test_an_absurd_number_is_no_time() -> None:
    assert ahead_of("9" * 400, 0, 0) is None
