"""A Docker task as a whole: whether its parts go together, with its command and its resources; and what the engine is given."""

from __future__ import annotations

from collections.abc import Sequence

from paddock.model.docker import DockerInfo, DockerNetwork
from paddock.model.errors import InvalidRequest
from paddock.model.image import check_image
from paddock.model.resources import Ranges, Resources
from paddock.model.task import CommandInfo, ContainerInfo, ContainerType

_PORTS = "ports"
_OF_A_USERS_NETWORK = ("ip", "network-alias")


def check_container(container: ContainerInfo, command: CommandInfo, resources: Resources, prefix: str = "") -> None:
    """Whatever its type. Raises InvalidRequest naming the first part that does not go with the others; `prefix` stands in front
    of the field's name.
    """
    field = f"{prefix}container.docker"
    docker = container.docker
    if container.type is not ContainerType.DOCKER:
        if docker is not None:
            raise InvalidRequest(field, str(docker.image), "leave it out, or set the container's type to DOCKER")
        return
    if docker is None:
        raise InvalidRequest(f"{field}.image", "", "name the image: registry/repository:tag, or with @sha256:…")
    check_image(docker.image, f"{field}.image")
    _check_command(docker, command, prefix)
    _check_network(docker, field)
    _check_mounts(docker, field)
    _check_once([host.hostname for host in docker.extra_hosts], f"{field}.extra_hosts", "hostname")
    _check_ports(docker, resources, field)


def engine_command(docker: DockerInfo, command: CommandInfo) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """Entry point and command for the engine, None: the image's own. A shell line is its own entry point, as with Mesos; one
    that is replaced takes the image's command with it, as with `docker run`.
    """
    if command.shell:
        return command.argv[:2], command.argv[2:]
    return docker.entrypoint, command.arguments or (None if docker.entrypoint is None else ())


def _check_command(docker: DockerInfo, command: CommandInfo, prefix: str) -> None:
    field = f"{prefix}container.docker.entrypoint"
    if command.shell and docker.entrypoint is not None:
        raise InvalidRequest(field, list(docker.entrypoint), "leave it out: a shell line is given to /bin/sh")
    if docker.entrypoint and not docker.entrypoint[0]:
        raise InvalidRequest(field, list(docker.entrypoint), "name the program to run, or give an empty list for none")
    if docker.entrypoint == () and not (command.arguments and command.arguments[0]):
        remedy = "without an entry point, name the program to run"
        raise InvalidRequest(f"{prefix}command.arguments", list(command.arguments), remedy)
    directory = command.working_directory
    if directory and (not directory.startswith("/") or ".." in directory.split("/")):
        remedy = "use an absolute path in the container without '..', or leave it out: the image's own"
        raise InvalidRequest(f"{prefix}command.working_directory", directory, remedy)


def _check_network(docker: DockerInfo, field: str) -> None:
    network = docker.network
    if network is DockerNetwork.USER and not docker.network_name:
        raise InvalidRequest(f"{field}.network_name", "", "with network USER, name the network")
    if network is not DockerNetwork.USER and docker.network_name:
        raise InvalidRequest(f"{field}.network_name", docker.network_name, "set network to USER, or leave it out")
    if docker.port_mappings and not network.maps_ports:
        remedy = f"with network {network.name} no port leads elsewhere: leave it out, or use BRIDGE or USER"
        raise InvalidRequest(f"{field}.port_mappings", ", ".join(map(str, docker.port_mappings)), remedy)
    if network is DockerNetwork.HOST and docker.hostname:
        raise InvalidRequest(f"{field}.hostname", docker.hostname, "with network HOST it is the host's: leave it out")
    for key, value in docker.parameters:
        if key in _OF_A_USERS_NETWORK and network is not DockerNetwork.USER:
            raise InvalidRequest(f"{field}.parameters[{key}]", value, "it needs network USER with a network_name")


def _check_mounts(docker: DockerInfo, field: str) -> None:
    places: dict[str, str] = {}
    mounts = [(f"{field}.volumes[{index}].container_path", v.container_path) for index, v in enumerate(docker.volumes)]
    mounts += [(f"{field}.tmpfs[{index}].path", each.path) for index, each in enumerate(docker.tmpfs)]
    for place, path in mounts:
        if path in places:
            raise InvalidRequest(place, path, f"{places[path]} is there already: give each a place of its own")
        places[path] = place
    _check_once([device.container_path for device in docker.devices], f"{field}.devices", "container_path")


def _check_once(values: Sequence[str], field: str, name: str) -> None:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise InvalidRequest(f"{field}[{index}].{name}", value, "give each one once")


def _check_ports(docker: DockerInfo, resources: Resources, field: str) -> None:
    """As Mesos demands: what nobody has given to the task, another may have."""
    own = [each.value for each in resources if each.name == _PORTS and isinstance(each.value, Ranges)]
    seen = set()
    for index, mapping in enumerate(docker.port_mappings):
        place, port = f"{field}.port_mappings[{index}].host_port", mapping.host_port
        if (port, mapping.protocol) in seen:
            raise InvalidRequest(place, port, f"it is mapped for {mapping.protocol.value} already: use another")
        seen.add((port, mapping.protocol))
        if not any(begin <= port <= end for ranges in own for begin, end in ranges.spans):
            raise InvalidRequest(place, port, "it is not among the task's ports: take it from the offer's ports")
