"""The client of a master's DrainService."""

from __future__ import annotations

from dataclasses import dataclass

from paddock.rpc.clients.explanations import reason_name
from paddock.rpc.clients.master import MasterClient
from paddock.rpc.errors import remote_errors
from paddock.wire.v1 import drain_service_pb2 as pb
from paddock.wire.v1.drain_service_pb2_grpc import DrainServiceStub


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainOutlook:
    """How many tasks are killed, how long the slowest has for it, and how many offers come back."""

    task_count: int
    longest_grace_ms: int
    offer_count: int


class DrainClient:
    """What the master refuses comes out as the same PaddockError."""

    def __init__(self, master: MasterClient) -> None:
        """Over the same connection."""
        self._stub = DrainServiceStub(master.channel)
        self._subject = f"master at {master.address}"

    async def drain_agent(
        self, agent_id: str, *, max_grace_ms: int | None, mark_gone: bool, validate_only: bool
    ) -> DrainOutlook:
        """Returns once it is durable; the agent's state tells when it is done."""
        request = pb.DrainAgentRequest(
            agent_id=agent_id, max_grace_ms=max_grace_ms, mark_gone=mark_gone, validate_only=validate_only
        )
        with remote_errors(self._subject):
            answer = await self._stub.DrainAgent(request)
        return DrainOutlook(
            task_count=answer.task_count, longest_grace_ms=answer.longest_grace_ms, offer_count=answer.offer_count
        )

    async def cancel_drain(self, agent_id: str, *, validate_only: bool) -> tuple[str, ...]:
        """Returns once it is durable, with the reasons why the agent is not offered all the same."""
        with remote_errors(self._subject):
            answer = await self._stub.CancelDrain(pb.CancelDrainRequest(agent_id=agent_id, validate_only=validate_only))
        return tuple(map(reason_name, answer.remaining))
