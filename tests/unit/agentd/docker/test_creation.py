"""What the engine is asked for: all that isolators plan, and all that the task says."""

import json
from dataclasses import replace
from typing import Any

import pytest

from agentd.docker import creation, parameters
from paddock.model import docker_parameters
from paddock.model.container import ContainerConfig, UserIdentity
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
from paddock.model.ids import FrameworkId, TaskId
from paddock.model.image import parse_image
from paddock.model.launch_plan import Capabilities, CgroupWrite, LaunchPlan
from paddock.model.task import CommandInfo, ContainerInfo, ContainerType, KillPolicy, LinuxInfo, ResourceLimits, Rlimit
from tests.unit.agentd.core import made

USER = UserIdentity(name="u", uid=7, gid=8, groups=(8, 9), home="/home/u")
PLACE = creation.Place(cgroup_parent="/paddock-a1/c1", sandbox_at="/mnt/paddock/sandbox")
IMAGE = parse_image("busybox:1", "image")
DOCKER = DockerInfo(image=IMAGE)
PLAN = LaunchPlan(
    writes=(
        CgroupWrite(controller="memory", file="memory.limit_in_bytes", value="67108864"),
        CgroupWrite(controller="memory", file="memory.memsw.limit_in_bytes", value="67108864", optional=True),
        CgroupWrite(controller="cpu", file="cpu.shares", value="102"),
        CgroupWrite(controller="pids", file="pids.max", value="100"),
        CgroupWrite(controller="blkio", file="blkio.weight", value="5"),
    ),
    namespaces=("pid", "mnt"),
    environment=(
        ("PATH", "/host"),
        ("HOME", "/x"),
        ("PADDOCK_SANDBOX", "/host/s"),
        ("MESOS_TASK_ID", "t1"),
        ("A", "plan"),
    ),
    rlimits=(Rlimit(resource="RLMT_NOFILE", soft=10, hard=20), Rlimit(resource="RLMT_CORE")),
    capabilities=Capabilities(bounding=("CAP_CHOWN", "CAP_KILL"), effective=("CAP_KILL",)),
    no_new_privileges=True,
)


def config(docker: DockerInfo = DOCKER, **changes: Any) -> ContainerConfig:
    return replace(
        made.config("c1"),
        user=USER,
        command=CommandInfo(arguments=("run", "it"), environment=(("A", "task"),)),
        kill_policy=KillPolicy(signal=2, grace_period_ms=77),
        container=ContainerInfo(type=ContainerType.DOCKER, docker=docker),
        framework_id=FrameworkId("f1"),
        task_id=TaskId("t1"),
        labels=(("team", "a"), ("paddock.agent-id", "forged")),
        **changes,
    )


def body(docker: DockerInfo = DOCKER, plan: LaunchPlan = PLAN, **changes: Any) -> dict[str, Any]:
    found = creation.body(config(docker, **changes), docker, plan, PLACE)
    json.dumps(found)
    return found


def host(docker: DockerInfo = DOCKER, plan: LaunchPlan = PLAN) -> dict[str, Any]:
    found: dict[str, Any] = body(docker, plan)["HostConfig"]
    return found


def test_what_isolators_plan_the_engine_is_asked_for() -> None:
    found = host()
    limits = {key: found[key] for key in ("Memory", "MemorySwap", "CpuShares", "PidsLimit", "CgroupParent")}
    assert limits == {
        "Memory": 67_108_864,
        "MemorySwap": 67_108_864,
        "CpuShares": 102,
        "PidsLimit": 100,
        "CgroupParent": "/paddock-a1/c1",
    }
    assert (found["CapDrop"], found["CapAdd"]) == (["ALL"], ["CHOWN", "KILL"])
    assert found["SecurityOpt"] == ["no-new-privileges"]
    assert found["Ulimits"] == [{"Name": "nofile", "Soft": 10, "Hard": 20}, {"Name": "core", "Soft": -1, "Hard": -1}]
    assert not found["Privileged"]
    assert "PidMode" not in found


def test_the_environment_is_the_images_the_plans_and_the_tasks() -> None:
    assert body()["Env"] == ["PADDOCK_SANDBOX=/mnt/paddock/sandbox", "MESOS_TASK_ID=t1", "A=task"]


def test_whose_it_is_stands_in_name_and_labels_whatever_the_task_says() -> None:
    found = body()
    assert creation.name_of(config().agent_id, config().container_id) == "paddock-a1-c1"
    assert found["Labels"] == {
        "team": "a",
        "paddock.agent-id": "a1",
        "paddock.container-id": "c1",
        "paddock.framework-id": "f1",
        "paddock.task-id": "t1",
    }
    assert (found["User"], found["HostConfig"]["GroupAdd"], found["StopSignal"]) == ("7:8", ["8", "9"], "2")
    of_the_image = body(replace(DOCKER, image_user=True))
    assert (of_the_image["User"], of_the_image["HostConfig"]["GroupAdd"]) == ("", [])


