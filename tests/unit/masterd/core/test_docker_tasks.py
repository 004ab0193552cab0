"""Docker tasks in the master: passed on as they are, refused by field, and only to agents that run them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from masterd.core.effects import TellLaunch
from paddock.daemon.durable_codec import from_bytes, to_bytes
from paddock.model.docker import DockerInfo, DockerNetwork, PortMapping
from paddock.model.ids import AgentId
from paddock.model.image import parse_image
from paddock.model.task import CommandInfo, ContainerInfo, ContainerType, Reason, TaskInfo, TaskState
from paddock.wire import convert
from tests.unit.masterd.core.world import World, reported, task_info

RESOURCES = "cpus:4;mem:1024;ports:[31000-31009]"
BRIDGED = DockerInfo(
    image=parse_image("r.example:5000/a:1"),
    network=DockerNetwork.BRIDGE,
    port_mappings=(PortMapping(host_port=31_005, container_port=80),),
)


def docker_task(docker: DockerInfo | None, resources: str = "cpus:1;ports:[31005-31005]") -> TaskInfo:
    container = ContainerInfo(type=ContainerType.DOCKER, docker=docker)
    return replace(task_info("t1", "a1", resources), container=container, command=CommandInfo())


@pytest.mark.parametrize("containerizers", [(), ("docker",), ("native", "docker")])
def test_a_docker_task_is_passed_on_as_it_is(containerizers: tuple[str, ...]) -> None:
    world = World()
    agent = world.agent("a1", RESOURCES, containerizers=containerizers)
    framework = world.framework()
    (offer,) = world.offers(framework[2])
    assert offer.containerizers == containerizers
    world.accept(framework, [offer], docker_task(BRIDGED))
    ((task,),) = [launch.tasks for launch in world.heard(agent, TellLaunch)]
    assert task.container == ContainerInfo(type=ContainerType.DOCKER, docker=BRIDGED)
    assert convert.task_info_from_wire(convert.task_info_to_wire(task)) == task


@pytest.mark.parametrize(
    ("docker", "resources", "field", "words"),
    [
        (None, "cpus:1", "container.docker.image", "name the image"),
        (DockerInfo(image=parse_image("REG/a:1")), "cpus:1", "container.docker.image", "its part 'REG' is no name"),
        (BRIDGED, "cpus:1", "container.docker.port_mappings[0].host_port", "31005 .* not among the task's ports"),
        (BRIDGED, "cpus:1;ports:[31006-31006]", "container.docker.port_mappings[0].host_port", "31005"),
        (replace(BRIDGED, network=DockerNetwork.HOST), "cpus:1", "container.docker.port_mappings", "network HOST"),
        (replace(BRIDGED, network=DockerNetwork.USER), "cpus:1", "container.docker.network_name", "name the network"),
        (
            replace(BRIDGED, port_mappings=BRIDGED.port_mappings * 2),
            "cpus:1;ports:[31005-31005]",
            "container.docker.port_mappings[1].host_port",
            "mapped for tcp already",
        ),
    ],
)
def test_one_that_cannot_be_is_an_error_that_names_its_field_and_everything_comes_back(
    docker: DockerInfo | None, resources: str, field: str, words: str
) -> None:
    world = World()
    agent = world.agent("a1", RESOURCES, containerizers=("docker",))
    framework = world.framework()
    world.accept(framework, world.offers(framework[2]), docker_task(docker, resources), refuse_ms=0)
    (status,) = world.statuses(framework[2])
    assert (status.state, status.reason) == (TaskState.ERROR, Reason.TASK_INVALID)
    assert status.message.startswith(f"{field}: ")
    assert re.search(words, status.message)
    assert not world.heard(agent, TellLaunch)
    (offer,) = world.offers(framework[2])
    assert offer.resources.scalar_milli("cpus") == 4000


def test_an_agent_that_does_not_run_it_does_not_hear_of_it() -> None:
    world = World()
    agent = world.agent("a1", RESOURCES, containerizers=("native",))
    framework = world.framework()
    world.accept(framework, world.offers(framework[2]), docker_task(BRIDGED), refuse_ms=0)
    (status,) = world.statuses(framework[2])
    assert (status.state, status.reason) == (TaskState.ERROR, Reason.TASK_INVALID)
    assert "container.type: docker is not run by agent a1, which runs native" in status.message
    assert not world.heard(agent, TellLaunch)


def test_a_native_task_is_not_launched_where_only_docker_is() -> None:
    world = World()
    world.agent("a1", RESOURCES, containerizers=("docker",))
    framework = world.framework()
    world.accept(framework, world.offers(framework[2]), task_info("t1", "a1"))
    (status,) = world.statuses(framework[2])
    assert "container.type: native is not run by agent a1, which runs docker" in status.message


def test_what_it_says_survives_the_master_and_a_recording() -> None:
    """The master keeps no tasks: those that live come back with their agents."""
    world = World()
    framework = world.framework(failover_s=60)
    info = docker_task(BRIDGED)
    world.agent("a1", RESOURCES, tasks=(reported(framework, info),), containerizers=("docker",))
    (entry,) = world.state.agents[AgentId("a1")].tasks.values()
    assert entry.info.container == info.container
    written = to_bytes(info, TaskInfo)
    assert from_bytes(written, TaskInfo) == info
