"""The client of a master's LifecycleService."""

from __future__ import annotations

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

    async def deactivate_agent(self, agent_id: str) -> None:
        """No more offers of it."""
        with remote_errors(self._subject):
            await self._stub.DeactivateAgent(pb.DeactivateAgentRequest(agent_id=agent_id))

    async def reactivate_agent(self, agent_id: str) -> None:
        """Offers again."""
        with remote_errors(self._subject):
            await self._stub.ReactivateAgent(pb.ReactivateAgentRequest(agent_id=agent_id))

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
