"""Crash, loss, repetition and overtaking between the two cores: a task has one end, it is true, and it is told."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from masterd.core.events import CancelDrain, DrainAgent, Kill, OperatorKill, OperatorResize, Resize
from masterd.core.views import AgentState
from paddock.model.ids import AgentId, TaskId
from paddock.model.resource_text import parse_resources
from paddock.model.task import ResourceLimits, TaskState, TaskStatus
from tests.contract.link.simulated_agent import REFUSED_MILLI
from tests.contract.link.simulated_cluster import SimulatedCluster
from tests.unit.masterd.core.world import ROOT, call, task_info

names = st.sampled_from(("a1", "a2"))
picks = st.integers(0, 30)
rounds = st.sampled_from((0, 0, 1, 2, 4, 20))
"""How far the ordinary course of things gets before the next thing happens."""


class BothCores(RuleBasedStateMachine):
    """Rules are what may go wrong, and the small steps of what goes right."""

    @initialize()
    def begin(self) -> None:
        self.cluster = SimulatedCluster()
        self.cluster.goes_on(10)
        self.framework_launches(pick=0, count=3, then=4)
        self.framework_launches(pick=1, count=3, then=4)

    @rule(pick=picks, count=st.integers(1, 3), then=rounds)
    def framework_launches(self, pick: int, count: int, then: int) -> None:
        state = self.cluster.world.state
        offers = [entry.offer for entry in state.offers.values() if entry.resources.scalar_milli("cpus") >= 1_000]
        if offers:
            offer = offers[pick % len(offers)]
            room = offer.resources.scalar_milli("cpus") // 1_000
            numbers = range(len(self.cluster.launched), len(self.cluster.launched) + min(count, room))
            self.cluster.launches(offer, tuple(task_info(f"t{number}", offer.agent_id) for number in numbers))
        self.cluster.goes_on(then)

    @rule(pick=picks, operator=st.booleans(), then=rounds)
    def somebody_kills(self, pick: int, operator: bool, then: int) -> None:
        tasks = list(self.cluster.launched)
        if tasks:
            task_id = tasks[pick % len(tasks)]
            framework_id = self.cluster.framework[0]
            self.cluster.attempts(
                OperatorKill(caller=ROOT, framework_id=framework_id, task_id=task_id)
                if operator
                else Kill(**call(self.cluster.framework), task_id=task_id)
            )
        self.cluster.goes_on(then)

    @rule(
        pick=picks,
        cpus=st.sampled_from(("0.5", "1", f"{REFUSED_MILLI / 1000}", "2", "3")),
        operator=st.booleans(),
        then=rounds,
    )
    def somebody_resizes(self, pick: int, cpus: str, operator: bool, then: int) -> None:
        tasks = list(self.cluster.launched)
        if tasks:
            task_id, wanted = tasks[pick % len(tasks)], parse_resources(f"cpus:{cpus}")
            framework_id = self.cluster.framework[0]
            self.cluster.attempts(
                OperatorResize(caller=ROOT, framework_id=framework_id, task_id=task_id, resources=wanted)
                if operator
                else Resize(**call(self.cluster.framework), task_id=task_id, resources=wanted)
            )
        self.cluster.goes_on(then)

    @rule(name=names, pick=picks, cpus_milli=st.sampled_from((1_500, 2_500, 9_000)), then=rounds)
    def an_operator_limits_a_task_at_its_agent(self, name: str, pick: int, cpus_milli: int, then: int) -> None:
        agent = self.cluster.agents[name]
        running = list(agent.host.running)
        if running:
            agent.limit(running[pick % len(running)], cpus_milli)
        self.cluster.goes_on(then)

    @rule(name=names, pick=picks, code=st.sampled_from((0, 0, 3)), then=rounds)
    def a_command_ends(self, name: str, pick: int, code: int, then: int) -> None:
        agent = self.cluster.agents[name]
        running = list(agent.host.running)
        if running:
            agent.command_ends(running[pick % len(running)], code)
        self.cluster.goes_on(then)

    @rule(name=names, reboot=st.sampled_from((False, False, True)), master_knows=st.booleans(), then=rounds)
    def an_agent_crashes(self, name: str, reboot: bool, master_knows: bool, then: int) -> None:
        self.cluster.breaks(name, master_knows=master_knows)
        self.cluster.agents[name].crash(reboot=reboot)
        self.cluster.goes_on(then)

    @rule(name=names, master_knows=st.booleans(), then=rounds)
    def a_connection_breaks(self, name: str, master_knows: bool, then: int) -> None:
        self.cluster.breaks(name, master_knows=master_knows)
        self.cluster.goes_on(then)

    @rule(name=names, seconds=st.sampled_from((1, 11, 25, 80)), then=rounds)
    def an_agent_is_cut_off(self, name: str, seconds: int, then: int) -> None:
        self.cluster.breaks(name)
        self.cluster.time_passes(seconds)
        self.cluster.goes_on(then)

    @rule(then=rounds)
    def the_master_crashes(self, then: int) -> None:
        self.cluster.master_crashes()
        self.cluster.goes_on(then)

    @rule(then=rounds)
    def the_framework_goes_and_comes(self, then: int) -> None:
        self.cluster.framework_leaves_and_returns()
        self.cluster.goes_on(then)

    @rule(then=rounds)
    def an_acknowledgement_is_lost(self, then: int) -> None:
        while not self.cluster.framework_reads(acknowledges=False) and then:
            then -= 1
            self.cluster.goes_on(1)
        self.cluster.time_passes(11)

    @rule(pick=picks, up=st.booleans(), then=rounds)
    def a_message_comes_again_out_of_order(self, pick: int, up: bool, then: int) -> None:
        self.cluster.comes_again(pick, up=up)
        self.cluster.goes_on(then)

    @rule(name=names, cancel=st.sampled_from((False, True, True)), then=rounds)
    def an_operator_drains(self, name: str, cancel: bool, then: int) -> None:
        agent_id = AgentId(name)
        self.cluster.attempts(
            CancelDrain(caller=ROOT, agent_id=agent_id)
            if cancel
            else DrainAgent(caller=ROOT, agent_id=agent_id, max_grace_ms=0)
        )
        self.cluster.goes_on(then)

    # --- what holds ---

    def told(self, task_id: TaskId) -> list[TaskStatus]:
        """Every status of a task under a uuid, by whom its agent sent it, in the order of the first sending."""
        sent = [each.status for agent in self.cluster.agents.values() for each in agent.told]
        return list({each.uuid: each for each in sent if each.task_id == task_id}.values())

    @invariant()
    def a_task_has_one_terminal_uuid_and_nothing_follows_it(self) -> None:
        for task_id in self.cluster.launched:
            told = self.told(task_id)
            assert all(not status.state.is_terminal for status in told[:-1]), told

    @invariant()
    def a_framework_hears_in_order_and_nothing_new_after_the_end(self) -> None:
        for task_id in self.cluster.launched:
            of_agent = [status.uuid for status in self.told(task_id)]
            heard = [status for status in self.cluster.heard if status.task_id == task_id]
            first_heard = list(dict.fromkeys(status.uuid for status in heard if status.uuid))
            assert first_heard == of_agent[: len(first_heard)]
            end = next((at for at, status in enumerate(heard) if status.uuid and status.state.is_terminal), None)
            if end is not None:
                without_uuid = [status.state for status in heard[end:] if not status.uuid]
                # Who asks again after a crash of the master is told that nobody knows any more.
                assert all(state in {heard[end].state, TaskState.GONE, TaskState.UNKNOWN} for state in without_uuid), (
                    heard
                )

    @invariant()
    def nothing_is_given_away_twice(self) -> None:
        for name, agent in self.cluster.agents.items():
            for container in agent.machine.state.live():
                assert container.counted.contains(container.config.resources.unallocated()), name
            if AgentId(name) in self.cluster.world.state.agents:
                master = self.cluster.world.state.agents[AgentId(name)]
                assert master.state is not AgentState.CONNECTED or not self.cluster.world.allocator.shortage(
                    AgentId(name)
                )

    def all_say_the_same_of_every_size(self) -> None:
        """And limits: the kernel, the agent, and the master's accounts, which nothing is reserved in any more."""
        for name, agent in self.cluster.agents.items():
            known = {task.container_id: task for task in self.cluster.world.state.agents[AgentId(name)].tasks.values()}
            for container_id in agent.host.running:
                size = agent.machine.state.containers[container_id].config.resources
                assert size == agent.host.sizes[container_id] == known[container_id].info.resources
                assert known[container_id].resizing is None
                limits = agent.machine.state.containers[container_id].config.limits
                assert limits == agent.host.limits[container_id] == known[container_id].limits
                assert known[container_id].info.limits == ResourceLimits(), "nobody asked for any at the launch"

    def teardown(self) -> None:
        if not hasattr(self, "cluster"):
            return
        cluster = self.cluster
        cluster.calms_down()
        self.nothing_is_given_away_twice()
        self.all_say_the_same_of_every_size()
        cluster.settles()
        self.a_task_has_one_terminal_uuid_and_nothing_follows_it()
        self.a_framework_hears_in_order_and_nothing_new_after_the_end()
        heard = {status.uuid for status in cluster.heard}
        for task_id in cluster.launched:
            assert any(status.task_id == task_id and status.state.is_terminal for status in cluster.heard), task_id
            assert all(status.uuid in heard for status in self.told(task_id)), "a status was lost"
        for name, agent in cluster.agents.items():
            for task_id, state in agent.host.ends.items():
                assert self.told(task_id)[-1].state is state, "the end was told otherwise than it was"
            assert not agent.machine.state.tasks, "a task waits for an acknowledgement for ever"
            assert agent.machine.state.free == agent.machine.state.total
            assert not cluster.world.state.agents[AgentId(name)].tasks, "the master holds what nobody runs"


def examples(count: int) -> settings:
    return settings(
        max_examples=count,
        stateful_step_count=40,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


TestBothCores = BothCores.TestCase
TestBothCores.settings = examples(25)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_many_more_histories() -> None:
    run_state_machine_as_test(BothCores, settings=examples(1_000))
