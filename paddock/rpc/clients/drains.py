"""The client of a master's DrainService."""

from __future__ import annotations

from paddock.rpc.clients.master import MasterClient
from paddock.rpc.errors import remote_errors
from paddock.wire.v1 import drain_service_pb2 as pb
from paddock.wire.v1.drain_service_pb2_grpc import DrainServiceStub


class DrainClient:
    """What the master refuses comes out as the same PaddockError."""

    def __init__(self, master: MasterClient) -> None:
        """Over the same connection."""
        self._stub = DrainServiceStub(master.channel)
        self._subject = f"master at {master.address}"

    async def drain_agent(self, agent_id: str, *, max_grace_ms: int | None, mark_gone: bool) -> None:
        """Returns once it is durable; the agent's state tells when it is done."""
        request = pb.DrainAgentRequest(agent_id=agent_id, max_grace_ms=max_grace_ms, mark_gone=mark_gone)
        with remote_errors(self._subject):
            await self._stub.DrainAgent(request)

    async def cancel_drain(self, agent_id: str) -> None:
        """Returns once it is durable."""
        with remote_errors(self._subject):
            await self._stub.CancelDrain(pb.CancelDrainRequest(agent_id=agent_id))
