"""Watching agents, frameworks, roles and offers: what is, a bookmark, then what changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from masterd.core.events import AgentActivated
from masterd.rpc.watches import Watches
from paddock.model.errors import OutOfRange
from paddock.model.ids import AgentId
from paddock.wire.v1 import watch_service_pb2 as pb
from tests.unit.masterd.core.world import ROOT
from tests.unit.masterd.rpc.serving import NO_CONTEXT, cluster, served


async def until_bookmark(stream: AsyncIterator[pb.AgentChange]) -> tuple[list[pb.AgentChange], int]:
    found: list[pb.AgentChange] = []
    async with asyncio.timeout(20):
        async for change in stream:
            if change.bookmark:
                return found, change.resource_version
            found.append(change)
    raise AssertionError("the stream ended")


async def test_agents_are_followed_and_followed_again() -> None:
    world = cluster()
    async with served(world) as shell:
        watches = Watches(shell)
        stream = watches.WatchAgents(pb.WatchRequest(), NO_CONTEXT)
        found, version = await until_bookmark(stream)
        assert [change.agent.info.agent_id for change in found] == ["a1", "a2"]
        await shell.call(AgentActivated(caller=ROOT, agent_id=AgentId("a2"), active=False))
        async with asyncio.timeout(20):
            change = await anext(stream)
        assert (change.agent.info.agent_id, change.agent.deactivated) == ("a2", True)
        again, later = await until_bookmark(watches.WatchAgents(pb.WatchRequest(resource_version=version), NO_CONTEXT))
        assert [each.agent.info.agent_id for each in again] == ["a2"]
        assert (await until_bookmark(watches.WatchAgents(pb.WatchRequest(resource_version=later), NO_CONTEXT)))[0] == []
        with pytest.raises(OutOfRange):
            await until_bookmark(watches.WatchAgents(pb.WatchRequest(resource_version=later + 9), NO_CONTEXT))


async def test_every_kind_shows_what_lists_show() -> None:
    world = cluster()
    async with served(world) as shell:
        watches = Watches(shell)
        request = pb.WatchRequest()
        names = []
        async with asyncio.timeout(20):
            for stream in (
                watches.WatchFrameworks(request, NO_CONTEXT),
                watches.WatchRoles(request, NO_CONTEXT),
                watches.WatchOffers(request, NO_CONTEXT),
            ):
                async for change in stream:
                    if change.bookmark:
                        break
                    kind = change.WhichOneof("change")
                    assert kind is not None
                    names.append(kind)
        assert [names.count(kind) for kind in ("framework", "role", "offer")] == [2, 3, len(world.state.offers)]
        assert world.state.offers
