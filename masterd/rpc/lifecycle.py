"""LifecycleService: agents out of use and back, given up; frameworks ended."""
# ruff: noqa: N802 - the methods' names are the proto's

from __future__ import annotations

from google.protobuf.message import Message
from grpc.aio import ServicerContext

from masterd.allocator.interface import Inactivity
from masterd.core import availability, teardown
from masterd.core.events import AgentActivated, AgentMarkedGone, OperatorTeardown
from masterd.rpc.callers import current_caller
from masterd.rpc.explanations import reasons_to_wire
from masterd.shell import MasterShell
from paddock.model import ids
from paddock.model.errors import NotFound
from paddock.model.ids import AgentId
from paddock.wire.v1 import lifecycle_service_pb2 as pb
from paddock.wire.v1.lifecycle_service_pb2_grpc import LifecycleServiceServicer

_Context = ServicerContext[Message, Message]


class Lifecycle(LifecycleServiceServicer):
    """Each call answers when what it did is durable."""

    def __init__(self, shell: MasterShell) -> None:
        self._shell = shell

    async def DeactivateAgent(
        self, request: pb.DeactivateAgentRequest, context: _Context
    ) -> pb.DeactivateAgentResponse:
        """The counts are of the state before it."""
        event = AgentActivated(caller=current_caller(), agent_id=ids.agent_id(request.agent_id), active=False)
        agent = availability.named(self._shell.machine.state, event)
        answer = pb.DeactivateAgentResponse(task_count=agent.living_task_count, offer_count=len(agent.offers))
        if not request.validate_only:
            await self._shell.call(event)
        return answer

    async def ReactivateAgent(
        self, request: pb.ReactivateAgentRequest, context: _Context
    ) -> pb.ReactivateAgentResponse:
        """Offered again, unless something else forbids it: that is said."""
        state = self._shell.machine.state
        event = AgentActivated(caller=current_caller(), agent_id=ids.agent_id(request.agent_id), active=True)
        why = availability.inactivity(state, availability.named(state, event), self._shell.wall_ns())
        if not request.validate_only:
            await self._shell.call(event)
        return pb.ReactivateAgentResponse(remaining=reasons_to_wire(why - {Inactivity.DEACTIVATED}))

    async def MarkAgentGone(self, request: pb.MarkAgentGoneRequest, context: _Context) -> pb.MarkAgentGoneResponse:
        """The count is of the state before it."""
        event = AgentMarkedGone(caller=current_caller(), agent_id=ids.agent_id(request.agent_id))
        availability.check_root(event.caller, "mark agents as gone")
        count = self._task_count_of(event.agent_id)
        if not request.validate_only:
            await self._shell.call(event)
        return pb.MarkAgentGoneResponse(task_count=count)

    def _task_count_of(self, agent_id: AgentId) -> int:
        state = self._shell.machine.state
        if agent_id not in state.agents:
            raise NotFound("agent", agent_id)
        waiting = [task for framework in state.frameworks.values() for task in framework.unreachable.values()]
        return state.agents[agent_id].living_task_count + sum(task.agent_id == agent_id for task in waiting)

    async def TeardownFramework(
        self, request: pb.TeardownFrameworkRequest, context: _Context
    ) -> pb.TeardownFrameworkResponse:
        """The count is of the state before it."""
        event = OperatorTeardown(caller=current_caller(), framework_id=ids.framework_id(request.framework_id))
        framework = teardown.owned(self._shell.machine.state, event)
        tasks = (*framework.tasks.values(), *framework.unreachable.values())
        count = sum(not task.state.is_terminal for task in tasks)
        if not request.validate_only:
            await self._shell.call(event)
        return pb.TeardownFrameworkResponse(task_count=count)