@pytest.mark.parametrize(
    ("docker", "command", "expected"),
    [
        (DOCKER, CommandInfo(arguments=("a", "b")), (None, ["a", "b"])),
        (DOCKER, CommandInfo(), (None, None)),
        (DOCKER, CommandInfo(shell=True, value="echo $A"), (["/bin/sh", "-c"], ["echo $A"])),
        (replace(DOCKER, entrypoint=("/e", "x")), CommandInfo(arguments=("a",)), (["/e", "x"], ["a"])),
        (replace(DOCKER, entrypoint=("/e",)), CommandInfo(), (["/e"], [])),
        (replace(DOCKER, entrypoint=()), CommandInfo(arguments=("a",)), ([""], ["a"])),
    ],
)
def test_entry_point_and_command(docker: DockerInfo, command: CommandInfo, expected: tuple[object, object]) -> None:
    found = creation.body(replace(config(docker), command=command), docker, PLAN, PLACE)
    assert (found.get("Entrypoint"), found.get("Cmd")) == expected


def test_everything_that_a_task_may_say() -> None:
    docker = DockerInfo(
        image=parse_image("reg.example:5000/a/b@sha256:" + "0" * 64, "image"),
        network=DockerNetwork.USER,
        network_name="lan",
        port_mappings=(
            PortMapping(host_port=31_000, container_port=80),
            PortMapping(host_port=31_001, container_port=80),
            PortMapping(host_port=31_002, container_port=53, protocol=PortProtocol.UDP),
        ),
        read_only_root=True,
        tmpfs=(Tmpfs(path="/t"), Tmpfs(path="/u", size_bytes=4096)),
        devices=(DeviceMapping(host_path="/dev/null", container_path="/dev/x", permissions="r"),),
        volumes=(
            DockerVolume(container_path="/v", host_path="/srv", read_only=True),
            DockerVolume(container_path="/n", name="kept"),
        ),
        dns=("1.1.1.1",),
        dns_search=("example",),
        dns_options=("ndots:2",),
        extra_hosts=(ExtraHost(hostname="db", address="10.0.0.1"),),
        hostname="h",
        init=False,
        shm_size_bytes=1 << 20,
    )
    found = body(docker)
    host_config = found["HostConfig"]
    assert found["Image"] == "reg.example:5000/a/b@sha256:" + "0" * 64
    assert found["Hostname"] == "h"
    assert set(found["ExposedPorts"]) == {"80/tcp", "53/udp"}
    assert host_config["PortBindings"] == {
        "80/tcp": [{"HostPort": "31000"}, {"HostPort": "31001"}],
        "53/udp": [{"HostPort": "31002"}],
    }
    assert host_config["Mounts"] == [
        {"Type": "bind", "Source": config().sandbox, "Target": "/mnt/paddock/sandbox", "ReadOnly": False},
        {"Type": "bind", "Source": "/srv", "Target": "/v", "ReadOnly": True},
        {"Type": "volume", "Source": "kept", "Target": "/n", "ReadOnly": False},
    ]
    wanted = {
        "NetworkMode": "lan",
        "ReadonlyRootfs": True,
        "Tmpfs": {"/t": "", "/u": "size=4096"},
        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}],
        "Dns": ["1.1.1.1"],
        "DnsSearch": ["example"],
        "DnsOptions": ["ndots:2"],
        "ExtraHosts": ["db:10.0.0.1"],
        "Init": False,
        "ShmSize": 1 << 20,
    }
    assert {key: host_config[key] for key in wanted} == wanted


def test_privileged_is_the_engines_own_word_for_all_of_it() -> None:
    found = host(replace(DOCKER, privileged=True))
    assert found["Privileged"]
    assert "CapDrop" not in found


def test_the_hosts_processes_where_the_isolator_lets_it() -> None:
    docker = replace(config(), container=ContainerInfo(docker=DOCKER, linux=LinuxInfo(share_host_pid_namespace=True)))
    found: Any = creation.body(docker, DOCKER, PLAN, PLACE)["HostConfig"]
    assert found["PidMode"] == "host"


