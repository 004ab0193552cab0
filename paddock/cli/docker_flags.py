"""What `paddock run` says to a Docker engine: flags by the names that `docker run` has for the same."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, replace

from paddock.cli.quantities import exact_bytes
from paddock.model.docker import (
    PORT_LIMIT,
    DeviceMapping,
    DockerInfo,
    DockerNetwork,
    DockerVolume,
    ExtraHost,
    PortMapping,
    PortProtocol,
    Tmpfs,
)
from paddock.model.docker_parameters import check_parameter
from paddock.model.docker_parts import (
    check_address,
    check_container_path,
    check_device,
    check_dns_option,
    check_domain,
    check_extra_host,
    check_hostname,
    check_mapping,
    check_network_name,
    check_volume,
)
from paddock.model.docker_task import check_container
from paddock.model.errors import InvalidRequest
from paddock.model.image import parse_image
from paddock.model.resources import Ranges, Resource, Resources
from paddock.model.task import CommandInfo, ContainerInfo, ContainerType

_PUBLISHED = re.compile(r"(?:([0-9]{1,5}):)?([0-9]{1,5})(?:/([a-z]+))?", re.ASCII)
_ALL_PORTS = Resources.of([Resource(name="ports", value=Ranges.of([(1, PORT_LIMIT)]))])

_LISTS = (
    (
        "--publish",
        "-p",
        "[HOST:]CONTAINER[/udp]",
        "a port of the offer, HOST or any, leads to this one of the container",
    ),
    ("--volume", "-v", "SOURCE:PATH[:ro]", "a directory of the host, or a volume of the engine's, at PATH"),
    ("--tmpfs", "", "PATH[:size=SIZE]", "memory as a directory"),
    ("--device", "", "HOST[:PATH[:rwm]]", "a device of the host"),
    ("--dns", "", "ADDRESS", "a name server"),
    ("--dns-search", "", "DOMAIN", "a domain in which short names are looked for"),
    ("--dns-option", "", "OPTION", "an option of resolv.conf"),
    ("--add-host", "", "NAME:ADDRESS", "a line of /etc/hosts; the address may be host-gateway"),
    ("--parameter", "", "KEY=VALUE", "a further parameter of the engine (docs/docker-tasks.md)"),
)
_TEXTS = (
    (
        "--pull",
        "missing|always",
        "ask the registry at every launch, or where the image is not there (default: missing)",
    ),
    ("--network", "NAME", "host, bridge, none, or one of the operator's (default: bridge with --publish, else host)"),
    ("--hostname", "NAME", "the container's own (not with the host's network)"),
    ("--shm-size", "SIZE", "of /dev/shm (default: the engine's)"),
)
_SWITCHES = (
    ("--image-user", "run as whom the image names, not as the task's user"),
    ("--privileged", "everything that root of the host may do, where the agent allows it"),
    ("--read-only", "the image cannot be written to"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerRequest:
    """`docker` has no port mappings yet: `published` are the wanted ones, host port 0 where any will do."""

    docker: DockerInfo
    published: tuple[PortMapping, ...]

    def mapped(self, host_ports: tuple[int, ...]) -> ContainerInfo:
        """With the host's ports as they were found."""
        mappings = tuple(
            replace(mapping, host_port=port) for mapping, port in zip(self.published, host_ports, strict=True)
        )
        return ContainerInfo(type=ContainerType.DOCKER, docker=replace(self.docker, port_mappings=mappings))


def add_docker_arguments(parser: argparse.ArgumentParser) -> None:
    """--docker, and what needs it."""
    parser.add_argument(
        "--docker", metavar="IMAGE", default="", help="run it in this image; without CMD its own command"
    )
    parser.add_argument("--entrypoint", metavar="PROGRAM", help="in the place of the image's; empty: none")
    for flag, metavar, text in _TEXTS:
        parser.add_argument(flag, metavar=metavar, default="", help=text)
    for flag, short, metavar, text in _LISTS:
        names = (short, flag) if short else (flag,)
        parser.add_argument(*names, metavar=metavar, action="append", default=[], help=f"{text} (repeatable)")
    for flag, text in _SWITCHES:
        parser.add_argument(flag, action="store_true", help=text)
    parser.add_argument(
        "--init", action=argparse.BooleanOptionalAction, default=None, help="the engine's init as PID 1 (default: yes)"
    )


def docker_request_of(arguments: argparse.Namespace, command: CommandInfo) -> DockerRequest | None:
    """None without --docker. Raises InvalidRequest naming the flag."""
    if not arguments.docker:
        _refuse_alone(arguments)
        return None
    published = tuple(_published(text) for text in arguments.publish)
    network, network_name = _network(arguments.network, publishes=bool(published))
    docker = DockerInfo(
        image=parse_image(arguments.docker, "--docker"),
        force_pull=_pull(arguments.pull),
        network=network,
        network_name=network_name,
        entrypoint=None
        if arguments.entrypoint is None
        else tuple([arguments.entrypoint] if arguments.entrypoint else []),
        image_user=arguments.image_user,
        privileged=arguments.privileged,
        read_only_root=arguments.read_only,
        tmpfs=tuple(_tmpfs(text) for text in arguments.tmpfs),
        devices=tuple(_device(text) for text in arguments.device),
        volumes=tuple(_volume(text) for text in arguments.volume),
        extra_hosts=tuple(_extra_host(text) for text in arguments.add_host),
        hostname=arguments.hostname,
        init=arguments.init is not False,
        shm_size_bytes=_shm_size(arguments.shm_size),
        parameters=_parameters(arguments.parameter),
    )
    request = DockerRequest(docker=_with_names(docker, arguments), published=published)
    _check_together(request, command)
    return request


