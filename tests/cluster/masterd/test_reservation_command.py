"""`paddock reserve|unreserve|reservations|volumes` against a real master, which is killed in between."""

from __future__ import annotations

import asyncio

from paddock.wire.v1 import offers_pb2, resources_pb2
from paddock.wire.v1 import scheduler_service_pb2 as pb
from tests.cluster.masterd.stage import stage
from tests.cluster.masterd.test_policy_command import lines, paddock
from tests.masterd_process import MasterdProcess

WHOLE = "cpus:4;mem:1024;disk:100"


async def run(masterd: MasterdProcess, *words: str) -> list[list[str]]:
    return lines(await asyncio.to_thread(paddock, masterd, *words))


async def code(masterd: MasterdProcess, *words: str) -> int:
    return (await asyncio.to_thread(paddock, masterd, *words)).returncode


async def test_reservations_and_volumes_are_made_and_outlive_a_crash(masterd: MasterdProcess) -> None:
    async with stage(masterd) as on:
        agent, framework = await on.agent("a1", resources=WHOLE), await on.framework("other")
        await agent.register()
        await framework.subscribe()
        offer = await framework.offer("a1")
        assert await run(masterd, "reserve", "a1", "cpus(r):1", "--dry-run") == []
        assert await run(masterd, "reservations", "--no-headers") == []
        await run(masterd, "reserve", "a1", "cpus(r):1;disk(r):60", "--lease", "1h")
        await framework.heard.wait_for(pb.SchedulerEvent, lambda event: event.rescind.offer_id == offer.offer_id)
        await run(masterd, "volumes", "create", "a1", "v1", "--role", "r", "--size", "20MiB", "--path", "store")
        await run(masterd, "volumes", "grow", "a1", "v1", "--size", "5")
        await run(masterd, "volumes", "shrink", "a1", "v1", "--size", "15")
        assert await code(masterd, "reserve", "a1", "cpus(r):4") == 4
        assert await code(masterd, "reserve", "a2", "cpus(r):1") == 3
        assert await code(masterd, "reserve", "a1", "cpus:1") == 2
        assert await code(masterd, "volumes", "destroy", "a1", "v2") == 3
    masterd.kill()
    masterd.start()
    async with stage(masterd) as on:
        agent, framework = await on.agent("a1", resources=WHOLE), await on.framework("r")
        await agent.register()
        found = [row[2:4] for row in await run(masterd, "reservations", "--no-headers", "--orphaned")]
        assert sorted(found) == [["cpus", "1"], ["disk", "10"], ["disk", "50"]]
        await framework.subscribe()
        assert await run(masterd, "reservations", "--no-headers", "--orphaned") == []
        (volume,) = await run(masterd, "volumes", "list", "--no-headers")
        assert (volume[2:7], volume[-1]) == (["disk", "10", "0", "r", "uid:0"], "v1")
        await run(masterd, "volumes", "destroy", "a1", "v1")
        await run(masterd, "unreserve", "a1", "cpus(r):1;disk(r):60")
        assert await run(masterd, "reservations", "--no-headers") == []


async def test_a_framework_reserves_and_hears_of_what_cannot_be_done(masterd: MasterdProcess) -> None:
    async with stage(masterd) as on:
        agent, framework = await on.agent("a1", resources=WHOLE), await on.framework("r")
        await agent.register()
        await framework.subscribe()
        offer = await framework.offer("a1")

        def reserve(operation_id: str, milli: int) -> offers_pb2.Operation:
            cpus = resources_pb2.Resource(
                name="cpus", scalar_milli=milli, reservations=[resources_pb2.Reservation(role="r", dynamic=True)]
            )
            return offers_pb2.Operation(
                operation_id=operation_id, reserve=offers_pb2.Operation.Reserve(resources=[cpus])
            )

        await framework.stub.Accept(
            pb.AcceptRequest(
                framework_id=framework.framework_id,
                subscription_id=framework.subscription_id,
                offer_ids=[offer.offer_id],
                operations=[reserve("too much", 4_001), reserve("right", 3_000)],
                filters=offers_pb2.Filters(refuse_ms=0),
            )
        )

        async def told(operation_id: str) -> str:
            event = await framework.heard.wait_for(
                pb.SchedulerEvent, lambda event: event.operation_update.operation_id == operation_id
            )
            return event.operation_update.error

        assert "4.001 is asked for, 4 of it is offered" in await told("too much")
        assert await told("right") == ""
        assert [row[2:4] for row in await run(masterd, "reservations", "--no-headers")] == [["cpus", "3"]]
