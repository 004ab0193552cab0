"""A part of the load on a masterd, in a process of its own: `python -m bench.master_load ADDRESS NAME AGENTS FRAMEWORKS`.

It takes one word per line, and answers each with a line of JSON. `agents` and `frameworks` connect them. `go`: tasks end as
soon as they run; `rest`: they go on running; `count`: how many have ended; `running`: how many run; `free`: lets some end one
after the other. `offered`: when the first offer came; `seen`: when each was freed, and when each agent was offered, by the
clock that all processes of a host share.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack

import grpc.aio

from bench.simulated import Load, SimulatedAgent, SimulatedFramework

STREAMS_PER_CHANNEL = 50
ROLE_COUNT = 20
FREED_COUNT = 250
PACE_S = 0.02


class Process:
    """The words, and all who speak."""

    def __init__(self, address: str, name: str, agent_count: int, framework_count: int, stack: AsyncExitStack) -> None:
        self._address = address
        self._name = name
        self._stack = stack
        self.load = Load()
        self._agents = [
            SimulatedAgent(self.load, f"{name}-{number}", f"role{number % ROLE_COUNT}" if number % 10 == 0 else "")
            for number in range(agent_count)
        ]
        self._frameworks = [
            SimulatedFramework(self.load, f"{name}-{number}", f"role{number % ROLE_COUNT}")
            for number in range(framework_count)
        ]
        self._freed: list[tuple[str, int]] = []

    async def answer(self, word: str) -> object:
        """Do what it asks."""
        match word:
            case "agents":
                await self._connect_agents()
            case "frameworks":
                await self._subscribe_frameworks()
            case "go":
                self.load.is_going = True
                for agent in self._agents:
                    while agent.running:
                        agent.end_one()
            case "rest":
                self.load.is_going = False
            case "count":
                return self.load.ended_count
            case "running":
                return sum(len(agent.running) for agent in self._agents)
            case "free":
                await self._free()
            case "offered":
                await self.load.offer_came.wait()
                return self.load.offered[0][1]
            case "seen":
                return {"freed": self._freed, "offered": self.load.offered}
            case _:
                raise ValueError(f"{word!r} is no word of this process")
        return None

    async def _connect_agents(self) -> None:
        channels = self._channels(len(self._agents) // STREAMS_PER_CHANNEL + 1)
        for number, agent in enumerate(self._agents):
            self._keep(agent.talk(channels[number // STREAMS_PER_CHANNEL]))
        for agent in self._agents:
            await agent.registered.wait()

    async def _subscribe_frameworks(self) -> None:
        channels = self._channels(len(self._frameworks))
        for framework, channel in zip(self._frameworks, channels, strict=True):
            self._keep(framework.listen(channel))
        for framework in self._frameworks:
            await framework.subscribed.wait()

    async def _free(self) -> None:
        """Each of another agent, so that its offer is this one's."""
        for agent in self._running():
            self._freed.append((agent.agent_id, time.monotonic_ns()))
            agent.end_one()
            await asyncio.sleep(PACE_S)

    def _running(self) -> Iterator[SimulatedAgent]:
        return iter([agent for agent in self._agents if agent.running][:FREED_COUNT])

    def _channels(self, number: int) -> list[grpc.aio.Channel]:
        options = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1))
        channels = [grpc.aio.insecure_channel(self._address, options) for _ in range(number)]
        for channel in channels:
            self._stack.push_async_callback(channel.close)
        return channels

    def _keep(self, talk: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(talk)
        task.add_done_callback(self.load.note_end)
        self._stack.callback(task.cancel)


async def _answer(process: Process, word: str) -> dict[str, object]:
    """The word's; or what has broken."""
    answering = asyncio.create_task(process.answer(word))
    breaking = asyncio.create_task(process.load.broken.wait())
    await asyncio.wait((answering, breaking), return_when=asyncio.FIRST_COMPLETED)
    breaking.cancel()
    failures = process.load.failures
    if failures:
        answering.cancel()
        return {"error": f"{len(failures)} calls and streams failed, the first with {failures[0]}"}
    return {"answer": answering.result()}


async def main() -> None:
    """Until standard input ends."""
    address, name, agents, frameworks = sys.argv[1:]
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        process = Process(address, name, int(agents), int(frameworks), stack)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(await _answer(process, line.strip())), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
