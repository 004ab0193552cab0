"""What time it is where master and agents run, as their own daemons tell it to this host."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass

import grpc.aio
from grpc_health.v1 import health_pb2

from paddock.rpc.address import parse_address
from paddock.rpc.health import CLOCK_KEY, SERVICE_NAME

ASK_TIMEOUT_S = 2.0
_NS_PER_S = 1_000_000_000
_DIGITS_COUNT = 20
_OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteClock:
    """How far the clock there is ahead of this host's; negative: behind. `uncertain_s`: the question was so long under way."""

    what: str
    address: str
    ahead_s: float
    uncertain_s: float


async def read_clocks(asked: Iterable[tuple[str, str]]) -> tuple[RemoteClock, ...]:
    """`asked`: master or agent, and its address. Those that do not answer, or not with a time, are not in the answer."""
    found = await asyncio.gather(*(_read_clock(what, address) for what, address in asked))
    return tuple(each for each in found if each is not None)


async def _read_clock(what: str, address: str) -> RemoteClock | None:
    told, before_ns, took_ns = "", 0, 0
    try:
        # A channel of gRPC's own: ours gives the answers alone, without what is told beside them.
        async with grpc.aio.insecure_channel(parse_address(address, what).target, options=_OPTIONS) as channel:
            check: grpc.aio.UnaryUnaryMultiCallable[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]
            check = channel.unary_unary(
                f"/{SERVICE_NAME}/Check",
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            # The first question makes the connection: the second one alone is timed.
            for _ in range(2):
                before_ns, began_ns = time.time_ns(), time.monotonic_ns()
                call = check(health_pb2.HealthCheckRequest(), timeout=ASK_TIMEOUT_S)
                told = next((str(value) for key, value in await call.initial_metadata() if key == CLOCK_KEY), "")
                took_ns = time.monotonic_ns() - began_ns
    except (grpc.aio.AioRpcError, OSError):
        return None
    ahead_s = ahead_of(told, before_ns, took_ns)
    if ahead_s is None:
        return None
    return RemoteClock(what=what, address=address, ahead_s=ahead_s, uncertain_s=took_ns / 2 / _NS_PER_S)


def ahead_of(told: str, before_ns: int, took_ns: int) -> float | None:
    """`told`: the time there, in the middle of a question that was asked at `before_ns` here; None when that is none."""
    if not (told.isascii() and told.isdecimal() and len(told) <= _DIGITS_COUNT):
        return None
    return (int(told) - before_ns - took_ns // 2) / _NS_PER_S
