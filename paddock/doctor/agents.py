"""Which agents have been on this host, and where each keeps its things: by what they wrote down themselves."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

DEFAULT_STATE_DIR = "/var/lib/paddock/agentd"
DEFAULT_CONFIG = "/etc/paddock/agentd.toml"
PLACES_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPlaces:
    """One agent's own words. `cgroup_roots`: controller (v2: empty) and directory; `listen`: unix sockets that it serves.

    `docker_socket`: where its engine listens; empty for one that runs no Docker tasks.
    """

    agent_id: str
    state_dir: str
    runtime_dir: str
    work_dir: str = ""
    cgroup_roots: tuple[tuple[str, str], ...] = ()
    listen: tuple[str, ...] = ()
    docker_socket: str = ""
    masters: tuple[str, ...] = ()

    def to_json(self) -> str:
        """For the file that agentd leaves in its state directory."""
        fields = {
            "format": PLACES_FORMAT,
            "runtime_dir": self.runtime_dir,
            "work_dir": self.work_dir,
            "cgroup_roots": [list(pair) for pair in self.cgroup_roots],
            "listen": list(self.listen),
            "docker_socket": self.docker_socket,
            "masters": list(self.masters),
        }
        return json.dumps(fields)


def write_places(places: AgentPlaces) -> None:
    """Replaced as a whole, and only when it says something else. Raises OSError."""
    path = f"{places.state_dir}/places"
    if read_places(places.state_dir) == places:
        return
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(f"{places.to_json()}\n")
    os.rename(f"{path}.new", path)


def read_places(state_dir: str) -> AgentPlaces | None:
    """None when no agent's id can be read there, or others than root could have written it.

    What an older agent did not write down is left empty.
    """
    try:
        found_stat = os.stat(state_dir)
        if found_stat.st_uid != 0 or found_stat.st_mode & 0o022:
            return None
        with open(f"{state_dir}/agent-id", encoding="utf-8") as file:
            agent_id = file.read(256).strip()
    except (OSError, UnicodeDecodeError):
        return None
    if not agent_id or "/" in agent_id:
        return None
    found = _read_json(f"{state_dir}/places")
    runtime_dir = found.get("runtime_dir")
    work_dir, docker_socket = found.get("work_dir"), found.get("docker_socket")
    return AgentPlaces(
        agent_id=agent_id,
        state_dir=state_dir,
        runtime_dir=runtime_dir if isinstance(runtime_dir, str) else f"{state_dir}/run",
        work_dir=work_dir if isinstance(work_dir, str) else "",
        cgroup_roots=tuple(_pairs(found.get("cgroup_roots"), agent_id)),
        listen=tuple(_texts(found.get("listen"))),
        docker_socket=docker_socket if isinstance(docker_socket, str) else "",
        masters=tuple(_texts(found.get("masters"))),
    )


def configured_state_dir() -> str:
    """Of the agent that this host's configuration is for."""
    try:
        with open(DEFAULT_CONFIG, "rb") as file:
            found = tomllib.load(file).get("state_dir")
    except (OSError, ValueError):
        found = None
    default = found if isinstance(found, str) else DEFAULT_STATE_DIR
    return os.environ.get("PADDOCK_AGENTD_STATE_DIR") or default


def _read_json(path: str) -> dict[str, object]:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.loads(file.read(65_536))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("format") == PLACES_FORMAT else {}


def _pairs(value: object, agent_id: str) -> Iterator[tuple[str, str]]:
    """Only directories whose own name says that they are this agent's."""
    for pair in _items(value):
        parts = [part for part in _items(pair) if isinstance(part, str)]
        if len(parts) == 2 and os.path.basename(parts[1]) == f"paddock-{agent_id}":
            yield parts[0], parts[1]


def _texts(value: object) -> Iterator[str]:
    return (item for item in _items(value) if isinstance(item, str))


def _items(value: object) -> Iterable[object]:
    return value if isinstance(value, list) else ()
