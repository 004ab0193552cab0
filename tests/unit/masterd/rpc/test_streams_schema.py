"""The two calls that live as long as their connection, with whatever their schema allows: what a framework subscribes with,
and all that an agent says from its registration on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import cast

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from masterd.rpc.agents import AgentRegistry
from masterd.rpc.schedulers import Schedulers
from masterd.shell import MasterShell
from paddock.model.errors import InvalidRequest, PaddockError
from paddock.model.ids import AgentId
from paddock.rpc.principal import OwnUidOnly
from paddock.wire import convert
from paddock.wire.v1 import agent_registry_service_pb2 as registry_pb
from paddock.wire.v1 import scheduler_service_pb2 as scheduler_pb
from paddock.wire.v1 import tasks_pb2
from tests.unit.masterd.core.invariants import violations
from tests.unit.masterd.core.world import World
from tests.unit.masterd.rpc.schema import messages
from tests.unit.masterd.rpc.serving import NO_CONTEXT, cluster, served, summary

_TIMEOUT_S = 20


def check(world: World) -> None:
    broken = list(violations(world.state, world.allocator))
    assert not broken, broken


@asynccontextmanager
async def serving(world: World) -> AsyncIterator[MasterShell]:
    """Its streams have other numbers than those that the world has given already."""
    async with asyncio.timeout(_TIMEOUT_S), served(world) as shell:
        while shell.new_stream_number() < world.streams:
            pass
        yield shell


def check_refusal(refused: PaddockError, fields: Iterable[str]) -> None:
    if isinstance(refused, InvalidRequest):
        assert refused.field.replace("[", ".").split(".")[0] in set(fields), refused


def mended(request: scheduler_pb.SubscribeRequest, known_id: str) -> None:
    """Of a framework that may subscribe; only what it wants is as it was drawn."""
    request.framework.framework_id = known_id
    for name in ("capabilities", "labels", "failover_timeout_ms", "name", "user", "hostname", "webui_url", "principal"):
        request.framework.ClearField(name)
    request.framework.roles[:] = ["r", "r/s"]
    del request.suppressed_roles[1:]
    request.suppressed_roles[:] = ["r"] * len(request.suppressed_roles)


async def subscribe(request: scheduler_pb.SubscribeRequest, *, honest: bool, known: bool) -> None:
    world = cluster()
    if honest:
        mended(request, next(iter(world.state.frameworks)) if known else "")
    before, offered = summary(world), sorted(world.state.offers)
    refused: PaddockError | None = None
    async with serving(world) as shell:
        stream = Schedulers(shell).Subscribe(request, NO_CONTEXT)
        try:
            first = scheduler_pb.SchedulerEvent.FromString(cast("bytes", await anext(stream)))
        except PaddockError as error:
            refused = error
        else:
            assert first.subscribed.framework_id in world.state.frameworks
            assert sorted(world.state.offers) != offered or not known or not honest
        finally:
            await stream.aclose()  # type: ignore[attr-defined]
    event("refused" if refused is not None else "subscribed")
    if refused is not None:
        assert summary(world) == before, refused
        check_refusal(refused, request.DESCRIPTOR.fields_by_name)
    check(world)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(request=messages(scheduler_pb.SubscribeRequest), honest=st.booleans(), known=st.booleans())
def test_whatever_a_framework_subscribes_with(
    request: scheduler_pb.SubscribeRequest, honest: bool, known: bool
) -> None:
    asyncio.run(subscribe(request, honest=honest, known=known))


def in_its_words(message: registry_pb.AgentMessage, framework_id: str) -> None:
    """It speaks of a framework and a task that are there."""
    match message.WhichOneof("message"):
        case "update_status":
            message.update_status.framework_id = framework_id
            message.update_status.status.task_id = "t1"
        case "task_resized":
            message.task_resized.framework_id, message.task_resized.task_id = framework_id, "t1"
        case "launch_refused":
            message.launch_refused.framework_id = framework_id
            message.launch_refused.task_ids[:] = ["t1"]
        case _:
            pass


def coming_back(world: World, agent_id: str) -> registry_pb.RegisterAgent:
    """An agent as it should be: what it runs goes on, if the master knows it; its former stream is over."""
    register = registry_pb.RegisterAgent()
    register.agent.agent_id = register.agent.hostname = agent_id
    agent = world.state.agents.get(AgentId(agent_id))
    if agent is not None and agent.stream is not None:
        register.agent.resources.extend(convert.resources_to_wire(agent.configured))
        for task in agent.tasks.values():
            info, running = convert.task_info_to_wire(task.info), tasks_pb2.TASK_RUNNING
            register.tasks.add(framework_id=task.framework_id, task=info, state=running, container_id="c1")
        world.lose_agent(agent.stream)
    return register


async def connect(
    drawn: registry_pb.RegisterAgent | None, later: list[registry_pb.AgentMessage], *, agent_id: str
) -> None:
    world = cluster()
    register = drawn if drawn is not None else coming_back(world, agent_id)
    if drawn is None:
        for message in later:
            in_its_words(message, next(iter(world.state.frameworks)))

    async def said() -> AsyncIterator[registry_pb.AgentMessage]:
        yield registry_pb.AgentMessage(register=register)
        for message in later:
            yield message

    before, told = summary(world), 0
    refused: PaddockError | None = None
    async with serving(world) as shell:
        stream = AgentRegistry(shell, OwnUidOnly()).Connect(said(), NO_CONTEXT)
        try:
            async for answer in stream:
                assert told or answer.HasField("registered")
                told += 1
        except PaddockError as error:
            refused = error
    event(f"told: {bool(told)}, refused: {refused is not None}")
    assert refused is not None or told
    assert told or drawn is not None, refused
    if refused is not None and not told:
        assert summary(world) == before, refused
        check_refusal(refused, register.DESCRIPTOR.fields_by_name)
    elif refused is not None:
        check_refusal(refused, {*registry_pb.AgentMessage.DESCRIPTOR.fields_by_name, "message"})
    check(world)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    drawn=st.none() | st.none() | messages(registry_pb.RegisterAgent),
    later=st.lists(messages(registry_pb.AgentMessage), max_size=3),
    agent_id=st.sampled_from(("a1", "a2", "a3")),
)
def test_whatever_an_agent_says(
    drawn: registry_pb.RegisterAgent | None, later: list[registry_pb.AgentMessage], agent_id: str
) -> None:
    asyncio.run(connect(drawn, later, agent_id=agent_id))
