"""How a task is to be contained, protobuf ↔ model: its type, rlimits, privileges, and what it says to an engine."""

from __future__ import annotations

import re
from collections.abc import Sequence

from paddock.model.errors import InvalidRequest, Unsupported
from paddock.model.task import RLIMIT_NAMES, ContainerInfo, ContainerType, LinuxInfo, Rlimit
from paddock.wire.convert import bounds
from paddock.wire.convert.docker import docker_info_from_wire, docker_info_to_wire
from paddock.wire.convert.remembered import remembered
from paddock.wire.v1 import tasks_pb2 as pb

_CAPABILITY = re.compile(r"CAP_[A-Z][A-Z0-9_]{0,30}", re.ASCII)
_TYPES_FROM_WIRE = {
    pb.CONTAINER_TYPE_UNSPECIFIED: ContainerType.NATIVE,
    pb.CONTAINER_TYPE_NATIVE: ContainerType.NATIVE,
    pb.CONTAINER_TYPE_DOCKER: ContainerType.DOCKER,
}
_TYPES_TO_WIRE = {ContainerType.NATIVE: pb.CONTAINER_TYPE_NATIVE, ContainerType.DOCKER: pb.CONTAINER_TYPE_DOCKER}


@remembered
def container_info_from_wire(message: pb.ContainerInfo, field: str = "container") -> ContainerInfo:
    """Docker is let through: whether an agent runs it is the agent's to say. An image with no type is of type DOCKER."""
    if message.type not in _TYPES_FROM_WIRE:
        raise Unsupported(f"{field}.type = {message.type}", "use CONTAINER_TYPE_NATIVE or CONTAINER_TYPE_DOCKER")
    bounds.count(message.rlimits, f"{field}.rlimits", len(RLIMIT_NAMES))
    bounds.unique([rlimit.resource for rlimit in message.rlimits], f"{field}.rlimits")
    docker = docker_info_from_wire(message.docker, f"{field}.docker") if message.HasField("docker") else None
    return ContainerInfo(
        type=ContainerType.DOCKER if docker and not message.type else _TYPES_FROM_WIRE[message.type],
        rlimits=tuple(
            _rlimit_from_wire(rlimit, f"{field}.rlimits[{index}]") for index, rlimit in enumerate(message.rlimits)
        ),
        linux=_linux_from_wire(message.linux, f"{field}.linux"),
        docker=docker,
    )


def container_info_to_wire(container: ContainerInfo) -> pb.ContainerInfo:
    """The type always spelled out."""
    return pb.ContainerInfo(
        type=_TYPES_TO_WIRE[container.type],
        rlimits=[pb.Rlimit(resource=limit.resource, soft=limit.soft, hard=limit.hard) for limit in container.rlimits],
        linux=_linux_to_wire(container.linux),
        docker=None if container.docker is None else docker_info_to_wire(container.docker),
    )


def container_type_to_wire(container_type: ContainerType) -> pb.ContainerType.ValueType:
    """The wire's number."""
    return _TYPES_TO_WIRE[container_type]


def _rlimit_from_wire(message: pb.Rlimit, field: str) -> Rlimit:
    if message.resource not in RLIMIT_NAMES:
        raise InvalidRequest(f"{field}.resource", message.resource, f"use one of {' '.join(sorted(RLIMIT_NAMES))}")
    soft = message.soft if message.HasField("soft") else None
    hard = message.hard if message.HasField("hard") else None
    if soft is None and hard is None:
        return Rlimit(resource=message.resource)
    if soft is None or hard is None or soft > hard:
        raise InvalidRequest(
            field, f"soft {soft}, hard {hard}", "give both, soft not above hard, or neither for unlimited"
        )
    return Rlimit(resource=message.resource, soft=soft, hard=hard)


def _linux_from_wire(message: pb.LinuxInfo, field: str) -> LinuxInfo:
    bounding = _capabilities(
        message.bounding_capabilities, f"{field}.bounding_capabilities", given=message.capabilities_given
    )
    effective = _capabilities(
        message.effective_capabilities, f"{field}.effective_capabilities", given=message.capabilities_given
    )
    if bounding is not None and effective is not None and not set(effective) <= set(bounding):
        extra = sorted(set(effective) - set(bounding))
        raise InvalidRequest(f"{field}.effective_capabilities", extra, "name them among bounding_capabilities too")
    return LinuxInfo(
        bounding_capabilities=bounding,
        effective_capabilities=effective,
        no_new_privileges=message.no_new_privileges if message.HasField("no_new_privileges") else None,
        share_host_pid_namespace=message.share_host_pid_namespace,
    )


def _linux_to_wire(linux: LinuxInfo) -> pb.LinuxInfo | None:
    if linux == LinuxInfo():
        return None
    bounding, effective = linux.bounding_capabilities, linux.effective_capabilities
    given = bounding is not None and effective is not None
    if not given and () in {bounding, effective}:
        raise ValueError("an empty set of capabilities can be said only together with the other set")
    return pb.LinuxInfo(
        bounding_capabilities=bounding or (),
        effective_capabilities=effective or (),
        capabilities_given=given,
        no_new_privileges=linux.no_new_privileges,
        share_host_pid_namespace=linux.share_host_pid_namespace,
    )


def _capabilities(names: Sequence[str], field: str, *, given: bool) -> tuple[str, ...] | None:
    if not names and not given:
        return None
    for index, name in enumerate(names):
        if not _CAPABILITY.fullmatch(name):
            raise InvalidRequest(
                f"{field}[{index}]", name, "use the kernel's names: CAP_CHOWN, CAP_NET_BIND_SERVICE, …"
            )
    bounds.unique(names, field)
    return tuple(names)
