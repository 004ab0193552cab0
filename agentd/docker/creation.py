"""A container's configuration and its isolators' merged plan as the engine's order: the body of POST /containers/create. Pure.

What isolators plan for a native container holds here too, carried out by somebody else: limits (also in our own cgroup above
the engine's, so that what is in force does not depend on the engine), environment, rlimits, capabilities, no_new_privs. Mounts
and namespaces are the engine's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentd.docker import parameters
from agentd.docker.parameters import Body, Json
from paddock.model.container import ContainerConfig, UserIdentity
from paddock.model.docker import DockerInfo, DockerNetwork, PortMapping
from paddock.model.docker_task import engine_command
from paddock.model.ids import AgentId, ContainerId
from paddock.model.launch_plan import CgroupWrite, LaunchPlan
from paddock.model.task import ResourceLimits

AGENT_LABEL = "paddock.agent-id"
CONTAINER_LABEL = "paddock.container-id"
FRAMEWORK_LABEL = "paddock.framework-id"
TASK_LABEL = "paddock.task-id"

_OF_THE_IMAGE = frozenset({"PATH", "HOME", "USER", "LOGNAME"})
"""What a native container is given, and an image brings with it."""

_SANDBOX_NAMES = frozenset({"PADDOCK_SANDBOX", "MESOS_SANDBOX"})
_LOG_COPY: Body = {"Type": "json-file", "Config": {"max-size": "64m", "max-file": "3"}}
"""The engine's own copy of the output, from which the sandbox' logs are written: room for a stand-in that comes late."""

V1_QUOTA = "cpu.cfs_quota_us"
_NUMBERS = {
    "memory.limit_in_bytes": "Memory",
    "memory.memsw.limit_in_bytes": "MemorySwap",
    "memory.soft_limit_in_bytes": "MemoryReservation",
    "memory.max": "Memory",
    "memory.low": "MemoryReservation",
    "cpu.shares": "CpuShares",
    V1_QUOTA: "CpuQuota",
    "cpu.cfs_period_us": "CpuPeriod",
    "pids.max": "PidsLimit",
}
_NO_LIMIT = -1
_UNLIMITED = frozenset({"max", "-1"})
NO_QUOTA: Body = {"CpuQuota": _NO_LIMIT}
_NO_SWAP_LIMIT_BYTES = 2**63 - 4096
_NO_LIMITS: Body = {**NO_QUOTA, "PidsLimit": _NO_LIMIT, "Memory": 2**62, "MemorySwap": _NO_SWAP_LIMIT_BYTES}
"""Of memory an engine refuses -1, and of swap it notes it and writes nothing: these are more than any machine has. Swap's is
twice as much: v2's is what it has beyond memory's.
"""
# runc's own formula for v2's weight, the other way round.
_SHARES_RANGE, _WEIGHT_RANGE = 262_142, 9_999


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`cgroup_parent`: of the engine's cgroup, as the kernel names it from the hierarchies' root; `sandbox_at`: in there."""

    cgroup_parent: str
    sandbox_at: str


def name_of(agent_id: AgentId, container_id: ContainerId) -> str:
    """The engine's name for it."""
    return f"paddock-{agent_id}-{container_id}"


def body(config: ContainerConfig, docker: DockerInfo, plan: LaunchPlan, place: Place) -> Body:
    """Complete, with nothing left to the engine's defaults that matters for what a container may do."""
    command = config.command
    found: Body = {
        "Image": docker.image.canonical,
        "Env": [f"{name}={value}" for name, value in _environment(config, plan, place).items()],
        "User": "" if docker.image_user else user_of(config.user),
        "Labels": _labels(config),
        "Hostname": docker.hostname,
        "StopSignal": str(config.kill_policy.signal),
        "Tty": False,
        "OpenStdin": False,
        "HostConfig": _host_config(config, docker, plan, place),
    }
    entrypoint, arguments = engine_command(docker, command)
    if entrypoint is not None:
        # An empty list would mean the image's to the engine.
        found["Entrypoint"] = list(entrypoint) or [""]
    if arguments is not None:
        found["Cmd"] = list(arguments)
    if command.working_directory:
        found["WorkingDir"] = command.working_directory
    if docker.port_mappings:
        found["ExposedPorts"] = {_port(each): {} for each in docker.port_mappings}
    parameters.add(found, docker.parameters, network_of(docker))
    return found


def network_of(docker: DockerInfo) -> str:
    """The engine's name for it."""
    return docker.network_name if docker.network is DockerNetwork.USER else docker.network.value


def user_of(user: UserIdentity) -> str:
    """By numbers: the image has names of its own."""
    return f"{user.uid}:{user.gid}"


def limits(writes: Sequence[CgroupWrite], asked: ResourceLimits) -> Body:
    """What the engine is to write into its own cgroup, below ours. Files that it does not know are ours alone.

    `asked`: whether swap is to have no limit; for a new cgroup nothing is written then.
    """
    found: Body = {}
    for write in writes:
        key = _NUMBERS.get(write.file)
        if key is not None and write.value not in _UNLIMITED:
            found[key] = int(write.value)
        elif write.file == "cpu.weight":
            # Rounded up: runc rounds down, and is to come to the same weight.
            found["CpuShares"] = 2 - (1 - int(write.value)) * _SHARES_RANGE // _WEIGHT_RANGE
        elif write.file == "cpu.max":
            quota, _, period = write.value.partition(" ")
            if quota not in _UNLIMITED:
                found |= {"CpuQuota": int(quota), "CpuPeriod": int(period)}
    memory = found.get("Memory")
    if isinstance(memory, int):
        found.setdefault("MemorySwap", _NO_LIMIT if asked.swap_bytes == _NO_LIMIT else _with_swap(memory, writes))
    return found


