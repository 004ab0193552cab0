"""What is said of an agent's Docker engine, and of what it has of ours."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.doctor.finding import Finding, Verdict
from paddock.doctor.judging import judge
from paddock.doctor.reading_engine import engine_from
from paddock.doctor.traces import (
    AgentTraces,
    ContainerTraces,
    EngineContainerTraces,
    EngineTraces,
    HostTraces,
    RecordState,
)

MIN_AGE_S = 60.0
ENGINE = EngineTraces(
    socket="/run/docker.sock",
    version="20.10.24",
    api_version="1.41",
    cgroup_driver="cgroupfs",
    storage_driver="overlay2",
    data_root="/var/lib/docker",
    free_bytes=5 << 30,
)
AGENT = AgentTraces(agent_id="a1", state_dir="/s", agentd_pid=7, launcher_pid=8, engine=ENGINE)
OURS = EngineContainerTraces(
    name="paddock-a1-c1", engine_id="e1", agent_id="a1", container_id="c1", state="exited", age_s=1e6
)


def findings(engine: EngineTraces, agent: AgentTraces = AGENT) -> list[Finding]:
    host = HostTraces(agents=(replace(agent, engine=engine),))
    return [each for each in judge(host, min_age_s=MIN_AGE_S) if each.kind.startswith("engine")]


def of_container(container: EngineContainerTraces, agent: AgentTraces = AGENT) -> Finding:
    return findings(replace(ENGINE, containers=(container,)), agent)[1]


def test_an_engine_that_is_well_is_told_with_its_version_driver_and_storage() -> None:
    (found,) = findings(ENGINE)
    assert found.verdict is Verdict.FINE
    assert found.why == (
        "docker engine 20.10.24 answers; API 1.41, cgroup driver cgroupfs, storage overlay2 at /var/lib/docker, 5.0 GiB free, "
        "live-restore off: when it is started anew, its containers end"
    )
    assert "live-restore on" in findings(replace(ENGINE, live_restore=True))[0].why


@pytest.mark.parametrize(
    ("engine", "why", "remedy"),
    [
        (
            replace(ENGINE, problem="it does not answer within 5 s", said="docker engine unresponsive since yesterday"),
            "it does not answer within 5 s; agentd says: docker engine unresponsive since yesterday",
            "start the Docker engine",
        ),
        (
            replace(ENGINE, cgroup_driver="systemd"),
            "its cgroup driver is systemd, which takes containers out of our cgroups",
            '"native.cgroupdriver=cgroupfs"',
        ),
        (replace(ENGINE, free_bytes=1 << 20), "1 MiB are free at /var/lib/docker", "docker image prune"),
    ],
)
def test_an_engine_that_serves_no_task_is_out_of_place_with_the_remedy(
    engine: EngineTraces, why: str, remedy: str
) -> None:
    (found,) = findings(engine)
    assert found.verdict is Verdict.WRONG
    assert why in found.why
    assert remedy in found.remedy


def test_what_a_dead_agentd_has_said_is_old() -> None:
    engine = replace(ENGINE, problem="it does not listen", said="docker engine 20 answers")
    (found,) = findings(engine, replace(AGENT, agentd_pid=0))
    assert found.why == "it does not listen"


def test_a_container_that_a_shim_holds_is_fine() -> None:
    held = ContainerTraces(container_id="c1", record=RecordState.HELD)
    assert of_container(OURS, replace(AGENT, containers=(held,))).verdict is Verdict.FINE


def test_a_container_that_nobody_holds_is_out_of_place_unless_it_is_young_or_agentd_is_down() -> None:
    found = of_container(OURS)
    assert found.verdict is Verdict.WRONG
    assert "docker rm -f paddock-a1-c1" in found.remedy
    assert of_container(replace(OURS, age_s=1)).verdict is Verdict.WAITS
    assert of_container(OURS, replace(AGENT, agentd_pid=0)).verdict is Verdict.WAITS


def test_what_has_only_our_label_or_anothers_is_foreign() -> None:
    assert of_container(replace(OURS, name="web")).verdict is Verdict.FOREIGN
    found = of_container(replace(OURS, agent_id="a2", name="paddock-a2-c1"))
    assert (found.verdict, found.agent_id) == (Verdict.FOREIGN, "a2")
    assert "not known here" in found.why


def test_an_agent_without_docker_tasks_has_no_engine() -> None:
    host = HostTraces(agents=(replace(AGENT, engine=None),))
    assert not [each for each in judge(host, min_age_s=MIN_AGE_S) if each.kind.startswith("engine")]


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
FIELDS = st.sampled_from(
    ["Names", "Labels", "Id", "Created", "State", "DockerRootDir", "ApiVersion", "paddock.agent-id"]
)
SHALLOW = VALUES | st.lists(VALUES, max_size=2) | st.dictionaries(FIELDS, VALUES, max_size=3)
ANYTHING = SHALLOW | st.lists(SHALLOW, max_size=2) | st.dictionaries(FIELDS, SHALLOW, max_size=4)


@settings(max_examples=50)
@given(version=ANYTHING, info=ANYTHING, containers=ANYTHING | st.lists(ANYTHING, max_size=2))
def test_whatever_listens_there_becomes_words(version: object, info: object, containers: object) -> None:
    found = engine_from("/s", "", version, info, containers, now_s=1.0)
    assert json.dumps([each.why for each in findings(found)])
