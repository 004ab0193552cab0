"""What a Docker task says to the engine, protobuf ↔ model."""

from __future__ import annotations

from collections.abc import Sequence

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
from paddock.model.docker_parts import check_docker
from paddock.model.errors import InvalidRequest, Unsupported
from paddock.model.image import parse_image
from paddock.wire.convert import bounds
from paddock.wire.v1 import tasks_pb2 as pb

DOCKER_LIMIT_BYTES = 64 * 1024
"""All of it together: it is remembered after the end, and shown to whoever looks."""

_NETWORKS_FROM_WIRE = {
    pb.DockerInfo.NETWORK_UNSPECIFIED: DockerNetwork.HOST,
    pb.DockerInfo.NETWORK_HOST: DockerNetwork.HOST,
    pb.DockerInfo.NETWORK_BRIDGE: DockerNetwork.BRIDGE,
    pb.DockerInfo.NETWORK_NONE: DockerNetwork.NONE,
    pb.DockerInfo.NETWORK_USER: DockerNetwork.USER,
}
_NETWORKS_TO_WIRE = {network: number for number, network in _NETWORKS_FROM_WIRE.items()}
_PROTOCOLS = {protocol.value: protocol for protocol in PortProtocol} | {"": PortProtocol.TCP}
_ALL_PERMISSIONS = "rwm"


def docker_info_from_wire(message: pb.DockerInfo, field: str = "docker") -> DockerInfo:
    """Each part is checked by itself; whether they go together is a matter of the whole task."""
    if message.ByteSize() > DOCKER_LIMIT_BYTES:
        raise InvalidRequest(field, f"{message.ByteSize()} bytes", f"use at most {DOCKER_LIMIT_BYTES} together")
    if message.network not in _NETWORKS_FROM_WIRE:
        names = ", ".join(f"NETWORK_{network.name}" for network in DockerNetwork)
        raise Unsupported(f"{field}.network = {message.network}", f"use one of {names}")
    docker = DockerInfo(
        image=parse_image(message.image, f"{field}.image"),
        force_pull=message.force_pull,
        network=_NETWORKS_FROM_WIRE[message.network],
        network_name=message.network_name,
        port_mappings=_mappings_from_wire(message.port_mappings, f"{field}.port_mappings"),
        entrypoint=_entrypoint_from_wire(message, f"{field}.entrypoint"),
        image_user=message.image_user,
        privileged=message.privileged,
        read_only_root=message.read_only_root,
        tmpfs=tuple(
            Tmpfs(path=each.path, size_bytes=each.size_bytes if each.HasField("size_bytes") else None)
            for each in message.tmpfs
        ),
        devices=tuple(_device_from_wire(each) for each in message.devices),
        volumes=tuple(_volume_from_wire(each) for each in message.volumes),
        dns=tuple(message.dns),
        dns_search=tuple(message.dns_search),
        dns_options=tuple(message.dns_options),
        extra_hosts=tuple(ExtraHost(hostname=each.hostname, address=each.address) for each in message.extra_hosts),
        hostname=message.hostname,
        init=message.init if message.HasField("init") else True,
        shm_size_bytes=message.shm_size_bytes if message.HasField("shm_size_bytes") else None,
        parameters=tuple(sorted(message.parameters.items())),
    )
    check_docker(docker, field)
    return docker


def _mappings_from_wire(messages: Sequence[pb.DockerInfo.PortMapping], field: str) -> tuple[PortMapping, ...]:
    for index, message in enumerate(messages):
        if message.protocol not in _PROTOCOLS:
            raise InvalidRequest(f"{field}[{index}].protocol", message.protocol, "use tcp, udp or sctp")
    return tuple(
        PortMapping(
            host_port=message.host_port,
            container_port=message.container_port,
            protocol=_PROTOCOLS[message.protocol],
        )
        for message in messages
    )


def _entrypoint_from_wire(message: pb.DockerInfo, field: str) -> tuple[str, ...] | None:
    if not message.entrypoint and not message.entrypoint_given:
        return None
    return tuple(
        bounds.text(word, f"{field}[{index}]", DOCKER_LIMIT_BYTES) for index, word in enumerate(message.entrypoint)
    )


def _device_from_wire(message: pb.DockerInfo.Device) -> DeviceMapping:
    return DeviceMapping(
        host_path=message.host_path,
        container_path=message.container_path or message.host_path,
        permissions=message.permissions or _ALL_PERMISSIONS,
    )


def _volume_from_wire(message: pb.DockerInfo.Volume) -> DockerVolume:
    return DockerVolume(
        host_path=message.host_path,
        name=message.name,
        container_path=message.container_path,
        read_only=message.read_only,
    )


def docker_info_to_wire(docker: DockerInfo) -> pb.DockerInfo:
    """What docker_info_from_wire turns back into the same. The image in its shortest spelling."""
    return pb.DockerInfo(
        image=str(docker.image),
        force_pull=docker.force_pull,
        network=_NETWORKS_TO_WIRE[docker.network],
        network_name=docker.network_name,
        port_mappings=[
            pb.DockerInfo.PortMapping(
                host_port=each.host_port, container_port=each.container_port, protocol=each.protocol.value
            )
            for each in docker.port_mappings
        ],
        entrypoint=docker.entrypoint or (),
        entrypoint_given=docker.entrypoint is not None,
        image_user=docker.image_user,
        privileged=docker.privileged,
        read_only_root=docker.read_only_root,
        tmpfs=[pb.DockerInfo.Tmpfs(path=each.path, size_bytes=each.size_bytes) for each in docker.tmpfs],
        devices=[
            pb.DockerInfo.Device(
                host_path=each.host_path, container_path=each.container_path, permissions=each.permissions
            )
            for each in docker.devices
        ],
        volumes=[_volume_to_wire(each) for each in docker.volumes],
        dns=docker.dns,
        dns_search=docker.dns_search,
        dns_options=docker.dns_options,
        extra_hosts=[pb.DockerInfo.ExtraHost(hostname=e.hostname, address=e.address) for e in docker.extra_hosts],
        hostname=docker.hostname,
        init=docker.init,
        shm_size_bytes=docker.shm_size_bytes,
        parameters=dict(docker.parameters),
    )


def _volume_to_wire(volume: DockerVolume) -> pb.DockerInfo.Volume:
    return pb.DockerInfo.Volume(
        host_path=volume.host_path,
        name=volume.name,
        container_path=volume.container_path,
        read_only=volume.read_only,
    )