def new_limits(writes: Sequence[CgroupWrite], asked: ResourceLimits) -> Body:
    """`limits` for a container that runs: there a field that is left out keeps what it was."""
    found = _NO_LIMITS | limits(writes, asked)
    if found["MemorySwap"] == _NO_LIMIT:
        found["MemorySwap"] = _NO_SWAP_LIMIT_BYTES
    return found


def _with_swap(memory_bytes: int, writes: Sequence[CgroupWrite]) -> int:
    """v2's limit is of swap alone, the engine's of both; -1 is no limit. Nothing said: none."""
    for write in writes:
        if write.file == "memory.swap.max":
            return -1 if write.value in _UNLIMITED else memory_bytes + int(write.value)
        if write.file == "memory.memsw.limit_in_bytes":
            return -1
    return memory_bytes


def _host_config(config: ContainerConfig, docker: DockerInfo, plan: LaunchPlan, place: Place) -> Body:
    capabilities = () if plan.capabilities is None else plan.capabilities.bounding
    found: Body = {
        "Mounts": [_bind(config.sandbox, place.sandbox_at, read_only=False), *_volumes(docker)],
        **limits(plan.writes, config.limits),
        "CgroupParent": place.cgroup_parent,
        "GroupAdd": [] if docker.image_user else [str(group) for group in config.user.groups],
        "Ulimits": [_ulimit(each.resource, each.soft, each.hard) for each in plan.rlimits],
        "SecurityOpt": ["no-new-privileges"] if plan.no_new_privileges else [],
        "Privileged": docker.privileged,
        "ReadonlyRootfs": docker.read_only_root,
        "Tmpfs": {each.path: _tmpfs(each.size_bytes) for each in docker.tmpfs},
        "Devices": [
            {
                "PathOnHost": each.host_path,
                "PathInContainer": each.container_path,
                "CgroupPermissions": each.permissions,
            }
            for each in docker.devices
        ],
        "NetworkMode": network_of(docker),
        "PortBindings": _bindings(docker),
        "Dns": list(docker.dns),
        "DnsSearch": list(docker.dns_search),
        "DnsOptions": list(docker.dns_options),
        "ExtraHosts": [f"{each.hostname}:{each.address}" for each in docker.extra_hosts],
        "Init": docker.init,
        "LogConfig": _LOG_COPY,
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
    }
    if plan.capabilities is not None and not docker.privileged:
        found |= {"CapDrop": ["ALL"], "CapAdd": [name.removeprefix("CAP_") for name in capabilities]}
    if config.container.linux.share_host_pid_namespace:
        found["PidMode"] = "host"
    if docker.shm_size_bytes is not None:
        found["ShmSize"] = docker.shm_size_bytes
    return found


def _port(mapping: PortMapping) -> str:
    return f"{mapping.container_port}/{mapping.protocol.value}"


def _bindings(docker: DockerInfo) -> Body:
    found: dict[str, list[Json]] = {}
    for each in docker.port_mappings:
        found.setdefault(_port(each), []).append({"HostPort": str(each.host_port)})
    return dict(found)


def _volumes(docker: DockerInfo) -> list[Json]:
    found: list[Json] = []
    for each in docker.volumes:
        if each.host_path:
            found.append(_bind(each.host_path, each.container_path, read_only=each.read_only))
        else:
            found.append(
                {"Type": "volume", "Source": each.name, "Target": each.container_path, "ReadOnly": each.read_only}
            )
    return found


def _bind(source: str, target: str, *, read_only: bool) -> Body:
    """A source that is not there is an error: the engine would otherwise make a directory of root's."""
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}


def _environment(config: ContainerConfig, plan: LaunchPlan, place: Place) -> dict[str, str]:
    planned = {name: value for name, value in plan.environment if name not in _OF_THE_IMAGE}
    planned |= {name: place.sandbox_at for name in _SANDBOX_NAMES if name in planned}
    return {**planned, **dict(config.command.environment)}


def _labels(config: ContainerConfig) -> Body:
    """The task's own, and whose it is: by these it is found again."""
    own = {
        AGENT_LABEL: config.agent_id,
        CONTAINER_LABEL: config.container_id,
        FRAMEWORK_LABEL: config.framework_id,
        TASK_LABEL: config.task_id,
    }
    return {**dict(config.labels), **{name: value for name, value in own.items() if value}}


def _ulimit(resource: str, soft: int | None, hard: int | None) -> Body:
    return {
        "Name": resource.removeprefix("RLMT_").lower(),
        "Soft": -1 if soft is None else soft,
        "Hard": -1 if hard is None else hard,
    }


def _tmpfs(size_bytes: int | None) -> str:
    return "" if size_bytes is None else f"size={size_bytes}"
