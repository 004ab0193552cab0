"""A core in virtual time: connections, silence, restarts; and a memory that holds what a registry would."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from masterd.allocator.quota import Quota
from masterd.core import effects
from masterd.core.effects import AgentMessage, FrameworkMessage, NoteOffers, Save
from masterd.core.events import AgentMarkedGone, WeightsChanged
from masterd.core.inspection import role_view
from masterd.core.views import AgentState, Drain, FrameworkState
from masterd.registry import Registry
from masterd.simulation.cluster import ROOT, Cluster, new_master
from masterd.simulation.memory import Memory
from paddock.model.agent import AgentInfo
from paddock.model.errors import PaddockError
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, FrameworkId, TaskId
from paddock.model.offer import Launch, Offer, Unavailability
from paddock.model.resource_text import parse_resources
from paddock.model.task import CommandInfo, TaskInfo, TaskState

A1 = AgentId("a1")


class Listener(Cluster):
    """Keeps the offers that it hears of."""

    def __init__(self) -> None:
        self.offers: list[Offer] = []
        self.messages: list[AgentMessage] = []
        super().__init__(new_master())

    def agent_told(self, agent_id: AgentId, message: AgentMessage) -> None:
        self.messages.append(message)

    def framework_told(self, framework_id: FrameworkId, message: FrameworkMessage) -> None:
        if isinstance(message, NoteOffers):
            self.offers += message.offers


def agent() -> AgentInfo:
    return AgentInfo(agent_id=A1, hostname="h1", resources=parse_resources("cpus:4;mem:1024"))


def with_task() -> tuple[Listener, FrameworkId]:
    cluster = Listener()
    cluster.register(agent())
    info = FrameworkInfo(name="f", roles=("r",), failover_timeout_ms=60_000)
    framework_id = cluster.subscribe(info)
    cluster.settle()
    (offer,) = cluster.offers
    task = TaskInfo(
        task_id=TaskId("t"),
        name="t",
        agent_id=A1,
        resources=parse_resources("cpus:1;mem:64"),
        command=CommandInfo(arguments=("true",)),
    )
    assert cluster.offers_of(framework_id) == [offer]
    cluster.accept(framework_id, [offer], [Launch(tasks=(task,))], 0)
    assert not cluster.offers_of(framework_id)
    cluster.report(A1, (framework_id, task.task_id), TaskState.RUNNING)
    return cluster, framework_id


def test_a_burst_makes_one_run_and_nothing_happens_before_time_does() -> None:
    cluster = Listener()
    cluster.register(agent())
    cluster.subscribe(FrameworkInfo(name="f", roles=("r",)))
    assert not cluster.offers
    cluster.settle()
    assert [offer.agent_id for offer in cluster.offers] == [A1]


def test_agents_answer_unless_they_are_silent() -> None:
    cluster = Listener()
    cluster.register(agent())
    cluster.time.run(300)
    assert cluster.state.agents[A1].state is AgentState.CONNECTED
    cluster.silent.add(A1)
    cluster.time.run(400)
    assert cluster.state.agents[A1].state is AgentState.UNREACHABLE
    assert cluster.stream_of(A1) is None
    cluster.silent.clear()
    cluster.register(agent())
    assert cluster.stream_of(A1) is not None


def test_who_is_not_connected_can_be_lost_again() -> None:
    cluster, framework_id = with_task()
    for _ in range(2):
        cluster.agent_disconnects(A1)
        cluster.framework_disconnects(framework_id)
    assert cluster.state.frameworks[framework_id].state is FrameworkState.DISCONNECTED
    with pytest.raises(AssertionError, match="cannot report"):
        cluster.report(A1, (framework_id, TaskId("t")), TaskState.FINISHED)


def test_a_master_that_starts_again_finds_what_was_saved_and_the_tasks_of_its_agents() -> None:
    cluster, framework_id = with_task()
    cluster.do(WeightsChanged(weights_milli=(("r", 2_500),), caller=ROOT))
    cluster.master_failover()
    assert cluster.state.master.epoch == 2
    assert role_view(cluster.state, "r").weight_milli == 2_500
    assert cluster.state.agents[A1].state is AgentState.RECOVERED
    assert cluster.state.frameworks[framework_id].state is FrameworkState.RECOVERED
    cluster.register(agent())
    assert [task.state for task in cluster.state.frameworks[framework_id].tasks.values()] == [TaskState.RUNNING]
    info = cluster.state.frameworks[framework_id].info
    assert cluster.subscribe(info) == framework_id
    cluster.report(A1, (framework_id, TaskId("t")), TaskState.FINISHED)
    assert not cluster.running[A1]


def test_what_an_earlier_master_had_planned_does_not_happen_to_a_later_one() -> None:
    cluster = Listener()
    cluster.subscribe(FrameworkInfo(name="f", roles=("r",)))
    cluster.master_failover()
    cluster.register(agent())
    cluster.subscribe(FrameworkInfo(name="g", roles=("r",)))
    cluster.settle()
    assert len(cluster.offers) == 1


def test_an_agent_that_is_gone_is_not_admitted_by_the_next_master_either() -> None:
    cluster = Listener()
    cluster.register(agent())
    cluster.do(AgentMarkedGone(agent_id=A1))
    cluster.master_failover()
    with pytest.raises(PaddockError):
        cluster.register(agent())


def records() -> list[Save]:
    """Of every kind, each of a thing that stays, of one that changes, and of one that goes."""
    drain = Drain(asked_by="root", max_grace_ms=None, mark_gone=False, is_done=False)
    less, more = parse_resources("cpus:1"), parse_resources("cpus(r):1")
    info = FrameworkInfo(framework_id=FrameworkId("f"), name="f", roles=("r",))
    found: list[Save] = []
    for name in ("a1", "a2", "a3", "a4"):
        agent_id = AgentId(name)
        found += [
            effects.SaveAgent(agent_id=agent_id, hostname=name, unix_address="", tcp_address="", unreachable_ns=None),
            effects.SaveAgentResources(agent_id=agent_id, configured=less, resources=more),
            effects.SaveDeactivated(agent_id=agent_id, deactivated=True),
            effects.SaveDrain(agent_id=agent_id, drain=drain),
        ]
    return [
        *found,
        effects.SaveAgentResources(agent_id=AgentId("a2"), configured=less, resources=less),
        effects.SaveDeactivated(agent_id=AgentId("a2"), deactivated=False),
        effects.SaveDrain(agent_id=AgentId("a2"), drain=None),
        effects.SaveAgentGone(agent_id=AgentId("a3")),
        effects.SaveAgentGone(agent_id=AgentId("a4")),
        effects.ForgetAgent(agent_id=AgentId("a4")),
        effects.SaveFramework(framework=info, failover_deadline_ns=None, completed=False),
        effects.SaveFramework(
            framework=replace(info, framework_id=FrameworkId("g")), failover_deadline_ns=5, completed=False
        ),
        effects.SaveFramework(framework=info, failover_deadline_ns=None, completed=True),
        effects.SaveWeights(weights_milli=(("r", 2_000), ("s", 500))),
        effects.SaveWeights(weights_milli=(("r", 3_000),)),
        effects.SaveQuotas(quotas=(("r", Quota(limits_milli={"cpus": 1_000})),)),
        effects.SaveMaintenance(windows=(("a1", Unavailability(start_ns=1, duration_ns=2)),)),
    ]


def test_the_memory_holds_what_a_registry_does(tmp_path: Path) -> None:
    """After each record, and in the same order."""
    registry, memory = Registry.open(str(tmp_path)), Memory()
    try:
        for record in records():
            registry.write([record])
            memory.write([record])
            assert memory.load() == registry.load(), record
    finally:
        registry.close()
