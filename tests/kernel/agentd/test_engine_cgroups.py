"""What an engine leaves in cgroups, on this machine's hierarchies: it goes, with whoever is in there, and nothing else does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.docker import engine_cgroups
from isolators.contract import HostFacts
from isolators.host import read_host_facts
from paddock.kernel import cgroup_files
from paddock.kernel.mounts import read_hierarchy
from paddock.model.ids import AgentId, ContainerId
from tests.agentd_process import STOP_TIMEOUT_S

C1 = ContainerId("c1")
ENGINE_ID = "0123456789abcdef" * 4


@pytest.fixture
def host() -> HostFacts:
    return read_host_facts(AgentId(f"test-{os.getpid()}"))


@pytest.fixture
def places(host: HostFacts) -> Iterator[list[Path]]:
    """The container's directory in each hierarchy: those that an agent uses, and those in which only engines make any."""
    agents = {Path(root) for _, root in host.cgroup_roots}
    if host.cgroup_mode == "v1":
        agents |= {Path(point) / f"paddock-{host.agent_id}" for point in read_hierarchy().roots}
    for agent in agents:
        (agent / C1).mkdir(parents=True)
    yield sorted(agent / C1 for agent in agents)
    for agent in agents:
        cgroup_files.remove(str(agent))


def running_in(*directories: Path) -> subprocess.Popen[bytes]:
    """Started by its place: a process that has joined these cgroups when this returns."""
    enter = "; ".join(f"echo 0 > {directory}/cgroup.procs" for directory in directories)
    process = subprocess.Popen(["/bin/sh", "-c", f"{enter}; echo in; exec sleep 1000"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"in\n"
    return process


def joinable(places: list[Path]) -> list[Path]:
    """A new cpuset lets nobody in, before it is told of CPUs."""
    return [place for place in places if "cpuset" not in place.parts]


def test_of_an_unknown_container_everything_goes(host: HostFacts, places: list[Path]) -> None:
    for place in places:
        (place / ENGINE_ID).mkdir()
    with running_in(*(place / ENGINE_ID for place in joinable(places))) as process:
        assert engine_cgroups.clear(host, C1, is_known=False)
        assert process.wait(STOP_TIMEOUT_S) == -9
    assert [place for place in places if place.exists()] == []
    assert engine_cgroups.clear(host, C1, is_known=False), "of what is gone nothing is left"


def test_of_a_known_one_what_its_shim_has_made_stays(host: HostFacts, places: list[Path]) -> None:
    for place in places:
        (place / ENGINE_ID).mkdir()
    assert engine_cgroups.clear(host, C1, is_known=True)
    used = {Path(root) / C1 for _, root in host.cgroup_roots}
    assert {place for place in places if place.exists()} == used
    assert not any((place / ENGINE_ID).exists() for place in used)


def test_what_no_engine_has_made_is_left_alone(host: HostFacts, places: list[Path]) -> None:
    """A native container's process, and what it has made itself."""
    for place in places:
        (place / "its-own").mkdir()
    with running_in(*(place / "its-own" for place in joinable(places))) as process:
        assert not engine_cgroups.clear(host, C1, is_known=False)
        assert process.poll() is None
        process.kill()
    assert all((place / "its-own").exists() for place in places)


def test_who_has_a_directory_where_only_engines_make_any_is_found(host: HostFacts, places: list[Path]) -> None:
    used = {Path(root) / C1 for _, root in host.cgroup_roots}
    assert engine_cgroups.strangers(host) == ({C1} if set(places) - used else set())
    for place in set(places) - used:
        place.rmdir()
    assert engine_cgroups.strangers(host) == set()
