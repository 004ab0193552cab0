"""What this host has to offer, and who the agent on it is."""

from __future__ import annotations

import os
import shutil
import socket
import uuid

import psutil

from agentd.config import Settings
from paddock.kernel.mounts import read_hierarchy
from paddock.kernel.paths import sync_directory
from paddock.model.agent import TASK_RESIZE, AgentInfo, DomainInfo
from paddock.model.errors import ConfigError
from paddock.model.ids import AgentId, agent_id
from paddock.model.resource_text import named_in, parse_attributes, parse_resources
from paddock.model.resources import MILLI, Ranges, Resource, Resources, Scalar

_GIB = 2**30
_MIB = 2**20
_BOOT_ID_LIMIT_BYTES = 64
_ANY = frozenset({"0.0.0.0", "[::]"})  # noqa: S104 - told apart, not bound
_PORTS = Ranges.of([(31_000, 32_000)])


def host_resources(settings: Settings) -> Resources:
    """What the operator names, and for the rest what is there minus a reserve (Mesos': 1 GiB of memory, 5 GiB of disk)."""
    given = parse_resources(settings.resources, "resources")
    named = named_in(settings.resources)
    found = [resource for resource in _detected(settings.work_dir) if resource.name not in named]
    return Resources.of((*given, *found))


def _detected(work_dir: str) -> list[Resource]:
    cpu_count = len(os.sched_getaffinity(0))
    memory_bytes = psutil.virtual_memory().total
    disk_bytes = shutil.disk_usage(_existing(work_dir)).total
    memory_bytes = memory_bytes - _GIB if memory_bytes >= 2 * _GIB else memory_bytes // 2
    disk_bytes = disk_bytes - 5 * _GIB if disk_bytes >= 10 * _GIB else disk_bytes // 2
    return [
        Resource(name="cpus", value=Scalar(milli=cpu_count * MILLI)),
        Resource(name="mem", value=Scalar(milli=memory_bytes // _MIB * MILLI)),
        Resource(name="disk", value=Scalar(milli=disk_bytes // _MIB * MILLI)),
        Resource(name="ports", value=_PORTS),
    ]


def _existing(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def agent_info(
    settings: Settings, identity: AgentId, resources: Resources, *, boot_id: str, version: str, tcp_port: int
) -> AgentInfo:
    """As it registers. A TCP address of any interface is told under the host's name."""
    hierarchy = read_hierarchy()
    hostname = settings.hostname or socket.gethostname()
    unix = next((f"unix:{a.removeprefix('unix:')}" for a in settings.listen if _is_unix(a)), "")
    tcp = next((a for a in settings.listen if not _is_unix(a)), "")
    host, _, _ = tcp.rpartition(":")
    return AgentInfo(
        agent_id=identity,
        hostname=hostname,
        resources=resources,
        boot_id=boot_id,
        version=version,
        capabilities=(TASK_RESIZE,),
        domain=DomainInfo(region=settings.region, zone=settings.zone),
        attributes=parse_attributes(settings.attributes),
        unix_address=unix,
        tcp_address=f"{hostname if host in _ANY else host}:{tcp_port}" if tcp else "",
        cgroup_mode=hierarchy.mode,
        containerizers=tuple(container_type.value for container_type in settings.containerizers),
    )


def _is_unix(address: str) -> bool:
    return address.startswith(("unix:", "/"))


def boot_id(settings: Settings) -> str:
    """Of this boot. Raises ConfigError when the file does not say one: without it no recorded pid could be judged."""
    path = settings.boot_id_file
    try:
        with open(path, encoding="ascii") as file:
            found = file.read(_BOOT_ID_LIMIT_BYTES + 1).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError((f"--boot-id-file={path}: {error}; leave it out, and mount /proc",)) from None
    if not 0 < len(found) <= _BOOT_ID_LIMIT_BYTES:
        raise ConfigError((f"--boot-id-file={path}: {found!r}: write 1 to {_BOOT_ID_LIMIT_BYTES} characters",))
    return found


def known_identity(state_dir: str) -> AgentId | None:
    """None before the agent's first start. Raises ConfigError when the file cannot be read or says nonsense."""
    path = f"{state_dir}/agent-id"
    try:
        with open(path, encoding="utf-8") as file:
            return agent_id(file.read().strip(), path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError((f"{path}: {error.strerror}; the agent's id must be readable",)) from None


def agent_identity(state_dir: str) -> AgentId:
    """Made once, kept for ever. Raises ConfigError as `known_identity` does."""
    known = known_identity(state_dir)
    if known is not None:
        return known
    path = f"{state_dir}/agent-id"
    made = AgentId(uuid.uuid4().hex[:12])
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(f"{made}\n")
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    sync_directory(state_dir)
    return made
