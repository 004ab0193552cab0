"""The client of a master's LifecycleService."""

from __future__ import annotations

from paddock.rpc.clients.explanations import reason_name
from paddock.rpc.clients.master import MasterClient
from paddock.rpc.errors import remote_errors
from paddock.wire.v1 import lifecycle_service_pb2 as pb
from paddock.wire.v1.lifecycle_service_pb2_grpc import LifecycleServiceStub


class LifecycleClient:
    """What the master refuses comes out as the same PaddockError."""

    def __init__(self, master: MasterClient) -> None:
        """Over the same connection."""
        self._stub = LifecycleServiceStub(master.channel)
        self._subject = f"master at {master.address}"

    async def deactivate_agent(self, agent_id: str, *, validate_only: bool) -> tuple[int, int]:
        """No more offers of it: how many tasks go on there, how many offers come back."""
        request = pb.DeactivateAgentRequest(agent_id=agent_id, validate_only=validate_only)
        with remote_errors(self._subject):
            answer = await self._stub.DeactivateAgent(request)
        return answer.task_count, answer.offer_count

    async def reactivate_agent(self, agent_id: str, *, validate_only: bool) -> tuple[str, ...]:
        """Offers again; but for these reasons, if there are any."""
        request = pb.ReactivateAgentRequest(agent_id=agent_id, validate_only=validate_only)
        with remote_errors(self._subject):
            answer = await self._stub.ReactivateAgent(request)
        return tuple(map(reason_name, answer.remaining))

    async def mark_agent_gone(self, agent_id: str, *, validate_only: bool) -> int:
        """How many tasks it ends."""
        request = pb.MarkAgentGoneRequest(agent_id=agent_id, validate_only=validate_only)
        with remote_errors(self._subject):
            return (await self._stub.MarkAgentGone(request)).task_count

    async def teardown_framework(self, framework_id: str, *, validate_only: bool) -> int:
        """How many tasks it ends."""
        request = pb.TeardownFrameworkRequest(framework_id=framework_id, validate_only=validate_only)
        with remote_errors(self._subject):
            return (await self._stub.TeardownFramework(request)).task_count
