"""Merging plans: order kept, nothing twice, two that disagree named, a refused plan leaves nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.model.errors import PlanConflict
from paddock.model.launch_plan import (
    Capabilities,
    CgroupRead,
    CgroupWrite,
    LaunchPlan,
    MountStep,
    PlanMerger,
    with_environment,
)
from paddock.model.task import Rlimit

WORDS = st.sampled_from(["a", "b", "c"])
PLANS = st.builds(
    LaunchPlan,
    controllers=st.lists(WORDS, max_size=2).map(tuple),
    writes=st.lists(st.builds(CgroupWrite, controller=WORDS, file=WORDS, value=WORDS), max_size=2).map(tuple),
    final_reads=st.lists(st.builds(CgroupRead, controller=WORDS, file=WORDS), max_size=2).map(tuple),
    oom_events=st.none() | st.builds(CgroupRead, controller=WORDS, file=WORDS),
    namespaces=st.lists(st.sampled_from(["pid", "mnt", "ipc"]), unique=True).map(tuple),
    mounts=st.lists(st.builds(MountStep, source=WORDS, target=WORDS, type=st.just("proc")), max_size=1).map(tuple),
    environment=st.dictionaries(WORDS, WORDS, max_size=2).map(lambda found: tuple(found.items())),
    rlimits=st.lists(st.builds(Rlimit, resource=WORDS, soft=st.just(1), hard=st.sampled_from([1, 2])), max_size=1).map(
        tuple
    ),
    capabilities=st.none() | st.builds(Capabilities, bounding=st.just(()), effective=WORDS.map(lambda word: (word,))),
    no_new_privileges=st.none() | st.booleans(),
    needs_barrier=st.booleans(),
)


@given(plans=st.lists(PLANS, max_size=4))
def test_all_is_in_and_in_order_or_two_are_named(plans: list[LaunchPlan]) -> None:
    merger = PlanMerger()
    taken: list[LaunchPlan] = []
    for number, plan in enumerate(plans):
        before = merger.merged
        try:
            merger.add(f"isolator{number}", plan)
        except PlanConflict as error:
            assert merger.merged == before
            conflict = error
        else:
            taken.append(plan)
            continue
        assert conflict.second == f"isolator{number}"
        assert conflict.first in {f"isolator{earlier}" for earlier in range(number)}
        assert conflict.subject
    merged = merger.merged
    for plan in taken:
        assert set(plan.writes) <= set(merged.writes)
        assert set(plan.mounts) <= set(merged.mounts)
        assert set(plan.environment) <= set(merged.environment)
        assert set(plan.controllers) <= set(merged.controllers)
        assert merged.needs_barrier or not plan.needs_barrier
        assert plan.no_new_privileges in {None, merged.no_new_privileges}
        assert plan.capabilities in {None, merged.capabilities}
    assert len(set(merged.final_reads)) == len(merged.final_reads)
    assert len(dict(merged.environment)) == len(merged.environment)
    again = PlanMerger()
    again.add("one", merged)
    assert again.merged == merged


def write(value: str) -> LaunchPlan:
    return LaunchPlan(writes=(CgroupWrite(controller="cpu", file="cpu.shares", value=value),))


@pytest.mark.parametrize(
    ("first", "second", "subject"),
    [
        (write("1"), write("2"), "cgroup file cpu.shares"),
        (LaunchPlan(environment=(("A", "1"),)), LaunchPlan(environment=(("A", "2"),)), "environment variable A"),
        (LaunchPlan(no_new_privileges=True), LaunchPlan(no_new_privileges=False), "no_new_privileges"),
        (
            LaunchPlan(mounts=(MountStep(source="a", target="/x", type="proc"),)),
            LaunchPlan(mounts=(MountStep(source="b", target="/x", type="proc"),)),
            "mount /x",
        ),
        (
            LaunchPlan(rlimits=(Rlimit(resource="RLMT_CORE", soft=1, hard=1),)),
            LaunchPlan(rlimits=(Rlimit(resource="RLMT_CORE"),)),
            "rlimit RLMT_CORE",
        ),
        (
            LaunchPlan(capabilities=Capabilities(bounding=(), effective=())),
            LaunchPlan(capabilities=Capabilities(bounding=("CAP_KILL",), effective=())),
            "capabilities",
        ),
        (
            LaunchPlan(oom_events=CgroupRead(controller="memory", file="a")),
            LaunchPlan(oom_events=CgroupRead(controller="memory", file="b")),
            "oom_events",
        ),
    ],
)
def test_two_that_disagree_are_named(first: LaunchPlan, second: LaunchPlan, subject: str) -> None:
    merger = PlanMerger()
    merger.add("one/x", first)
    with pytest.raises(PlanConflict, match=f"isolators one/x and two/y disagree about {subject};"):
        merger.add("two/y", second)
    assert merger.merged == first


def test_two_that_agree_are_once() -> None:
    merger = PlanMerger()
    merger.add("one", write("1"))
    merger.add("two", write("1"))
    assert merger.merged == write("1")


def test_one_isolator_may_write_a_file_twice_in_order() -> None:
    plan = LaunchPlan(writes=(*write("1").writes, *write("2").writes))
    merger = PlanMerger()
    merger.add("one", plan)
    assert merger.merged.writes == plan.writes


def test_the_tasks_environment_wins() -> None:
    plan = LaunchPlan(environment=(("A", "1"), ("B", "2")))
    assert with_environment(plan, (("A", "x"), ("C", "3"))).environment == (("A", "x"), ("B", "2"), ("C", "3"))
