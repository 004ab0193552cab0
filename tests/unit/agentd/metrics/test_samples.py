"""An agent's samples: each series once, as many as the limit allows, and the others' sums; launches by their stages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.containerizer.composing import ComposingContainerizer
from agentd.containerizer.native import NativeContainerizer
from agentd.core import events
from agentd.docker.answers import EngineFacts
from agentd.docker.state import EngineState
from agentd.metrics import families
from agentd.metrics.cgroup_files import Unified
from agentd.metrics.containers import OTHER, Measured, samples
from agentd.metrics.meters import FETCH, LAUNCH, PREPARE, TOTAL, IsolatorMeters, LaunchTimes, LoopMeters
from agentd.metrics.samples import of_engines
from paddock.metrics.families import Kind
from paddock.model.container import Container, ContainerState
from paddock.model.ids import ContainerId
from paddock.model.statistics import ResourceStatistics
from paddock.model.task import ContainerType, Reason, TaskState
from tests.unit.agentd.core.made import config

AMOUNTS = st.none() | st.integers(min_value=0, max_value=2**50)
USAGES = st.builds(ResourceStatistics, cpu_user_us=AMOUNTS, memory_anon_bytes=AMOUNTS, pids_count=AMOUNTS)
MS = 1_000_000


def measured(usages: list[ResourceStatistics], own_count: int) -> Measured:
    containers = [
        Container(config=config(f"c{i}", task_id=f"t{i}"), state=ContainerState.RUNNING) for i in range(len(usages))
    ]
    unified = {ContainerId("c0"): Unified(pressure_s=(("cpu", "some", 1.5),), read_bytes=7, written_bytes=None)}
    return Measured(containers=containers, usages=usages, unified=unified, own_count=own_count)


@given(st.lists(USAGES, max_size=8), st.integers(min_value=0, max_value=8))
def test_series_are_bounded_and_nothing_is_lost(usages: list[ResourceStatistics], own_count: int) -> None:
    found = {}
    for family, labels, value in samples(measured(usages, own_count)):
        assert (family, labels) not in found
        assert len(labels) == len(family.labels)
        found[family, labels] = value
    own = {labels[0] for family, labels in found if family is families.CONTAINER}
    assert own == {f"c{i}" for i in range(min(own_count, len(usages)))}
    assert found[families.CUT, ()] == max(len(usages) - own_count, 0)
    pids = [each.pids_count for each in usages if each.pids_count is not None]
    told = [value for (family, _), value in found.items() if family is families.PIDS and isinstance(value, int | float)]
    assert sum(told) == sum(pids)
    assert {labels[0] for family, labels in found if family is families.PIDS} <= own | {OTHER}


def test_what_only_v2_tells_is_told_of_those_with_series_of_their_own() -> None:
    found = {(family, labels): value for family, labels, value in samples(measured([ResourceStatistics()], 1))}
    assert found[families.PRESSURE, ("c0", "t0", "cpu", "some")] == 1.5
    assert found[families.IO, ("c0", "t0", "read")] == 7
    assert (families.IO, ("c0", "t0", "write")) not in found
    assert not {family for family, _ in found} & {families.PIDS, families.DISK}, "what was not measured is not told"


def facts(version: str) -> EngineFacts:
    return EngineFacts(
        version=version,
        api_version="1.44",
        cgroup_driver="cgroupfs",
        cgroup_version="1",
        storage_driver="overlay2",
        data_root="/var/lib/docker",
        live_restore=True,
    )


class OneEngine(NativeContainerizer):
    """Whose containers an engine runs."""

    def __init__(self, state: EngineState) -> None:
        self._state = state

    def engines(self) -> dict[str, EngineState]:
        return {"docker": self._state}


@pytest.mark.parametrize("version", ["", "28.1"])
def test_an_engine_is_told_and_its_version_once_it_has_said_it(version: str) -> None:
    state = EngineState(reachable=bool(version), since_wall_ns=5_000_000_000, facts=facts(version) if version else None)
    composed = ComposingContainerizer({ContainerType.DOCKER: OneEngine(state)}, lambda event: None)
    found = {(family, labels): value for family, labels, value in of_engines(composed.engines())}
    assert found[families.ENGINE_REACHABLE, ("docker",)] == bool(version)
    assert found[families.ENGINE_SINCE, ("docker",)] == 5
    assert ((families.ENGINE, ("docker", version)) in found) is bool(version)


def test_launches_are_timed_by_their_stages() -> None:
    times, container = LaunchTimes(), ContainerId("c")
    times.begin(container, 0)
    times.end(PREPARE, container, 2 * MS)
    times.begin(container, 3 * MS)
    times.end(FETCH, container, 13 * MS)
    times.begin(container, 20 * MS)
    times.end(LAUNCH, container, 24 * MS)
    times.end(LAUNCH, container, 99 * MS)
    assert {stage: round(histogram.total, 6) for stage, histogram in times.stages.items()} == {
        PREPARE: 0.002,
        FETCH: 0.010,
        LAUNCH: 0.004,
        TOTAL: 0.024,
    }
    assert all(histogram.count == 1 for histogram in times.stages.values())


def test_a_launch_that_came_to_nothing_is_forgotten_and_one_of_an_earlier_agent_is_not_timed() -> None:
    times = LaunchTimes()
    times.begin(ContainerId("c"), 0)
    times.forget(ContainerId("c"))
    times.end(PREPARE, ContainerId("c"), 5)
    times.end(LAUNCH, ContainerId("restored"), 5)
    assert all(histogram.count == 0 for histogram in times.stages.values())


def test_the_link_and_the_ends_are_counted() -> None:
    loop = LoopMeters()
    loop.note(events.MasterConnected(), 1, 100)
    assert (loop.link_changed_ns, loop.link_lost_count) == (100, 0)
    loop.note(events.MasterDisconnected(), 2, 200)
    assert (loop.link_changed_ns, loop.link_lost_count) == (200, 1)
    loop.note_end(TaskState.FAILED, Reason.CONTAINER_LIMITATION_MEMORY)
    loop.note_end(TaskState.FAILED, 987_654)
    loop.note_end(TaskState.FAILED, 987_655)
    assert loop.ended == {
        (TaskState.FAILED, Reason.CONTAINER_LIMITATION_MEMORY): 1,
        (TaskState.FAILED, None): 2,
    }, "reasons of strangers make one series"
    assert loop.events[events.MasterConnected] == 1


def test_what_an_isolator_raises_is_counted_and_raised() -> None:
    meters = IsolatorMeters()

    def fail() -> None:
        raise OSError("broken")

    for _ in range(2):
        try:
            meters.timed("cgroups/cpu", "prepare", fail)
        except OSError as error:
            assert str(error) == "broken"  # noqa: PT017 - counted below
    assert meters.timed("cgroups/cpu", "prepare", lambda: 3) == 3
    assert meters.errors == {("cgroups/cpu", "prepare"): 2}
    assert meters.times["cgroups/cpu", "prepare"].count == 3


def test_every_family_is_of_a_kind_that_its_samples_have() -> None:
    assert {family for family in families.FAMILIES if family.kind is Kind.HISTOGRAM} == {
        families.LOOP_LAG,
        families.LAUNCH,
        families.ISOLATOR,
        families.CHECKPOINT,
    }
