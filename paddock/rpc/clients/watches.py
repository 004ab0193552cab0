"""What a master tells as it changes: everything that is, a bookmark, then each change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeVar

from paddock.rpc.clients.master import MasterClient
from paddock.rpc.clients.policy import RoleView, role_view
from paddock.rpc.clients.views import AgentView, FrameworkView, OfferView, TaskView
from paddock.rpc.clients.views_from_wire import agent_view, framework_view, offer_view, task_view
from paddock.rpc.errors import remote_errors
from paddock.wire.v1 import operator_service_pb2
from paddock.wire.v1 import watch_service_pb2 as pb
from paddock.wire.v1.operator_service_pb2_grpc import OperatorServiceStub
from paddock.wire.v1.watch_service_pb2_grpc import WatchServiceStub

View = TypeVar("View")
Stream = AsyncIterator[tuple[str, View | None] | None]
"""A thing's key with how it is now, or with None when it is gone; None alone is the bookmark."""


class WatchClient:
    """Streams that go on until the caller stops or the connection is lost: then they end, or raise a PaddockError."""

    def __init__(self, master: MasterClient) -> None:
        """Over the same connection."""
        self._stub = WatchServiceStub(master.channel)
        self._operators = OperatorServiceStub(master.channel)
        self._subject = f"master at {master.address}"

    async def agents(self) -> Stream[AgentView]:
        """By id."""
        with remote_errors(self._subject):
            async for change in self._stub.WatchAgents(pb.WatchRequest()):
                if change.HasField("agent"):
                    yield change.agent.info.agent_id, agent_view(change.agent)
                else:
                    yield (change.deleted_agent_id, None) if change.deleted_agent_id else None

    async def frameworks(self) -> Stream[FrameworkView]:
        """By id; those that have ended, too."""
        with remote_errors(self._subject):
            async for change in self._stub.WatchFrameworks(pb.WatchRequest()):
                if change.HasField("framework"):
                    yield change.framework.info.framework_id, framework_view(change.framework)
                else:
                    yield (change.deleted_framework_id, None) if change.deleted_framework_id else None

    async def roles(self) -> Stream[RoleView]:
        """By path."""
        with remote_errors(self._subject):
            async for change in self._stub.WatchRoles(pb.WatchRequest()):
                if change.HasField("role"):
                    yield change.role.role, role_view(change.role)
                else:
                    yield (change.deleted_role, None) if change.deleted_role else None

    async def offers(self) -> Stream[OfferView]:
        """By id."""
        with remote_errors(self._subject):
            async for change in self._stub.WatchOffers(pb.WatchRequest()):
                if change.HasField("offer"):
                    yield change.offer.offer_id, offer_view(change.offer)
                else:
                    yield (change.deleted_offer_id, None) if change.deleted_offer_id else None

    async def tasks(self, *, framework_id: str) -> Stream[TaskView]:
        """By framework and id, each state of each; those that have ended, too. None is ever said to be gone."""
        request = operator_service_pb2.WatchTasksRequest(framework_id=framework_id)
        with remote_errors(self._subject):
            async for answer in self._operators.WatchTasks(request):
                if answer.HasField("task"):
                    view = task_view(answer.task)
                    yield f"{view.framework_id}/{view.task.task_id}", view
                else:
                    yield None
