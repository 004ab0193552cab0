"""The engine's answers become values; what it never should say becomes an error that names the place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.docker import answers
from agentd.docker.answers import EngineContainerState, EngineMount
from agentd.docker.calls import api_version_for
from agentd.docker.failures import EngineFailure

INSPECTED: dict[str, Any] = {
    "Id": "8f" * 32,
    "Name": "/paddock-a1-c1",
    "Image": "sha256:" + "00" * 32,
    "State": {
        "Status": "exited",
        "Pid": 0,
        "ExitCode": 137,
        "OOMKilled": True,
        "Error": "",
        "StartedAt": "2026-11-26T06:27:32.623294453Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
    },
    "Config": {"Labels": {"b": "2", "a": "1"}},
    "HostConfig": {"CgroupParent": "/paddock-a1/c1"},
    "GraphDriver": {"Name": "overlay2", "Data": {"UpperDir": "/d/diff"}},
    "LogPath": "/d/log",
    "Mounts": [{"Type": "bind", "Source": "/s", "Destination": "/t", "RW": True, "Mode": ""}],
    "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}, "host": {"IPAddress": ""}}},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


def test_an_inspected_container() -> None:
    found = answers.container_from(INSPECTED)
    assert found.name == "paddock-a1-c1"
    assert found.labels == (("a", "1"), ("b", "2"))
    assert (found.state, found.pid, found.exit_code, found.oom_killed) == (EngineContainerState.EXITED, 0, 137, True)
    assert (found.started_at, found.finished_at) == ("2026-11-26T06:27:32.623294453Z", "")
    assert found.cgroup_parent == "/paddock-a1/c1"
    assert found.writable_layer == "/d/diff"
    assert found.mounts == (EngineMount(kind="bind", name="", source="/s", target="/t", writable=True),)
    assert found.writes == {"/d/diff": "/"}
    assert found.addresses == (("bridge", "172.17.0.2"),)


@pytest.mark.parametrize("state", EngineContainerState)
def test_every_state_that_an_engine_has(state: EngineContainerState) -> None:
    found = answers.container_from({**INSPECTED, "State": {"Status": state.value}})
    assert found.state is state
    assert found.state.has_process == (state.value in {"running", "paused", "restarting"})


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"State": {"Status": "running", "Pid": "7"}}, "container.State.Pid is '7'"),
        ({"State": {"Status": "running", "Pid": True}}, "container.State.Pid is True"),
        ({"State": [1]}, "container.State is [1]"),
        ({"Mounts": {}}, "container.Mounts is {}"),
        ({"Mounts": [{}, {"RW": 1}]}, "container.Mounts[1].RW is 1"),
        ({"Config": {"Labels": {"a": 1}}}, "container.Config.Labels.a is 1"),
        ({"Id": ""}, "it has no Id"),
        ({"State": {"Status": "elsewhere"}}, "'elsewhere'"),
    ],
)
def test_nonsense_is_refused_by_its_place(changed: dict[str, Any], place: str) -> None:
    with pytest.raises(EngineFailure) as refused:
        answers.container_from({**INSPECTED, **changed})
    assert place in str(refused.value)


def test_listed_containers_have_their_own_name_and_not_a_links() -> None:
    one = {"Id": "8f", "Names": ["/other/alias", "/paddock-a1-c1"], "State": "running", "Labels": {"a": "1"}}
    (found,) = answers.list_from([one])
    assert (found.name, found.labels, found.state) == ("paddock-a1-c1", (("a", "1"),), EngineContainerState.RUNNING)
    assert answers.list_from([]) == ()


def test_an_image_without_entry_point_and_command_has_none() -> None:
    found = answers.image_from({"Id": "sha256:1", "Config": {"Entrypoint": None, "Cmd": []}, "RepoTags": ["a:1"]})
    assert (found.entrypoint, found.command, found.tags, found.environment) == (None, None, ("a:1",), ())


def test_an_exec_has_no_exit_code_before_its_end() -> None:
    running = answers.exec_from({"ID": "e", "Running": True, "ExitCode": None, "Pid": 7})
    assert (running.running, running.pid, running.exit_code) == (True, 7, None)
    created = answers.exec_from({"ID": "e", "Running": False, "ExitCode": None, "Pid": 0})
    assert created.exit_code is None
    ended = answers.exec_from({"ID": "e", "Running": False, "ExitCode": 0, "Pid": 7})
    assert ended.exit_code == 0


def test_an_event() -> None:
    attributes = {"exitCode": "137", "image": "x", "paddock.agent-id": "a1"}
    found = answers.event_from({"Action": "die", "Actor": {"ID": "8f", "Attributes": attributes}, "timeNano": 5})
    assert (found.action, found.engine_id, found.exit_code, found.time_ns) == ("die", "8f", 137, 5)
    assert ("paddock.agent-id", "a1") in found.attributes
    executed = answers.event_from({"Action": "exec_start: sh -c x", "Actor": {"ID": "8f", "Attributes": None}})
    assert (executed.action, executed.exit_code) == ("exec_start", None)


@pytest.mark.parametrize(
    ("oldest", "newest", "chosen"), [("1.12", "1.41", "1.41"), ("1.24", "1.43", "1.43"), ("1.44", "1.52", "1.44")]
)
def test_the_newest_version_that_both_speak_is_spoken(oldest: str, newest: str, chosen: str) -> None:
    assert api_version_for({"ApiVersion": newest, "MinAPIVersion": oldest}) == chosen


@pytest.mark.parametrize(
    ("oldest", "newest", "words"),
    [
        ("1.12", "1.40", "install Docker 20.10 or newer"),
        ("1.45", "1.60", "or a newer Paddock"),
        ("1.12", "x", "'x'"),
        ("1.12", "", "''"),
    ],
)
def test_an_engine_with_which_there_is_no_version_to_speak_is_told(oldest: str, newest: str, words: str) -> None:
    with pytest.raises(EngineFailure) as refused:
        api_version_for({"ApiVersion": newest, "MinAPIVersion": oldest, "Version": "9"})
    assert words in str(refused.value)


def refusal(read: Callable[[object], object], value: object) -> str:
    try:
        read(value)
    except EngineFailure as refused:
        return str(refused)
    return ""


@given(JSON)
def test_whatever_json_comes_is_a_value_or_refused(value: object) -> None:
    for read in (
        answers.container_from,
        answers.list_from,
        answers.image_from,
        answers.exec_from,
        answers.event_from,
        answers.created_from,
        api_version_for,
        lambda found: answers.facts_from(found, found),
    ):
        assert len(refusal(read, value)) < 400
