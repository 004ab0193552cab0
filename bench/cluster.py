"""Starts what is measured: the one-host cluster of the demonstration, with its defaults, and a caller of its agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.agent import Agent
from paddock.rpc.channel import open_channel
from testbed.one_host import OneHost

# Only what the machine is believed to have is set, so that a thousand containers fit; they sleep.
RESOURCES = "cpus:1000;mem:1000000;disk:1000000"


@asynccontextmanager
async def running_agent() -> AsyncIterator[Agent]:
    """masterd, launcher and agentd as `make run` starts them; all of it is gone afterwards."""
    host = OneHost.make(agent_arguments=[f"--resources={RESOURCES}"])
    try:
        # In a thread: it waits without a loop.
        await asyncio.to_thread(host.start)
        async with open_channel(host.agent_address) as channel:
            yield Agent(channel, host.agentd.pid, host.agent_address)
    finally:
        await asyncio.to_thread(host.stop)
