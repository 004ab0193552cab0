"""A master's services around a small cluster, called as its server would call them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

from google.protobuf.message import Message
from grpc.aio import ServicerContext

from masterd.core.effects import Save
from masterd.core.events import Caller
from masterd.shell import MasterShell
from paddock.rpc.principal import Principal, serve_as
from tests.fakes.clock import FakeClock
from tests.unit.masterd.core.world import World, task_info

NO_CONTEXT = cast("ServicerContext[Message, Message]", None)
Method = Callable[[Message, ServicerContext[Message, Message]], Awaitable[Message]]
ROOT = Caller(uid=0, user="root")


def cluster() -> World:
    """Two agents; a framework of r with a task and offers, one of r/s and q without tasks."""
    world = World()
    world.agent("a1", "cpus:4;mem:1024;disk:100;ports:[31000-31009]")
    framework = world.framework("r", failover_s=60)
    world.accept(framework, world.offers(framework[2]), task_info("t1", "a1", "cpus:1;mem:64"))
    world.agent("a2", "cpus:2;mem:512;cpus(q):1")
    world.framework("r/s", "q", failover_s=60)
    return world


@asynccontextmanager
async def served(world: World) -> AsyncIterator[MasterShell]:
    """The shell runs; what it saved is in `world.effects`."""
    serve_as(Principal(uid=0))

    def write(records: object) -> None:
        world.effects.extend(cast("list[Save]", records))

    clock = FakeClock(monotonic_s=world.now_ns / 1e9, wall_s=world.now_ns / 1e9)
    shell = MasterShell(world.machine, write=write, clock=clock, allocation_interval_s=3600)
    running = asyncio.create_task(shell.run())
    try:
        yield shell
    finally:
        shell.stop()
        await running


def summary(world: World) -> tuple[object, ...]:
    """All that a call could change."""
    state = world.state
    return (
        {
            name: (agent.state, agent.info, agent.configured, agent.drain, *agent.offers)
            for name, agent in state.agents.items()
        },
        {name: (each.state, each.info, *each.offers, *each.tasks) for name, each in state.frameworks.items()},
        sorted(state.offers),
        dict(state.quotas),
        dict(state.weights_milli),
        dict(state.gone_agent_ids),
        dict(state.deactivated_agent_ids),
        dict(state.maintenance),
        {agent_id: world.allocator.free(agent_id) for agent_id in world.allocator.ledger.agents},
    )