def _refuse_alone(arguments: argparse.Namespace) -> None:
    """Outside an image they would be silently nothing."""
    if arguments.entrypoint is not None or arguments.init is not None:
        flag = "--init" if arguments.entrypoint is None else "--entrypoint"
        raise InvalidRequest(flag, arguments.entrypoint or "", "name the image: --docker IMAGE")
    flags = (*(flag for flag, *_ in _TEXTS), *(flag for flag, *_ in _LISTS), *(flag for flag, _ in _SWITCHES))
    for flag in flags:
        value: object = getattr(arguments, flag[2:].replace("-", "_"))
        if value:
            raise InvalidRequest(flag, value, "name the image: --docker IMAGE")


def _check_together(request: DockerRequest, command: CommandInfo) -> None:
    """By the rule of master and agent. Whatever ports the offer will have, they are the task's."""
    named = {mapping.host_port for mapping in request.published}
    rest = iter(port for port in range(1, PORT_LIMIT) if port not in named)
    ports = tuple(mapping.host_port or next(rest) for mapping in request.published)
    try:
        check_container(request.mapped(ports), command, _ALL_PORTS)
    except InvalidRequest as error:
        raise error.under(_flag(error.field)) from None


_FLAGS = {
    "image": "--docker",
    "network_name": "--network",
    "port_mappings": "--publish",
    "hostname": "--hostname",
    "volumes": "--volume",
    "tmpfs": "--tmpfs",
    "devices": "--device",
    "extra_hosts": "--add-host",
    "parameters": "--parameter",
    "command.working_directory": "--workdir",
    "command.arguments": "CMD",
}


def _flag(field: str) -> str:
    part = re.split(r"[.\[]", field.removeprefix("container.docker."), maxsplit=1)[0]
    return _FLAGS.get(field) or _FLAGS.get(part) or field


def _pull(text: str) -> bool:
    if text not in {"", "missing", "always"}:
        raise InvalidRequest("--pull", text, "write missing or always")
    return text == "always"


def _shm_size(text: str) -> int | None:
    found = exact_bytes(text, "--shm-size") if text else None
    if found == 0:
        raise InvalidRequest("--shm-size", text, "leave it out, or write one above 0")
    return found


def _network(text: str, *, publishes: bool) -> tuple[DockerNetwork, str]:
    if not text:
        return (DockerNetwork.BRIDGE if publishes else DockerNetwork.HOST), ""
    if text in {"host", "bridge", "none"}:
        return DockerNetwork(text), ""
    check_network_name(text, "--network")
    return DockerNetwork.USER, text


def _published(text: str) -> PortMapping:
    match = _PUBLISHED.fullmatch(text)
    protocol = match and (match[3] or PortProtocol.TCP.value)
    if match is None or protocol not in {each.value for each in PortProtocol}:
        raise InvalidRequest("--publish", text, "write 80, 31000:80 or 31000:53/udp (tcp, udp, sctp)")
    mapping = PortMapping(host_port=int(match[1] or 0), container_port=int(match[2]), protocol=PortProtocol(protocol))
    check_mapping(mapping if match[1] else replace(mapping, host_port=1), "--publish")
    return mapping


def _tmpfs(text: str) -> Tmpfs:
    path, _, options = text.partition(":")
    check_container_path(path, "--tmpfs")
    if options and not options.startswith("size="):
        raise InvalidRequest("--tmpfs", text, "after the path comes size=SIZE, as in /run:size=64MiB")
    size_bytes = exact_bytes(options.removeprefix("size="), "--tmpfs") if options else None
    if size_bytes == 0:
        raise InvalidRequest("--tmpfs", text, "leave the size out, or write one above 0")
    return Tmpfs(path=path, size_bytes=size_bytes)


def _device(text: str) -> DeviceMapping:
    host, _, rest = text.partition(":")
    path, _, permissions = rest.partition(":")
    device = DeviceMapping(host_path=host, container_path=path or host, permissions=permissions or "rwm")
    check_device(device, "--device")
    return device


def _volume(text: str) -> DockerVolume:
    source, _, rest = text.partition(":")
    path, _, mode = rest.partition(":")
    if not source or not path or mode not in {"", "ro", "rw"}:
        raise InvalidRequest("--volume", text, "write SOURCE:PATH, or SOURCE:PATH:ro")
    volume = DockerVolume(
        host_path=source if "/" in source else "",
        name="" if "/" in source else source,
        container_path=path,
        read_only=mode == "ro",
    )
    check_volume(volume, "--volume")
    return volume


def _extra_host(text: str) -> ExtraHost:
    name, _, address = text.partition(":")
    host = ExtraHost(hostname=name, address=address)
    check_extra_host(host, "--add-host")
    return host


def _parameters(texts: list[str]) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key in found:
            raise InvalidRequest("--parameter", text, "write KEY=VALUE, each key once")
        check_parameter(key, value, "--parameter")
        found[key] = value
    return tuple(sorted(found.items()))


def _with_names(docker: DockerInfo, arguments: argparse.Namespace) -> DockerInfo:
    for address in arguments.dns:
        check_address(address, "--dns")
    for domain in arguments.dns_search:
        check_domain(domain, "--dns-search")
    for option in arguments.dns_option:
        check_dns_option(option, "--dns-option")
    if arguments.hostname:
        check_hostname(arguments.hostname, "--hostname", 63)
    return replace(
        docker,
        dns=tuple(arguments.dns),
        dns_search=tuple(arguments.dns_search),
        dns_options=tuple(arguments.dns_option),
    )
