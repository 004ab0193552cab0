"""Channels and speakers of one test, all taken down at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from grpc.aio import Channel

from paddock.rpc.channel import open_channel
from paddock.wire.v1.operator_service_pb2_grpc import OperatorServiceStub
from tests.cluster.masterd.speakers import AgentSpeaker, FrameworkSpeaker
from tests.masterd_process import MasterdProcess

if TYPE_CHECKING:  # the class is in the stubs only
    from paddock.wire.v1.operator_service_pb2_grpc import OperatorServiceAsyncStub


class Stage:
    """Opens channels and speakers, and takes them all down."""

    def __init__(self, masterd: MasterdProcess, stack: AsyncExitStack) -> None:
        self._masterd = masterd
        self._stack = stack

    async def channel(self) -> Channel:
        return await self._stack.enter_async_context(open_channel(self._masterd.address))

    async def agent(self, agent_id: str, **more: str) -> AgentSpeaker:
        agent = AgentSpeaker(await self.channel(), agent_id, **more)
        self._stack.push_async_callback(agent.leave)
        return agent

    async def framework(self, *roles: str, framework_id: str = "", failover_timeout_ms: int = 0) -> FrameworkSpeaker:
        channel = await self.channel()
        framework = FrameworkSpeaker(
            channel, *roles, framework_id=framework_id, failover_timeout_ms=failover_timeout_ms
        )
        self._stack.push_async_callback(framework.leave)
        return framework

    async def operator(self) -> OperatorServiceAsyncStub:
        return OperatorServiceStub(await self.channel())


@asynccontextmanager
async def stage(masterd: MasterdProcess) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(masterd, stack)
