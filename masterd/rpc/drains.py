"""DrainService: emptying agents, and using them again."""
# ruff: noqa: N802 - the methods' names are the proto's

from __future__ import annotations

from google.protobuf.message import Message
from grpc.aio import ServicerContext

from masterd.allocator.interface import Inactivity
from masterd.core import availability, draining
from masterd.core.events import CancelDrain, DrainAgent
from masterd.rpc.callers import current_caller
from masterd.rpc.explanations import reasons_to_wire
from masterd.shell import MasterShell
from paddock.model import ids
from paddock.wire.convert import bounds
from paddock.wire.v1 import drain_service_pb2 as pb
from paddock.wire.v1.drain_service_pb2_grpc import DrainServiceServicer

_Context = ServicerContext[Message, Message]


class Drains(DrainServiceServicer):
    """Root's only; the core says so."""

    def __init__(self, shell: MasterShell) -> None:
        self._shell = shell

    async def DrainAgent(self, request: pb.DrainAgentRequest, context: _Context) -> pb.DrainAgentResponse:
        """Answers when it is durable and the kills are on their way. The counts are of the state before it."""
        max_grace_ms = None
        if request.HasField("max_grace_ms"):
            max_grace_ms = bounds.duration_ms(request.max_grace_ms, "max_grace_ms")
        event = DrainAgent(
            caller=current_caller(),
            agent_id=ids.agent_id(request.agent_id, "agent_id"),
            max_grace_ms=max_grace_ms,
            mark_gone=request.mark_gone,
        )
        agent = draining.named(self._shell.machine.state, event)
        living = [task for task in agent.tasks.values() if not task.state.is_terminal]
        answer = pb.DrainAgentResponse(
            task_count=len(living),
            longest_grace_ms=max((draining.grace_ms(task, max_grace_ms) for task in living), default=0),
            offer_count=len(agent.offers),
        )
        if not request.validate_only:
            await self._shell.call(event)
        return answer

    async def CancelDrain(self, request: pb.CancelDrainRequest, context: _Context) -> pb.CancelDrainResponse:
        """Answers when it is durable."""
        state = self._shell.machine.state
        event = CancelDrain(caller=current_caller(), agent_id=ids.agent_id(request.agent_id, "agent_id"))
        why = availability.inactivity(state, draining.named(state, event), self._shell.wall_ns())
        if not request.validate_only:
            await self._shell.call(event)
        return pb.CancelDrainResponse(remaining=reasons_to_wire(why - {Inactivity.DRAINING}))
