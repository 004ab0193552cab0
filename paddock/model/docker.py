"""What a task says to a Docker engine beyond what every container has: the image, its network, its mounts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from paddock.model.image import ImageReference

PORT_LIMIT = 65_535


class DockerNetwork(Enum):
    """The network of the agent's host, the engine's own bridge, none at all, or one that the operator has made there."""

    HOST = "host"
    BRIDGE = "bridge"
    NONE = "none"
    USER = "user"

    @property
    def maps_ports(self) -> bool:
        """Whether ports of the host can lead into the container."""
        return self in {DockerNetwork.BRIDGE, DockerNetwork.USER}


class PortProtocol(Enum):
    """What an engine maps."""

    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortMapping:
    """`host_port`, one of the task's own `ports`, leads to `container_port`."""

    host_port: int
    container_port: int
    protocol: PortProtocol = PortProtocol.TCP

    def __str__(self) -> str:
        """As `docker run --publish` writes it."""
        return f"{self.host_port}:{self.container_port}/{self.protocol.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tmpfs:
    """What is written there counts as the task's memory. `size_bytes` None: the engine's default, half of the host's."""

    path: str
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMapping:
    """A device of the host. `permissions`: of r, w and m, each at most once."""

    host_path: str
    container_path: str
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerVolume:
    """Either `host_path`, of the agent's host, or `name`, a volume that the engine keeps and makes where it is not there."""

    container_path: str
    host_path: str = ""
    name: str = ""
    read_only: bool = False

    def __str__(self) -> str:
        """As `docker run --volume` writes it."""
        return f"{self.host_path or self.name}:{self.container_path}" + (":ro" if self.read_only else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraHost:
    """A line of the container's /etc/hosts. `address`: IPv4, IPv6, or `host-gateway`, the host as the container sees it."""

    hostname: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerInfo:
    """For a container of type DOCKER. Command, environment, working directory, limits, rlimits, capabilities, labels and the
    kill policy are the task's own, as for every container.

    `entrypoint` None: the image's; empty: none. `image_user`: run as whom the image names, root where it names nobody, and not
    as the task's user. `network_name`: of USER only. `init`: an init of the engine's reaps as PID 1.
    """

    image: ImageReference
    force_pull: bool = False
    network: DockerNetwork = DockerNetwork.HOST
    network_name: str = ""
    port_mappings: tuple[PortMapping, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    image_user: bool = False
    privileged: bool = False
    read_only_root: bool = False
    tmpfs: tuple[Tmpfs, ...] = ()
    devices: tuple[DeviceMapping, ...] = ()
    volumes: tuple[DockerVolume, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[ExtraHost, ...] = ()
    hostname: str = ""
    init: bool = True
    shm_size_bytes: int | None = None
    parameters: tuple[tuple[str, str], ...] = ()