@pytest.mark.parametrize(
    ("writes", "expected"),
    [
        (
            [("memory.max", "1000"), ("memory.swap.max", "50"), ("cpu.weight", "1")],
            {"Memory": 1000, "MemorySwap": 1050, "CpuShares": 2},
        ),
        (
            [("memory.max", "1000"), ("memory.swap.max", "max"), ("cpu.weight", "10000")],
            {"Memory": 1000, "MemorySwap": -1, "CpuShares": 262_144},
        ),
        ([("memory.max", "max"), ("cpu.max", "max 100000"), ("pids.max", "max")], {}),
        (
            [("memory.max", "1000"), ("cpu.max", "25000 100000")],
            {"Memory": 1000, "MemorySwap": 1000, "CpuQuota": 25_000, "CpuPeriod": 100_000},
        ),
        (
            [("memory.limit_in_bytes", "1000"), ("memory.memsw.limit_in_bytes", "-1")],
            {"Memory": 1000, "MemorySwap": -1},
        ),
        ([("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "-1")], {"CpuPeriod": 100_000}),
        ([("memory.low", "7"), ("pids.max", "5")], {"MemoryReservation": 7, "PidsLimit": 5}),
    ],
)
def test_limits_of_both_cgroup_versions(writes: list[tuple[str, str]], expected: dict[str, int]) -> None:
    found = creation.limits(writes_of(writes), ResourceLimits())
    assert found == expected


@pytest.mark.parametrize(
    ("writes", "expected"),
    [
        ([], {"Memory": 2**62, "MemorySwap": 2**63 - 4096, "PidsLimit": -1, "CpuQuota": -1}),
        (
            [("memory.max", "1000"), ("memory.swap.max", "max"), ("pids.max", "max"), ("cpu.max", "7000 100000")],
            {"Memory": 1000, "MemorySwap": 2**63 - 4096, "PidsLimit": -1, "CpuQuota": 7000, "CpuPeriod": 100_000},
        ),
        (
            [("memory.limit_in_bytes", "1000"), ("cpu.shares", "5"), ("pids.max", "9")],
            {"Memory": 1000, "MemorySwap": 1000, "CpuShares": 5, "PidsLimit": 9, "CpuQuota": -1},
        ),
    ],
)
def test_of_a_running_container_what_is_not_limited_is_said(
    writes: list[tuple[str, str]], expected: dict[str, int]
) -> None:
    found = creation.new_limits(writes_of(writes), ResourceLimits())
    assert found == expected


def test_swap_has_no_limit_when_that_was_asked_for() -> None:
    """The plan writes nothing then, as when nothing was asked for."""
    writes, asked = writes_of([("memory.max", "1000")]), ResourceLimits(swap_bytes=-1)
    assert creation.limits(writes, asked) == {"Memory": 1000, "MemorySwap": -1}
    assert creation.new_limits(writes, asked)["MemorySwap"] == 2**63 - 4096


def writes_of(writes: list[tuple[str, str]]) -> list[CgroupWrite]:
    return [CgroupWrite(controller="x", file=file, value=value) for file, value in writes]


def test_each_weight_comes_back_as_itself_from_what_the_engine_makes_of_shares() -> None:
    """By runc's formula."""
    for weight in range(1, 10_001):
        found = creation.limits(writes_of([("cpu.weight", str(weight))]), ResourceLimits())["CpuShares"]
        assert isinstance(found, int)
        assert 1 + (found - 2) * 9999 // 262_142 == weight


def test_each_parameter_that_a_task_may_give_has_its_place() -> None:
    assert {each.key for each in docker_parameters.PARAMETERS} == parameters.KNOWN


def test_parameters_in_the_engines_words() -> None:
    docker = replace(
        DOCKER,
        network=DockerNetwork.USER,
        network_name="lan",
        parameters=(
            ("domainname", "example"),
            ("group-add", "audio,27"),
            ("ip", "10.0.0.2"),
            ("network-alias", "db,db2"),
            ("oom-score-adj", "5"),
            ("security-opt", "seccomp=unconfined"),
            ("sysctl", "net.core.somaxconn=512,kernel.shmmax=1"),
            ("uts", "host"),
        ),
    )
    found = body(docker)
    assert found["Domainname"] == "example"
    assert found["NetworkingConfig"] == {
        "EndpointsConfig": {"lan": {"IPAMConfig": {"IPv4Address": "10.0.0.2"}, "Aliases": ["db", "db2"]}}
    }
    wanted = {
        "GroupAdd": ["8", "9", "audio", "27"],
        "OomScoreAdj": 5,
        "SecurityOpt": ["no-new-privileges", "seccomp=unconfined"],
        "Sysctls": {"net.core.somaxconn": "512", "kernel.shmmax": "1"},
        "UTSMode": "host",
    }
    assert {key: found["HostConfig"][key] for key in wanted} == wanted
