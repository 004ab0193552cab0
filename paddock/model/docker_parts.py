"""What each part of a DockerInfo may be: for the wire's edge and for people's flags, each error under the caller's name."""

from __future__ import annotations

import re
from ipaddress import ip_address

from paddock.model.docker import PORT_LIMIT, DeviceMapping, DockerInfo, DockerVolume, ExtraHost, PortMapping
from paddock.model.docker_parameters import check_parameter
from paddock.model.errors import InvalidRequest

PATH_LIMIT_BYTES = 4_095
HOST_GATEWAY = "host-gateway"
"""The engine puts the host's address on its bridge in its place."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}", re.ASCII)
_VOLUME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,254}", re.ASCII)
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_HOSTNAME_LIMIT_BYTES = 63
"""The kernel's."""

_DOMAIN_LIMIT_BYTES = 253
_DNS_OPTION = re.compile(r"[a-z0-9-]{1,64}(?::[0-9]{1,5})?", re.ASCII)
_ENGINE_NETWORKS = frozenset({"bridge", "default", "host", "none"})


def check_docker(docker: DockerInfo, field: str) -> None:
    """Every part by itself. Raises InvalidRequest naming the first that is wrong."""
    if docker.network_name:
        check_network_name(docker.network_name, f"{field}.network_name")
    for index, mapping in enumerate(docker.port_mappings):
        check_mapping(mapping, f"{field}.port_mappings[{index}]")
    for index, tmpfs in enumerate(docker.tmpfs):
        check_container_path(tmpfs.path, f"{field}.tmpfs[{index}].path")
        check_size(tmpfs.size_bytes, f"{field}.tmpfs[{index}].size_bytes")
    for index, device in enumerate(docker.devices):
        check_device(device, f"{field}.devices[{index}]")
    for index, volume in enumerate(docker.volumes):
        check_volume(volume, f"{field}.volumes[{index}]")
    _check_names(docker, field)
    check_size(docker.shm_size_bytes, f"{field}.shm_size_bytes")
    for key, value in docker.parameters:
        check_parameter(key, value, f"{field}.parameters")


def _check_names(docker: DockerInfo, field: str) -> None:
    for index, address in enumerate(docker.dns):
        check_address(address, f"{field}.dns[{index}]")
    for index, domain in enumerate(docker.dns_search):
        check_domain(domain, f"{field}.dns_search[{index}]")
    for index, option in enumerate(docker.dns_options):
        check_dns_option(option, f"{field}.dns_options[{index}]")
    for index, host in enumerate(docker.extra_hosts):
        check_extra_host(host, f"{field}.extra_hosts[{index}]")
    if docker.hostname:
        check_hostname(docker.hostname, f"{field}.hostname", _HOSTNAME_LIMIT_BYTES)


def check_network_name(name: str, field: str) -> None:
    """Of a network that an operator made; the engine's own have words of their own."""
    if name in _ENGINE_NETWORKS:
        raise InvalidRequest(field, name, "this one is the engine's own: say it with network HOST, BRIDGE or NONE")
    if not _NAME.fullmatch(name):
        raise InvalidRequest(field, name, "use 1 to 255 of A-Z a-z 0-9 _ . -, beginning with a letter or digit")


def check_mapping(mapping: PortMapping, field: str) -> None:
    """Both ports."""
    check_port(mapping.host_port, f"{field}.host_port")
    check_port(mapping.container_port, f"{field}.container_port")


def check_port(port: int, field: str) -> None:
    """0 would be the engine's choice, and so nobody's resource."""
    if not 1 <= port <= PORT_LIMIT:
        raise InvalidRequest(field, port, f"use a port, 1 to {PORT_LIMIT}")


def check_container_path(path: str, field: str) -> None:
    """Where something is put in the container: anywhere but over its whole root."""
    if path == "/":
        raise InvalidRequest(field, path, "this would hide the image: name a directory in it")
    _check_path(path, field, "in the container")


def check_host_path(path: str, field: str) -> None:
    """Of the agent's host."""
    if path != "/":
        _check_path(path, field, "of the agent's host")


def _check_path(path: str, field: str, whose: str) -> None:
    if not path.startswith("/"):
        raise InvalidRequest(field, path, f"use an absolute path {whose}")
    if not path.isprintable() or len(path.encode()) > PATH_LIMIT_BYTES:
        raise InvalidRequest(field, path, f"use at most {PATH_LIMIT_BYTES} bytes that can be printed")
    if any(part in {"", ".", ".."} for part in path[1:].split("/")):
        raise InvalidRequest(field, path, "leave out '.', '..', doubled slashes and a slash at the end")


def check_size(size_bytes: int | None, field: str) -> None:
    """None: not asked."""
    if size_bytes is not None and not 1 <= size_bytes < 2**63:
        raise InvalidRequest(field, size_bytes, f"use 1 to {2**63 - 1} bytes, or leave it out")


def check_device(device: DeviceMapping, field: str) -> None:
    """Of the host, and where it is in the container."""
    check_host_path(device.host_path, f"{field}.host_path")
    check_container_path(device.container_path, f"{field}.container_path")
    asked = device.permissions
    if not asked or not set(asked) <= set("rwm") or len(set(asked)) < len(asked):
        raise InvalidRequest(f"{field}.permissions", asked, "use r (read), w (write) and m (make), each at most once")


def check_volume(volume: DockerVolume, field: str) -> None:
    """One source, and its place."""
    if bool(volume.host_path) == bool(volume.name):
        value = f"host_path {volume.host_path!r}, name {volume.name!r}"
        raise InvalidRequest(field, value, "give host_path, or the name of a volume of the engine's, and not both")
    if volume.host_path:
        check_host_path(volume.host_path, f"{field}.host_path")
    elif not _VOLUME_NAME.fullmatch(volume.name):
        remedy = "use 2 to 255 of A-Z a-z 0-9 _ . -, beginning with a letter or digit"
        raise InvalidRequest(f"{field}.name", volume.name, remedy)
    check_container_path(volume.container_path, f"{field}.container_path")


def check_address(address: str, field: str) -> None:
    """IPv4 or IPv6, without a zone."""
    try:
        ip_address(address)
    except ValueError:
        raise InvalidRequest(field, address, "use an IPv4 or IPv6 address") from None
    if "%" in address:
        raise InvalidRequest(field, address, "leave out the zone: it is the host's")


def check_hostname(name: str, field: str, limit_bytes: int = _DOMAIN_LIMIT_BYTES) -> None:
    """Letters, digits and dashes, dots between labels."""
    if not _HOSTNAME.fullmatch(name) or len(name) > limit_bytes:
        remedy = f"use at most {limit_bytes} of A-Z a-z 0-9 - and dots between labels of at most 63"
        raise InvalidRequest(field, name, remedy)


def check_domain(domain: str, field: str) -> None:
    """A name, or a dot for no domain at all."""
    if domain != ".":
        check_hostname(domain, field)


def check_dns_option(option: str, field: str) -> None:
    """Of resolv.conf."""
    if not _DNS_OPTION.fullmatch(option):
        raise InvalidRequest(field, option, "use an option of resolv.conf: ndots:2, use-vc")


def check_extra_host(host: ExtraHost, field: str) -> None:
    """A name and where it is."""
    check_hostname(host.hostname, f"{field}.hostname")
    if host.address != HOST_GATEWAY:
        check_address(host.address, f"{field}.address")
