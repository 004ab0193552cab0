"""grpc.health.v1: the daemon as a whole (the empty name) and each of its services."""

from __future__ import annotations

from collections.abc import Sequence

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SERVICE_NAME: str = health.SERVICE_NAME


class Health:
    """NOT_SERVING from the start until `set_serving`, and again before the daemon stops."""

    def __init__(self, service_names: Sequence[str]) -> None:
        """Full names."""
        self._names = ("", *service_names)
        self._servicer = health.aio.HealthServicer()

    async def register(self, server: grpc.aio.Server) -> None:
        """Before the server starts."""
        await self.set_serving(serving=False)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def set_serving(self, *, serving: bool) -> None:
        """All names at once; watchers are told."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in self._names:
            await self._servicer.set(name, status)
