"""Bare gRPC of the same kind and size, as the least that a master's part can cost: `python -m bench.echo serve PORT`.

The server answers each call with what it got, and each message on a stream as often as its first byte says. A `task` of it has
what a task of the master has: three calls (accept, two acknowledgements), two messages from an agent (its statuses), and six to
agent and framework (launch, two acknowledgements; offer, two statuses).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import grpc.aio

MESSAGE_BYTES = 200
CALLS_PER_TASK = 3
TURNS_PER_TASK = 2
ANSWERS_PER_TURN = 3
LANES = 100
STREAMS_PER_CHANNEL = 50
_STREAM, _CALL = "/bench.Echo/Stream", "/bench.Echo/Call"


async def _stream(requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
    async for request in requests:
        for _ in range(request[0]):
            yield request


async def _call(request: bytes, _context: object) -> bytes:
    return request


async def serve(port: str) -> None:
    """Until killed. A word on standard output says that it serves."""
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Stream": grpc.stream_stream_rpc_method_handler(_stream),
        "Call": grpc.unary_unary_rpc_method_handler(_call),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("bench.Echo", handlers)])
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    print("serves", flush=True)
    await server.wait_for_termination()


def _channel(port: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"127.0.0.1:{port}", (("grpc.use_local_subchannel_pool", 1),))


class Lane:
    """One stream, and calls beside it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        stream: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(_STREAM)
        self._stream = stream()
        self._call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_CALL)

    async def task(self) -> None:
        """As much as one of the master's: each turn between two calls."""
        for number in range(CALLS_PER_TASK):
            await self._call(bytes(MESSAGE_BYTES))
            if number < TURNS_PER_TASK:
                await self.turn(ANSWERS_PER_TURN)

    async def turn(self, answer_count: int = 1) -> None:
        """A message there, and its answers."""
        await self._stream.write(bytes([answer_count]) + bytes(MESSAGE_BYTES - 1))
        for _ in range(answer_count):
            if await self._stream.read() is grpc.aio.EOF:
                raise RuntimeError("the server ended the stream")


async def load(port: str, seconds: float) -> None:
    """Prints how many tasks of it were done in so many seconds."""
    channels = [_channel(port) for _ in range(LANES)]
    end_s = time.monotonic() + seconds
    done_count = 0

    async def go(lane: Lane) -> None:
        nonlocal done_count
        while time.monotonic() < end_s:
            await lane.task()
            done_count += 1

    async with asyncio.TaskGroup() as group:
        for channel in channels:
            group.create_task(go(Lane(channel)))
    print(done_count, flush=True)
    for channel in channels:
        await channel.close()


async def trip(port: str, count: int, pace_s: float) -> None:
    """Prints how long each of so many messages took there and back, in ms, one after the other."""
    async with _channel(port) as channel:
        lane = Lane(channel)
        await lane.turn()
        took_ms = []
        for _ in range(count):
            begin_ns = time.monotonic_ns()
            await lane.turn()
            took_ms.append((time.monotonic_ns() - begin_ns) / 1e6)
            await asyncio.sleep(pace_s)
    print(json.dumps(took_ms), flush=True)


async def hold(port: str, stream_count: int) -> None:
    """From a line of input on and until killed: open streams, over as few connections as agents in `bench.master_load` have."""
    print("starts", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    async with AsyncExitStack() as stack:
        streams = []
        for first in range(0, stream_count, STREAMS_PER_CHANNEL):
            channel = await stack.enter_async_context(_channel(port))
            streams += [Lane(channel) for _ in range(first, min(first + STREAMS_PER_CHANNEL, stream_count))]
        for stream in streams:
            await stream.turn()
        print("held", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """One of the four verbs."""
    match sys.argv[1:]:
        case ["serve", port]:
            asyncio.run(serve(port))
        case ["hold", port, stream_count]:
            asyncio.run(hold(port, int(stream_count)))
        case ["load", port, seconds]:
            asyncio.run(load(port, float(seconds)))
        case ["trip", port, count, pace_s]:
            asyncio.run(trip(port, int(count), float(pace_s)))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
