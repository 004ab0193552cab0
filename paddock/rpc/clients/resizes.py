"""The client of a master's ResizeService."""

from __future__ import annotations

from collections.abc import Mapping

from paddock.model.task import ResourceLimits
from paddock.rpc.clients.master import MasterClient
from paddock.rpc.errors import remote_errors
from paddock.wire import convert
from paddock.wire.v1 import resize_service_pb2 as pb
from paddock.wire.v1 import resources_pb2
from paddock.wire.v1.resize_service_pb2_grpc import ResizeServiceStub


class ResizeClient:
    """What the master or the agent refuses comes out as the same PaddockError."""

    def __init__(self, master: MasterClient) -> None:
        """Over the same connection."""
        self._stub = ResizeServiceStub(master.channel)
        self._subject = f"master at {master.address}"

    async def resize_task(
        self,
        framework_id: str,
        task_id: str,
        amounts_milli: Mapping[str, int],
        limits: ResourceLimits,
        *,
        validate_only: bool,
    ) -> None:
        """Returns once it is in force. A refusal (ContainerizerError when it is the kernel's) leaves all as it was.

        `limits`: those that the caller has changed at the agent before, or would.
        """
        request = pb.ResizeTaskRequest(
            framework_id=framework_id,
            task_id=task_id,
            resources=[resources_pb2.Resource(name=name, scalar_milli=milli) for name, milli in amounts_milli.items()],
            validate_only=validate_only,
            limits=convert.limits_to_wire(limits),
        )
        with remote_errors(self._subject):
            await self._stub.ResizeTask(request)
