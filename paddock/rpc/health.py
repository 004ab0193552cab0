"""grpc.health.v1: the daemon as a whole (the empty name) and each of its services. Its answers tell its clock, as HTTP's do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import cast

import grpc.aio
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from paddock.model.errors import NotFound

SERVICE_NAME: str = health.SERVICE_NAME

CLOCK_KEY = "paddock-wall-clock-ns"
"""Metadata of a Check's answer: what time it is there, in nanoseconds since 1970."""

# The stubs do not have it yet.
_ListResponse = cast("type[Message]", vars(health_pb2)["HealthListResponse"])


class Health:
    """NOT_SERVING from the start until `set_serving`, and again before the daemon stops."""

    def __init__(self, service_names: Sequence[str]) -> None:
        """Full names."""
        self._names = ("", *service_names)
        self._servicer = _Servicer()

    async def register(self, server: grpc.aio.Server) -> None:
        """Before the server starts."""
        await self.set_serving(serving=False)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def set_serving(self, *, serving: bool) -> None:
        """All names at once; watchers are told."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in self._names:
            self._servicer.told[name] = health_pb2.HealthCheckResponse(status=status)
            await self._servicer.set(name, status)


class _Servicer(health.aio.HealthServicer):
    """The library's, whose asyncio half has no List, and refuses without a word."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, health_pb2.HealthCheckResponse] = {}

    async def Check(  # noqa: N802 - the wire's name
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.aio.ServicerContext[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse],
    ) -> health_pb2.HealthCheckResponse:
        if request.service not in self.told:
            raise NotFound("service", request.service)
        await context.send_initial_metadata(((CLOCK_KEY, str(time.time_ns())),))
        return self.told[request.service]

    async def List(self, request: Message, context: object) -> Message:  # noqa: N802 - the wire's name
        return _ListResponse(statuses=self.told)
