"""Volumes between the two cores, over crashes and loss on either side: nothing is lost but by a DESTROY, which is carried out
in the end and once, and nobody reads what was on a volume before it was destroyed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from agentd.core import volumes
from masterd.core.events import ResourcesChanged
from paddock.model.ids import AgentId
from paddock.model.offer import Change, CreateVolumes, DestroyVolumes, Reserve
from paddock.model.resources import DiskVolume, Reservation, Resource, Resources, Scalar
from paddock.model.volumes import VolumeKey, keys_of
from tests.contract.link.simulated_cluster import SimulatedCluster
from tests.contract.link.test_both_cores import examples, names, rounds
from tests.unit.masterd.core.world import ROOT

ids = st.sampled_from(("v", "w"))
R = (Reservation(role="r", dynamic=True),)


def key(persistence_id: str) -> VolumeKey:
    return VolumeKey(role="r", persistence_id=persistence_id)


def disk(persistence_id: str = "") -> Resource:
    volume = DiskVolume(persistence_id=persistence_id) if persistence_id else None
    return Resource(name="disk", value=Scalar(milli=10_000), reservations=R, volume=volume)


@dataclass(slots=True)
class Truth:
    """What is so of one agent's volumes. `generations`: how often each was made; `written`: those that a task wrote to."""

    generations: dict[VolumeKey, int] = field(default_factory=dict)
    written: set[tuple[VolumeKey, int]] = field(default_factory=set)
    spoilt: set[tuple[VolumeKey, int]] = field(default_factory=set)
    """Somebody removed the directory behind the agent's back."""


class VolumesOfBothCores(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.cluster = SimulatedCluster()
        self.truths = {name: Truth() for name in self.cluster.agents}
        self.registry_was_lost = False
        self.cluster.goes_on(10)
        for name in self.truths:
            self.creates(name, "v", then=4)

    def known(self, name: str) -> dict[VolumeKey, Resource]:
        """To the master."""
        agent = self.cluster.world.state.agents.get(AgentId(name))
        return keys_of(agent.info.resources) if agent is not None else {}

    def operator(self, name: str, change: Change) -> None:
        self.cluster.attempts(ResourcesChanged(caller=ROOT, agent_id=AgentId(name), change=change))

    @rule(name=names, volume=ids, then=rounds)
    def creates(self, name: str, volume: str, then: int) -> None:
        before = self.known(name)
        self.operator(name, Reserve(resources=Resources((disk(),))))
        self.operator(name, CreateVolumes(volumes=Resources((disk(volume),))))
        if key(volume) in self.known(name) and key(volume) not in before:
            generations = self.truths[name].generations
            generations[key(volume)] = generations.get(key(volume), 0) + 1
        self.cluster.goes_on(then)

    @rule(name=names, volume=ids, then=rounds)
    def destroys(self, name: str, volume: str, then: int) -> None:
        self.operator(name, DestroyVolumes(volumes=Resources((disk(volume),))))
        self.cluster.goes_on(then)

    @rule(name=names, between=rounds, then=rounds)
    def is_written_to_and_made_anew(self, name: str, between: int, then: int) -> None:
        self.cluster.goes_on(4)
        self.a_task_writes(name, "v", then=0)
        self.destroys(name, "v", then=between)
        self.creates(name, "v", then=then)
        self.a_task_writes(name, "v", then=0)

    @rule(name=names, volume=ids, then=rounds)
    def a_task_writes(self, name: str, volume: str, then: int) -> None:
        """If the agent lets it, when all that the master has said before the launch has come."""
        agent, truth, connection = self.cluster.agents[name], self.truths[name], self.cluster.connections.get(name)
        while self.cluster.goes_down(name):
            pass
        wanted = self.known(name).get(key(volume))
        may = wanted is not None and connection is not None and connection.registered
        if wanted is not None and may and not volumes.find_problem(agent.machine.state, Resources((wanted,))):
            while agent.do_some_work():
                pass
            marks = agent.host.volumes.get(key(volume))
            generation = truth.generations[key(volume)]
            if marks is not None:
                assert self.registry_was_lost or set(marks) <= {generation}, "it reads what was destroyed"
                marks.append(generation)
                truth.written.add((key(volume), generation))
        self.cluster.goes_on(then)

    @rule(name=names, volume=ids, then=rounds)
    def somebody_removes_the_directory(self, name: str, volume: str, then: int) -> None:
        self.cluster.agents[name].host.volumes.pop(key(volume), None)
        self.truths[name].spoilt.add((key(volume), self.truths[name].generations.get(key(volume), 0)))
        self.cluster.goes_on(then)

    @rule(name=names, reboot=st.booleans(), master_knows=st.booleans(), then=rounds)
    def an_agent_crashes(self, name: str, reboot: bool, master_knows: bool, then: int) -> None:
        self.cluster.breaks(name, master_knows=master_knows)
        self.cluster.agents[name].crash(reboot=reboot)
        self.cluster.goes_on(then)

    @rule(name=names, master_knows=st.booleans(), then=rounds)
    def a_connection_breaks(self, name: str, master_knows: bool, then: int) -> None:
        self.cluster.breaks(name, master_knows=master_knows)
        self.cluster.goes_on(then)

    @rule(loses=st.sampled_from((False, False, False, False, True)), then=rounds)
    def the_master_crashes(self, loses: bool, then: int) -> None:
        self.registry_was_lost |= loses
        self.cluster.master_crashes(loses_registry=loses)
        self.cluster.goes_on(then)

    # --- what holds ---

    @invariant()
    def what_was_written_is_there_until_it_is_destroyed(self) -> None:
        for name, truth in self.truths.items():
            for volume in self.known(name):
                generation = truth.generations[volume]
                if (volume, generation) in truth.written - truth.spoilt:
                    assert generation in self.cluster.agents[name].host.volumes[volume], f"{volume} of {name} is lost"

    def teardown(self) -> None:
        if not hasattr(self, "cluster"):
            return
        self.cluster.settles()
        self.what_was_written_is_there_until_it_is_destroyed()
        for name, agent in self.cluster.agents.items():
            entry = self.cluster.world.state.agents[AgentId(name)]
            truth, on_disk, known = self.truths[name], agent.host.volumes, self.known(name)
            assert not entry.destroyed, "a DESTROY is not confirmed"
            assert set(entry.unknown_volumes) == set(on_disk) - set(known)
            assert self.registry_was_lost or set(on_disk) <= set(known), "something destroyed is still there"
            for volume in known:
                now = (volume, truth.generations[volume])
                if now in truth.written & truth.spoilt and now[1] not in on_disk.get(volume, ()):
                    assert volume not in on_disk, "made anew it would be taken for the whole"
                if volume not in on_disk:
                    assert now in truth.spoilt
                    assert entry.volume_problems[volume] == "missing"
                assert self.registry_was_lost or set(on_disk.get(volume, ())) <= {now[1]}
            taken = Resources.of(Resource(name="disk", value=Scalar(milli=10_000)) for _ in known)
            assert agent.machine.state.free + taken == agent.machine.state.total


TestVolumesOfBothCores = VolumesOfBothCores.TestCase
TestVolumesOfBothCores.settings = examples(12)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_many_more_histories() -> None:
    run_state_machine_as_test(VolumesOfBothCores, settings=examples(1_000))
