"""A task that asks for a volume is refused before anything happens: no agent would mount it."""

from __future__ import annotations

import pytest

from masterd.rpc.schedulers import Schedulers
from paddock.model.errors import Unsupported
from paddock.wire.v1 import offers_pb2, resources_pb2, tasks_pb2
from paddock.wire.v1 import scheduler_service_pb2 as pb
from tests.unit.masterd.rpc.serving import NO_CONTEXT, cluster, served, summary


async def test_a_launch_with_a_volume_is_refused_and_costs_nobody_anything() -> None:
    world = cluster()
    held = next(iter(world.state.offers.values())).offer
    framework = world.state.frameworks[held.framework_id]
    volume = resources_pb2.Resource(
        name="disk",
        scalar_milli=1,
        volume=resources_pb2.DiskVolume(persistence_id="v"),
        reservations=[resources_pb2.Reservation(role="r", dynamic=True)],
    )
    task = tasks_pb2.TaskInfo(
        task_id="t9", agent_id=held.agent_id, resources=[volume], command=tasks_pb2.CommandInfo(arguments=["/bin/true"])
    )
    request = pb.AcceptRequest(
        framework_id=held.framework_id,
        subscription_id=framework.subscription_id,
        offer_ids=[held.offer_id],
        operations=[offers_pb2.Operation(launch=offers_pb2.Operation.Launch(tasks=[task]))],
    )
    before = summary(world)
    async with served(world) as shell:
        with pytest.raises(Unsupported, match=r"operations\[0\]\.launch\.tasks\.resources\.volume.*do not mount"):
            await Schedulers(shell).Accept(request, NO_CONTEXT)
    assert summary(world) == before
