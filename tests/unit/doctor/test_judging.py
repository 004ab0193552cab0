"""What is out of place, and what may be removed."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.doctor.finding import Finding, RemoveCgroup, SweepContainer, Verdict
from paddock.doctor.judging import judge
from paddock.doctor.traces import AgentTraces, ContainerTraces, Ear, HostTraces, RecordState, SocketTrace

MIN_AGE_S = 60.0
ROOT = "/sys/fs/cgroup/cpu/paddock-a1"
AGENT = AgentTraces(
    agent_id="a1",
    state_dir="/s",
    records_dir="/s/records",
    runtime_dir="/s/run",
    work_dir="/w",
    agentd_pid=7,
    launcher_pid=8,
)
OLD = ContainerTraces(container_id="c1", idle_s=1e6)


def verdicts(agent: AgentTraces) -> list[Finding]:
    return list(judge(HostTraces(agents=(agent,)), min_age_s=MIN_AGE_S))


def of_container(container: ContainerTraces, agent: AgentTraces = AGENT) -> Finding:
    (found,) = [each for each in verdicts(replace(agent, containers=(container,))) if each.kind == "container"]
    return found


CGROUPS = (("cpu", f"{ROOT}/c1"),)


@pytest.mark.parametrize("agentd_pid", [0, 7])
@pytest.mark.parametrize(
    ("container", "words"),
    [
        (replace(OLD, cgroups=CGROUPS, process_count=3), "1 cgroups with 3 processes"),
        (replace(OLD, ear=Ear.DEAD), "a socket that nobody serves"),
        (replace(OLD, record=RecordState.NOTE), "a record that is not finished"),
        (replace(OLD, record=RecordState.FINISHED, cgroups=CGROUPS), "1 cgroups"),
    ],
)
def test_what_no_shim_supervises_is_wrong_and_ours_to_remove(
    agentd_pid: int, container: ContainerTraces, words: str
) -> None:
    found = of_container(container, replace(AGENT, agentd_pid=agentd_pid))
    assert found.verdict is Verdict.WRONG
    assert words in found.why
    assert isinstance(found.removal, SweepContainer)
    assert (found.removal.record, found.removal.socket) == ("/s/records/c1.json", "/s/run/c1.sock")


@pytest.mark.parametrize(
    "container",
    [
        replace(OLD, cgroups=CGROUPS, record=RecordState.HELD),
        replace(OLD, cgroups=CGROUPS, record=RecordState.NOTE, shim_pid=9),
        replace(OLD, ear=Ear.LISTENS),
    ],
)
def test_what_a_shim_supervises_is_fine(container: ContainerTraces) -> None:
    assert of_container(container).verdict is Verdict.FINE
    assert of_container(container, replace(AGENT, agentd_pid=0)).verdict is Verdict.FINE


def test_what_is_young_may_be_under_way() -> None:
    found = of_container(replace(OLD, cgroups=CGROUPS, idle_s=MIN_AGE_S - 1))
    assert (found.verdict, found.removal) == (Verdict.WAITS, None)


def test_a_finished_record_waits_for_agentd() -> None:
    found = of_container(replace(OLD, record=RecordState.FINISHED))
    assert (found.verdict, found.removal) == (Verdict.WAITS, None)


def test_an_agent_whose_state_is_not_known_is_nobodys_to_touch() -> None:
    found = verdicts(AgentTraces(agent_id="a2", cgroup_roots=("/x/paddock-a2",), stray_pids=(5,), containers=(OLD,)))
    assert {each.verdict for each in found} == {Verdict.FOREIGN}
    assert [each.removal for each in found] == [None] * len(found)


def test_the_rest_is_named_with_its_remedy() -> None:
    agent = replace(
        AGENT,
        sockets=(SocketTrace(path="/run/a.sock", listens=False),),
        stray_pids=(99,),
        mounts=("/w/agents/a1/containers/c1/m",),
        strays=("notes.txt",),
    )
    wrong = {each.name: each.remedy for each in verdicts(agent) if each.verdict is Verdict.WRONG}
    assert wrong.keys() == {"/run/a.sock", "99", "/w/agents/a1/containers/c1/m", "/s/records/notes.txt"}
    assert wrong["99"] == "look at it, then `kill 99`"
    assert wrong["/w/agents/a1/containers/c1/m"] == "`umount /w/agents/a1/containers/c1/m`"


def test_volumes_are_fine_and_so_is_what_an_operator_has_mounted_in_one() -> None:
    root = f"{AGENT.work_dir}/agents/a1/volumes"
    agent = replace(AGENT, volume_count=2, mounts=(f"{root}/roles/r/v", f"{root}-of-nobody/m"))
    found = {each.name: each for each in verdicts(agent) if each.kind in {"volumes", "mount"}}
    assert {name: each.verdict for name, each in found.items()} == {
        root: Verdict.FINE,
        f"{root}/roles/r/v": Verdict.FINE,
        f"{root}-of-nobody/m": Verdict.WRONG,
    }
    assert "2 persistent volumes; they go by DESTROY only" in found[root].why
    assert all(each.removal is None for each in found.values())


def test_a_program_cgroup_goes_when_it_is_empty_and_its_agent_down() -> None:
    path = f"{ROOT}/.programs"
    for agentd_pid, count, removal in ((7, 0, None), (0, 2, None), (0, 0, RemoveCgroup(path=path))):
        agent = replace(AGENT, agentd_pid=agentd_pid, program_cgroups=((path, count),))
        (found,) = [each for each in verdicts(agent) if each.kind == "cgroup"]
        assert found.removal == removal


names = st.sampled_from(["c1", "c2", "c3"])
pids = st.sampled_from([0, 0, 11, 12])
counts = st.integers(0, 3)


def containers_of(agent_id: str) -> st.SearchStrategy[ContainerTraces]:
    def made(name: str, has_cgroups: bool, traces: ContainerTraces) -> ContainerTraces:
        cgroups = (("cpu", f"/cg/cpu/paddock-{agent_id}/{name}"),) if has_cgroups else ()
        return replace(traces, container_id=name, cgroups=cgroups)

    traces = st.builds(
        ContainerTraces,
        container_id=st.just(""),
        cgroups=st.just(()),
        process_count=counts,
        ear=st.sampled_from(Ear),
        record=st.sampled_from(RecordState),
        shim_pid=pids,
        idle_s=st.sampled_from([0.0, MIN_AGE_S - 0.1, MIN_AGE_S, 1e6]),
    )
    return st.builds(made, names, st.booleans(), traces)


def agents_named(agent_id: str) -> st.SearchStrategy[AgentTraces]:
    state_dir = f"/var/{agent_id}"
    return st.builds(
        AgentTraces,
        agent_id=st.just(agent_id),
        state_dir=st.sampled_from(["", state_dir, state_dir]),
        records_dir=st.just(f"{state_dir}/records"),
        runtime_dir=st.just(f"{state_dir}/run"),
        work_dir=st.sampled_from(["", "/work"]),
        agentd_pid=pids,
        launcher_pid=pids,
        stray_pids=st.sampled_from([(), (21,)]),
        cgroup_roots=st.just((f"/cg/cpu/paddock-{agent_id}",)),
        containers=st.lists(containers_of(agent_id), max_size=2, unique_by=lambda each: each.container_id).map(tuple),
        program_cgroups=st.sampled_from([(), ((f"/cg/cpu/paddock-{agent_id}/.programs", 0),)]),
        sockets=st.sampled_from([(), (SocketTrace(path="/run/s", listens=False),)]),
        spare_count=st.sampled_from([0, 5, 1000]),
        strays=st.sampled_from([(), ("odd",)]),
        sandbox_count=counts,
        removed_count=counts,
        volume_count=counts,
    )


def targets(finding: Finding) -> list[str]:
    match finding.removal:
        case SweepContainer() as sweep:
            return [sweep.record, sweep.socket, *(path for _, path in sweep.cgroups)]
        case RemoveCgroup() as remove:
            return [remove.path]
        case _:
            return []


@given(agents_named("a1"), agents_named("a2"))
@settings(max_examples=100, deadline=None)
def test_whatever_is_found_only_what_is_provably_dead_and_ours_is_removed(a: AgentTraces, b: AgentTraces) -> None:
    both = judge(HostTraces(agents=(a, b)), min_age_s=MIN_AGE_S)
    # Two agents on one host: neither's traces change what is said of the other's.
    alone = [judge(HostTraces(agents=(each,)), min_age_s=MIN_AGE_S) for each in (a, b)]
    assert both == alone[0] + alone[1]
    by_id = {each.agent_id: each for each in (a, b)}
    for finding in both:
        agent = by_id[finding.agent_id]
        assert finding.why
        assert finding.remedy or finding.verdict in {Verdict.FINE, Verdict.FOREIGN}
        if finding.removal is None:
            continue
        assert finding.verdict is Verdict.WRONG
        assert agent.state_dir
        for path in targets(finding):
            own = (f"{agent.records_dir}/", f"{agent.runtime_dir}/", f"/cg/cpu/paddock-{agent.agent_id}/")
            assert path.startswith(own)
            assert ".." not in path.split(os.sep)
        if isinstance(finding.removal, SweepContainer):
            (container,) = [each for each in agent.containers if each.container_id == finding.name]
            assert not container.shim_pid
            assert container.record is not RecordState.HELD
            assert container.ear is not Ear.LISTENS
            assert container.idle_s >= MIN_AGE_S
    # Everything is named once.
    for agent in (a, b):
        if agent.state_dir:
            named = [each.name for each in both if each.agent_id == agent.agent_id and each.kind == "container"]
            assert named == [each.container_id for each in agent.containers]
