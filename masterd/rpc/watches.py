"""WatchService: agents, frameworks, roles and offers as they are, then as they change."""
# ruff: noqa: N802 - the methods' names are the proto's

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import TypeVar

from google.protobuf.message import Message
from grpc.aio import ServicerContext

from masterd.core import inspection
from masterd.core.role_views import role_names, role_views
from masterd.core.state import MasterState
from masterd.rpc.operators import agent_to_wire, framework_to_wire
from masterd.rpc.policy import role_to_wire
from masterd.rpc.view_feed import Change, ViewFeed
from masterd.shell import MasterShell
from paddock.model.ids import AgentId, FrameworkId, OfferId
from paddock.wire import convert
from paddock.wire.v1 import offers_pb2, operator_service_pb2, policy_service_pb2
from paddock.wire.v1 import watch_service_pb2 as pb
from paddock.wire.v1.watch_service_pb2_grpc import WatchServiceServicer

INTERVAL_S = 0.5
"""How often a watcher looks; all watchers of one kind share the work."""

_Context = ServicerContext[Message, Message]
Answer = TypeVar("Answer", bound=Message)
Shown = TypeVar("Shown", bound=Message)


class Watches(WatchServiceServicer):
    """One feed for each kind, made when somebody first watches it."""

    def __init__(self, shell: MasterShell) -> None:
        self._shell = shell
        epoch = shell.machine.state.master.epoch
        self._agents = ViewFeed(keys=lambda: list(self._state.agents), show=self._show_agents, epoch=epoch)
        self._frameworks = ViewFeed(
            keys=lambda: list(inspection.frameworks(self._state)), show=self._show_frameworks, epoch=epoch
        )
        self._roles = ViewFeed(keys=lambda: role_names(self._state), show=self._show_roles, epoch=epoch)
        self._offers = ViewFeed(keys=lambda: list(self._state.offers), show=self._show_offers, epoch=epoch)

    @property
    def _state(self) -> MasterState:
        return self._shell.machine.state

    def _show_agents(self, keys: list[str]) -> Iterator[tuple[str, operator_service_pb2.Agent]]:
        for key in keys:
            agent = self._state.agents.get(AgentId(key))
            if agent is not None:
                yield key, agent_to_wire(inspection.agent_view(self._state, agent))

    def _show_frameworks(self, keys: list[str]) -> Iterator[tuple[str, operator_service_pb2.Framework]]:
        known = inspection.frameworks(self._state)
        for key in keys:
            framework = known.get(FrameworkId(key))
            if framework is not None:
                yield key, framework_to_wire(inspection.framework_view(self._state, framework))

    def _show_roles(self, keys: list[str]) -> Iterator[tuple[str, policy_service_pb2.Role]]:
        for view in role_views(self._state, keys):
            yield view.role, role_to_wire(view)

    def _show_offers(self, keys: list[str]) -> Iterator[tuple[str, offers_pb2.Offer]]:
        for key in keys:
            entry = self._state.offers.get(OfferId(key))
            if entry is not None:
                yield key, convert.offer_to_wire(entry.offer)

    async def WatchAgents(self, request: pb.WatchRequest, context: _Context) -> AsyncIterator[pb.AgentChange]:
        """By version."""
        async for change in _changes(self._agents, request.resource_version):
            answer = pb.AgentChange(resource_version=change.version, agent=change.shown)
            yield _marked(answer, change, "deleted_agent_id")

    async def WatchFrameworks(self, request: pb.WatchRequest, context: _Context) -> AsyncIterator[pb.FrameworkChange]:
        """By version; those that have ended too, as long as they are remembered."""
        async for change in _changes(self._frameworks, request.resource_version):
            answer = pb.FrameworkChange(resource_version=change.version, framework=change.shown)
            yield _marked(answer, change, "deleted_framework_id")

    async def WatchRoles(self, request: pb.WatchRequest, context: _Context) -> AsyncIterator[pb.RoleChange]:
        """By version."""
        async for change in _changes(self._roles, request.resource_version):
            answer = pb.RoleChange(resource_version=change.version, role=change.shown)
            yield _marked(answer, change, "deleted_role")

    async def WatchOffers(self, request: pb.WatchRequest, context: _Context) -> AsyncIterator[pb.OfferChange]:
        """By version."""
        async for change in _changes(self._offers, request.resource_version):
            answer = pb.OfferChange(resource_version=change.version, offer=change.shown)
            yield _marked(answer, change, "deleted_offer_id")


_BOOKMARK = ""
"""No thing has this key."""


def _marked(answer: Answer, change: Change[Shown], deleted: str) -> Answer:
    if change.key == _BOOKMARK:
        setattr(answer, "bookmark", True)  # noqa: B010 - each of the four messages has it
    elif change.shown is None:
        setattr(answer, deleted, change.key)
    return answer


async def _changes(feed: ViewFeed[Shown], version: int) -> AsyncIterator[Change[Shown]]:
    """Until the watcher goes. After the first ones a bookmark."""
    bookmark = True
    while True:
        await feed.compare(now_s=time.monotonic(), age_limit_s=INTERVAL_S / 2)
        newest = feed.version
        for change in feed.after(version):
            yield change
        version = newest
        if bookmark:
            bookmark = False
            yield Change(version=version, key=_BOOKMARK, shown=None)
        await asyncio.sleep(INTERVAL_S)
