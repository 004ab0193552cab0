"""A Docker task as a whole: what goes together, what the engine is given, and which further parameters there are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.model.docker import (
    DeviceMapping,
    DockerInfo,
    DockerNetwork,
    DockerVolume,
    ExtraHost,
    PortMapping,
    PortProtocol,
    Tmpfs,
)
from paddock.model.docker_parameters import ORDINARY, PARAMETERS, check_parameter
from paddock.model.docker_task import check_container, engine_command
from paddock.model.errors import InvalidRequest
from paddock.model.image import parse_image
from paddock.model.resource_text import parse_resources
from paddock.model.task import CommandInfo, ContainerInfo, ContainerType

IMAGE = parse_image("busybox")
PLAIN = DockerInfo(image=IMAGE)
BRIDGED = DockerInfo(image=IMAGE, network=DockerNetwork.BRIDGE)
RESOURCES = parse_resources("cpus:1;ports:[31000-31001,31005-31005]")
COMMAND = CommandInfo()


def docker_container(docker: DockerInfo | None) -> ContainerInfo:
    return ContainerInfo(type=ContainerType.DOCKER, docker=docker)


def mapped(*ports: tuple[int, int], network: DockerNetwork = DockerNetwork.BRIDGE, **more: Any) -> DockerInfo:
    mappings = tuple(PortMapping(host_port=host, container_port=inner) for host, inner in ports)
    return DockerInfo(image=IMAGE, network=network, port_mappings=mappings, **more)


@pytest.mark.parametrize(
    ("docker", "command", "field", "words"),
    [
        (None, COMMAND, "image", "name the image"),
        (replace(PLAIN, network=DockerNetwork.USER), COMMAND, "network_name", "name the network"),
        (replace(BRIDGED, network_name="blue"), COMMAND, "network_name", "'blue'.*USER"),
        (mapped((31_000, 80), network=DockerNetwork.HOST), COMMAND, "port_mappings", "'31000:80/tcp'.*network HOST"),
        (mapped((31_000, 80), network=DockerNetwork.NONE), COMMAND, "port_mappings", "network NONE.*BRIDGE or USER"),
        (mapped((31_000, 80), (31_000, 81)), COMMAND, "port_mappings[1].host_port", "31000.*for tcp already"),
        (mapped((31_000, 80), (31_002, 81)), COMMAND, "port_mappings[1].host_port", "31002.*offer's ports"),
        (replace(PLAIN, hostname="a"), COMMAND, "hostname", "'a'.*HOST"),
        (replace(BRIDGED, parameters=(("ip", "10.0.0.1"),)), COMMAND, "parameters[ip]", "'10.0.0.1'.*USER"),
        (
            replace(PLAIN, tmpfs=(Tmpfs(path="/a"),), volumes=(DockerVolume(container_path="/a", name="ab"),)),
            COMMAND,
            "tmpfs[0].path",
            "'/a'.*volumes.0..container_path is there already",
        ),
        (
            replace(PLAIN, devices=(DeviceMapping(host_path="/dev/a", container_path="/dev/x"),) * 2),
            COMMAND,
            "devices[1].container_path",
            "'/dev/x'.*once",
        ),
        (
            replace(PLAIN, extra_hosts=(ExtraHost(hostname="a", address="::1"),) * 2),
            COMMAND,
            "extra_hosts[1].hostname",
            "'a'.*once",
        ),
        (replace(PLAIN, entrypoint=("a",)), CommandInfo(shell=True, value="x"), "entrypoint", "'a'.*/bin/sh"),
        (replace(PLAIN, entrypoint=("", "a")), COMMAND, "entrypoint", "empty list"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(
    docker: DockerInfo | None, command: CommandInfo, field: str, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        check_container(docker_container(docker), command, RESOURCES, "task.")
    assert refused.value.field == f"task.container.docker.{field}"


@pytest.mark.parametrize(
    ("docker", "command", "field"),
    [
        (replace(PLAIN, entrypoint=()), COMMAND, "command.arguments"),
        (replace(PLAIN, entrypoint=()), CommandInfo(arguments=("", "x")), "command.arguments"),
        (PLAIN, CommandInfo(working_directory="a"), "command.working_directory"),
        (PLAIN, CommandInfo(working_directory="/a/../b"), "command.working_directory"),
    ],
)
def test_a_command_that_no_engine_could_run_is_refused(docker: DockerInfo, command: CommandInfo, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_container(docker_container(docker), command, RESOURCES)
    assert refused.value.field == field


def test_what_goes_together_is_accepted() -> None:
    dns = tuple(
        PortMapping(host_port=31_000, container_port=53, protocol=protocol)
        for protocol in (PortProtocol.TCP, PortProtocol.UDP)
    )
    docker = mapped((31_005, 80), (31_001, 80), network=DockerNetwork.USER, network_name="blue", hostname="a.b")
    docker = replace(docker, port_mappings=(*docker.port_mappings, *dns), parameters=(("network-alias", "x"),))
    check_container(docker_container(docker), CommandInfo(working_directory="/srv"), RESOURCES)
    check_container(docker_container(PLAIN), CommandInfo(shell=True, value="x"), parse_resources("cpus:1"))


def test_an_image_in_a_native_container_is_refused() -> None:
    check_container(ContainerInfo(), CommandInfo(arguments=("true",)), RESOURCES)
    with pytest.raises(InvalidRequest, match=r"container.docker: 'busybox'.*DOCKER"):
        check_container(ContainerInfo(docker=PLAIN), COMMAND, RESOURCES)


@pytest.mark.parametrize(
    ("entrypoint", "command", "given"),
    [
        (None, COMMAND, (None, None)),
        (None, CommandInfo(arguments=("a", "b")), (None, ("a", "b"))),
        (None, CommandInfo(shell=True, value="a b"), (("/bin/sh", "-c"), ("a b",))),
        (("x", "y"), COMMAND, (("x", "y"), ())),
        (("x",), CommandInfo(arguments=("a",)), (("x",), ("a",))),
        ((), CommandInfo(arguments=("a",)), ((), ("a",))),
    ],
)
def test_entry_point_and_command_are_as_docker_run_has_them(
    entrypoint: tuple[str, ...] | None, command: CommandInfo, given: object
) -> None:
    assert engine_command(replace(PLAIN, entrypoint=entrypoint), command) == given


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("cpuset-cpu", "did you mean cpuset-cpus?"),
        ("--sysctls", "did you mean sysctl?"),
        ("cap-add", "linux.bounding_capabilities"),
        ("--shm_size", "say it with shm_size_bytes"),
        ("x" * 10_000, "there are blkio-weight, "),
        ("", "there are blkio-weight, "),
    ],
)
def test_an_unknown_parameter_is_named_with_what_is_nearest(key: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        check_parameter(key, "1", "parameters")
    assert refused.value.field == "parameters"


GOOD = {
    "blkio-weight": ["10", "999", "1000"],
    "cpuset-cpus": ["0", "0-3,5"],
    "cpuset-mems": ["0,1"],
    "domainname": ["a.b"],
    "group-add": ["27,audio"],
    "ip": ["172.18.0.2", "255.255.255.255"],
    "ipc": ["none", "private", "shareable"],
    "memory-swappiness": ["0", "60", "100"],
    "network-alias": ["db,db2"],
    "oom-score-adj": ["0", "1000"],
    "runtime": ["runc"],
    "security-opt": ["apparmor=unconfined,seccomp=/etc/x.json"],
    "storage-opt": ["size=10G"],
    "sysctl": ["net.core.somaxconn=512,kernel.shmmax=1", "net.ipv4.ip_local_port_range=1024 65000"],
    "userns": ["host"],
    "uts": ["host"],
}
BAD = {
    "blkio-weight": ["9", "1001", "010"],
    "cpuset-cpus": ["", "0-", "a"],
    "cpuset-mems": [","],
    "domainname": ["-a"],
    "group-add": ["a,,b"],
    "ip": ["1.2.3", "256.1.1.1", "::1"],
    "ipc": ["host", "container:x"],
    "memory-swappiness": ["101", "-1"],
    "network-alias": ["a b"],
    "oom-score-adj": ["-1", "1001"],
    "runtime": ["/bin/sh"],
    "security-opt": ["no-new-privileges"],
    "storage-opt": ["10G"],
    "sysctl": ["kernel.core_pattern=|/x", "vm.swappiness=1", "net.core.somaxconn"],
    "userns": ["x"],
    "uts": ["private"],
}


def test_each_parameter_takes_what_it_says_and_nothing_else() -> None:
    keys = [parameter.key for parameter in PARAMETERS]
    assert keys == sorted(GOOD) == sorted(BAD)
    for key in keys:
        for value in GOOD[key]:
            check_parameter(key, value, "p")
        for value in (*BAD[key], GOOD[key][0] + "\n", GOOD[key][0] + "\0", "\udcff", "x" * 5_000):
            with pytest.raises(InvalidRequest, match=rf"^p\[{key}\]: .* write "):
                check_parameter(key, value, "p")


def test_what_reaches_beyond_the_task_is_not_ordinary() -> None:
    assert set(GOOD) - set(ORDINARY) == {"group-add", "runtime", "security-opt", "userns", "uts"}


@given(st.sampled_from([parameter.key for parameter in PARAMETERS]) | st.text(max_size=20), st.text(max_size=40))
@settings(deadline=None)
def test_any_parameter_is_taken_or_refused_by_name(key: str, value: str) -> None:
    try:
        check_parameter(key, value, "p")
    except InvalidRequest:
        return  # anything else is a defect
    assert value.isprintable()


def test_the_page_lists_each_parameter_as_it_is() -> None:
    page = (Path(__file__).parents[3] / "docs" / "docker-tasks.md").read_text("utf-8")
    for parameter in PARAMETERS:
        assert f"| `{parameter.key}` | {parameter.accepts} | {'yes' if parameter.ordinary else 'no'} |" in page
