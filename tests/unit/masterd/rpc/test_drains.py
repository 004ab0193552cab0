"""Whatever a drain's request holds: it is written down as it was meant, or refused with the field's name."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import cast

import pytest
from google.protobuf.message import Message
from grpc.aio import ServicerContext
from hypothesis import given
from hypothesis import strategies as st

from masterd.core.effects import Save, SaveDrain
from masterd.core.views import Drain
from masterd.rpc.drains import Drains
from masterd.rpc.operators import drain_to_wire
from masterd.shell import MasterShell
from paddock.model.errors import InvalidRequest, NotFound, PaddockError
from paddock.rpc.principal import Principal, serve_as
from paddock.wire.v1 import drain_service_pb2 as pb
from paddock.wire.v1 import operator_service_pb2
from tests.fakes.clock import FakeClock
from tests.unit.masterd.core.world import World

NO_CONTEXT = cast("ServicerContext[Message, Message]", None)

A_DAY_MS = 86_400_000

agent_ids = st.sampled_from(("a1", "", "..", "a/b", "x" * 300)) | st.text(st.characters(codec="utf-8"), max_size=5)
graces = st.none() | st.integers(0, 10_000) | st.integers(0, 2**64 - 1)


async def ask(request: pb.DrainAgentRequest | pb.CancelDrainRequest) -> list[Save]:
    """What of it became durable, at a master that has the agent a1."""
    serve_as(Principal(uid=0))
    world = World()
    world.agent("a1")
    saved: list[Save] = []
    shell = MasterShell(world.machine, write=saved.extend, clock=FakeClock(), allocation_interval_s=3600)
    running = asyncio.create_task(shell.run())
    try:
        if isinstance(request, pb.DrainAgentRequest):
            await Drains(shell).DrainAgent(request, NO_CONTEXT)
        else:
            await Drains(shell).CancelDrain(request, NO_CONTEXT)
    finally:
        shell.stop()
        await running
    return saved


@given(agent_ids, graces, st.booleans())
def test_any_drain_is_taken_as_it_is_or_refused(agent_id: str, max_grace_ms: int | None, mark_gone: bool) -> None:
    request = pb.DrainAgentRequest(agent_id=agent_id, max_grace_ms=max_grace_ms, mark_gone=mark_gone)
    try:
        saved = asyncio.run(ask(request))
    except PaddockError:
        honest = agent_id == "a1" and (max_grace_ms or 0) <= A_DAY_MS
        assert not honest
        return
    (first, *_) = [record for record in saved if isinstance(record, SaveDrain)]
    assert first.drain is not None
    assert (first.agent_id, first.drain.max_grace_ms, first.drain.mark_gone) == ("a1", max_grace_ms, mark_gone)


@given(agent_ids)
def test_any_cancellation_without_a_drain_is_refused(agent_id: str) -> None:
    with suppress(NotFound), pytest.raises(InvalidRequest, match="agent_id"):
        asyncio.run(ask(pb.CancelDrainRequest(agent_id=agent_id)))


def test_a_grace_beyond_all_time_names_the_field() -> None:
    with pytest.raises(InvalidRequest, match="max_grace_ms"):
        asyncio.run(ask(pb.DrainAgentRequest(agent_id="a1", max_grace_ms=2**64 - 1)))


def test_a_drain_is_shown_as_it_is() -> None:
    assert drain_to_wire(None) is None
    shown = drain_to_wire(Drain(asked_by="root (uid 0)", max_grace_ms=0, mark_gone=True))
    assert shown == operator_service_pb2.Drain(
        state=operator_service_pb2.DRAINING, asked_by="root (uid 0)", max_grace_ms=0, mark_gone=True
    )
    done = drain_to_wire(Drain(asked_by="x", is_done=True))
    assert done is not None
    assert done.state == operator_service_pb2.DRAINED
    assert not done.HasField("max_grace_ms")
