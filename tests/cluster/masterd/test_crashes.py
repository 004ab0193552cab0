"""A master is killed in the middle of an operator's work, again and again: what it has answered for is there afterwards."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field

from grpc.aio import AioRpcError, Channel

from paddock.wire.v1 import lifecycle_service_pb2 as lifecycle_pb
from paddock.wire.v1 import maintenance_service_pb2 as maintenance_pb
from paddock.wire.v1 import offers_pb2, operator_service_pb2, resources_pb2
from paddock.wire.v1 import policy_service_pb2 as policy_pb
from paddock.wire.v1 import reservation_service_pb2 as reservation_pb
from paddock.wire.v1.lifecycle_service_pb2_grpc import LifecycleServiceStub
from paddock.wire.v1.maintenance_service_pb2_grpc import MaintenanceServiceStub
from paddock.wire.v1.operator_service_pb2_grpc import OperatorServiceStub
from paddock.wire.v1.policy_service_pb2_grpc import PolicyServiceStub
from paddock.wire.v1.reservation_service_pb2_grpc import ReservationServiceStub
from tests.cluster.masterd.stage import stage
from tests.masterd_process import MasterdProcess

CRASHES_COUNT = 4


@dataclass(slots=True)
class World:
    """What is known to be, by the last answer; `maybe`: asked for when the master died."""

    known: dict[str, int] = field(default_factory=dict)
    maybe: dict[str, int] = field(default_factory=dict)


async def ask(channel: Channel, key: str, number: int) -> None:
    """One change; afterwards `seen` has the number under the key."""
    match key:
        case "limit":
            change = policy_pb.QuotaChange(role="q", limits=policy_pb.Amounts(milli={"cpus": number}))
            await PolicyServiceStub(channel).UpdateQuotas(policy_pb.UpdateQuotasRequest(changes=[change], force=True))
        case "weight":
            await PolicyServiceStub(channel).UpdateWeights(policy_pb.UpdateWeightsRequest(weights_milli={"q": number}))
        case "window":
            window = maintenance_pb.MaintenanceWindow(hostname="a9", duration_ms=number)
            window.start.FromSeconds(4_000_000_000)
            await MaintenanceServiceStub(channel).UpdateMaintenance(
                maintenance_pb.UpdateMaintenanceRequest(schedule=[window])
            )
        case "deactivated":
            stub = LifecycleServiceStub(channel)
            if number % 2:
                await stub.DeactivateAgent(lifecycle_pb.DeactivateAgentRequest(agent_id="a1"))
            else:
                await stub.ReactivateAgent(lifecycle_pb.ReactivateAgentRequest(agent_id="a1"))
        case _:
            # One thousandth more is reserved by each.
            reservation = resources_pb2.Reservation(role="q", dynamic=True)
            piece = resources_pb2.Resource(name="cpus", scalar_milli=1, reservations=[reservation])
            operation = offers_pb2.Operation(reserve=offers_pb2.Operation.Reserve(resources=[piece]))
            await ReservationServiceStub(channel).ApplyOperation(
                reservation_pb.ApplyOperationRequest(agent_id="a1", operation=operation)
            )


async def seen(channel: Channel) -> dict[str, int]:
    roles = (await PolicyServiceStub(channel).ListRoles(policy_pb.ListRolesRequest())).roles
    role = next((role for role in roles if role.role == "q"), policy_pb.Role(weight_milli=1_000))
    plans = (await MaintenanceServiceStub(channel).ListMaintenance(maintenance_pb.ListMaintenanceRequest())).maintenance
    agents = (await OperatorServiceStub(channel).ListAgents(operator_service_pb2.ListAgentsRequest())).agents
    return {
        "limit": role.limits.milli.get("cpus", 0),
        "weight": role.weight_milli,
        "window": sum(plan.window.duration_ms for plan in plans),
        "deactivated": int(agents[0].deactivated),
        "reserved": role.reserved.milli.get("cpus", 0),
    }


async def work(channel: Channel, world: World, dice: random.Random) -> None:
    """Until the master is gone."""
    while True:
        key = dice.choice(["limit", "weight", "window", "deactivated", "reserved"])
        number = {"reserved": world.known["reserved"] + 1, "deactivated": dice.randrange(2)}.get(
            key, dice.randrange(1, 10**6)
        )
        world.maybe = {key: number}
        await ask(channel, key, number)
        world.known[key] = number
        world.maybe = {}


async def test_what_was_answered_for_is_there_after_a_crash(masterd: MasterdProcess) -> None:
    dice = random.Random(4)
    world = World()
    for crash in range(CRASHES_COUNT):
        async with stage(masterd) as on:
            agent = await on.agent("a1")
            await agent.register()
            channel = await on.channel()
            found = await seen(channel)
            for key, number in found.items():
                if key in world.maybe:
                    assert number in {world.known[key], world.maybe[key]}, (crash, key)
                elif crash:
                    assert number == world.known[key], (crash, key)
            world = World(known=found)
            working = asyncio.create_task(work(channel, world, dice))
            async with asyncio.timeout(60):
                while world.known["reserved"] < found["reserved"] + 2 and not working.done():
                    await asyncio.sleep(0.01)
            await asyncio.sleep(dice.uniform(0.3, 0.8))
            masterd.kill()
            with suppress(AioRpcError):
                await working
        masterd.start()
    assert world.known["reserved"] > CRASHES_COUNT
