"""The master in numbers: each thing is counted once, where it belongs, and the resources add up."""

from __future__ import annotations

from masterd.allocator.quota import Quota
from masterd.core.effects import SaveAgent
from masterd.core.events import AgentActivated, DrainAgent, MaintenanceUpdated, ProblemReported
from masterd.core.recovery import Remembered
from masterd.rpc.operators import Operators
from paddock.model.ids import AgentId
from paddock.model.offer import Unavailability
from paddock.model.task import TaskState
from paddock.wire.v1 import operator_service_pb2 as pb
from paddock.wire.v1 import tasks_pb2
from tests.unit.masterd.core.world import ROOT, SECOND_NS, World, launched
from tests.unit.masterd.rpc.serving import NO_CONTEXT, cluster, served


async def state_of(world: World) -> pb.MasterState:
    async with served(world) as shell:
        return await Operators(shell).GetState(pb.GetStateRequest(), NO_CONTEXT)


async def test_resources_add_up_name_by_name() -> None:
    found = (await state_of(cluster())).resources
    assert dict(found.total.milli) == {"cpus": 7_000, "mem": 1_536_000, "disk": 100_000, "ports": 10_000}
    assert dict(found.used.milli) == {"cpus": 1_000, "mem": 64_000}
    assert dict(found.reserved.milli) == {"cpus": 1_000}
    assert found.offered.milli["cpus"] > 0
    for name, milli in found.total.milli.items():
        parts = (found.used, found.standalone, found.offered, found.free)
        assert sum(part.milli.get(name, 0) for part in parts) == milli, name


async def test_agents_frameworks_and_tasks_are_counted_by_state() -> None:
    world = cluster()
    world.lose_agent(world.agent("a3"))
    world.agent("a4")
    stream = world.agent("a5")
    world.do(ProblemReported(stream=stream, problem="full"))
    world.do(AgentActivated(caller=ROOT, agent_id=AgentId("a3"), active=False))
    world.do(DrainAgent(caller=ROOT, agent_id=AgentId("a1")))
    world.do(DrainAgent(caller=ROOT, agent_id=AgentId("a2")))
    window = Unavailability(start_ns=world.now_ns, duration_ns=60 * SECOND_NS)
    world.do(MaintenanceUpdated(caller=ROOT, windows=(("a4", window),)))
    world.advance(1)
    found = await state_of(world)
    assert found.agents == pb.AgentCounts(
        active=4, disconnected=1, deactivated=1, draining=1, drained=1, in_maintenance=1, with_problem=1
    )
    assert found.frameworks == pb.FrameworkCounts(active=2)
    assert [(each.state, each.count) for each in found.tasks] == [(tasks_pb2.TASK_STAGING, 1)]
    assert (found.role_count, found.offer_count) == (3, len(world.state.offers))
    assert (found.master.master_id, found.started.seconds, found.recovering) == ("m", world.now_ns // SECOND_NS, False)


async def test_what_has_ended_or_is_out_of_reach_is_told_apart_and_has_no_resources() -> None:
    world = World()
    agent, framework = launched(world)
    world.report(agent, framework, "t1", TaskState.RUNNING)
    world.lose_agent(agent)
    world.advance(100)
    world.lose_framework(framework[2])
    found = await state_of(world)
    assert found.agents == pb.AgentCounts(unreachable=1)
    assert found.frameworks == pb.FrameworkCounts(ended=1)
    assert not found.resources.total.milli
    assert sum(each.count for each in found.tasks) == 1


async def test_after_a_start_with_quotas_it_waits_and_says_so() -> None:
    agents = tuple(
        SaveAgent(agent_id=AgentId(name), hostname=name, unix_address="", tcp_address="", unreachable_ns=None)
        for name in ("a1", "a2", "a3", "a4", "a5")
    )
    remembered = Remembered(agents=agents, quotas=(("r", Quota(guarantees_milli={"cpus": 1_000})),))
    world = World(remembered=remembered)
    found = await state_of(world)
    assert found.agents == pb.AgentCounts(awaited=5)
    assert found.recovering
