"""Reads a host: every agent's traces, from its own directories, the cgroup file systems and /proc. Changes nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence

from paddock.doctor import processes
from paddock.doctor.agents import AgentPlaces, configured_state_dir, read_places
from paddock.doctor.locks import read_locks
from paddock.doctor.reading_container import ContainerReader, count_processes, names_in
from paddock.doctor.reading_engine import read_engine
from paddock.doctor.traces import AgentTraces, HostTraces, SocketTrace
from paddock.kernel.mounts import Hierarchy, Mount, read_hierarchy, read_mounts
from paddock.launch import sweep

_PREFIX = "paddock-"
_SCOPE = "system.slice/paddock-tasks.scope"
_PROGRAMS = ".programs"
_SPARE = "spare-"


class HostReader:
    """One look at the host. `state_dirs`: where agents have their state; none: the configured one, and running launchers'."""

    def __init__(self, state_dirs: Sequence[str]) -> None:
        """Raises OSError where /proc cannot be read."""
        self._locks = read_locks()
        self._mounts = read_mounts()
        self._processes = list(processes.launcher_processes())
        self._hierarchy = read_hierarchy()
        self._cgroups = _cgroup_roots(self._hierarchy)
        self._now_s = time.time()
        self._places = _unambiguous(state_dirs or (configured_state_dir(), *self._state_dirs_of_launchers()))

    def _state_dirs_of_launchers(self) -> set[str]:
        """By where their sockets are; one with a runtime directory of its own must be named."""
        return {os.path.realpath(os.path.dirname(os.path.dirname(each.socket_path))) for each in self._processes}

    @property
    def masters(self) -> tuple[str, ...]:
        """Of all agents that are known here, each once."""
        return tuple(dict.fromkeys(master for places in self._places.values() for master in places.masters))

    def read(self) -> HostTraces:
        """Raises PermissionError for who is not root."""
        seen = {each.agent_id for each in self._processes if each.agent_id}
        agents = sorted({*self._places, *self._cgroups, *seen})
        known = [place for places in self._places.values() for place in (places.state_dir, places.work_dir) if place]
        return HostTraces(
            agents=tuple(self._agent(agent_id) for agent_id in agents), others=tuple(_other_mounts(self._mounts, known))
        )

    def _agent(self, agent_id: str) -> AgentTraces:
        places = self._places.get(agent_id)
        roots = {**self._cgroups.get(agent_id, {}), **dict(places.cgroup_roots if places else ())}
        standing = {controller: path for controller, path in roots.items() if os.path.isdir(path)}
        mode = "v2" if "" in roots else "v1"
        by_cgroup = sweep.list_containers(agent_id, mode, standing)
        if places is None:
            return self._unknown(agent_id, mode, standing)
        records_dir = f"{places.state_dir}/records"
        records, sockets = names_in(records_dir), names_in(places.runtime_dir)
        reader = ContainerReader(records_dir, places.runtime_dir, self._locks, self._now_s)
        named = {name.partition(".json")[0] for name in records if _is_record(name)}
        named |= {name.removesuffix(".sock") for name in sockets if name.endswith(".sock") and name != "launcher.sock"}
        containers = [
            reader.read(name, by_cgroup[name].directories if name in by_cgroup else {})
            for name in sorted({*by_cgroup, *named})
        ]
        launcher_pid = processes.server_pid(f"{places.runtime_dir}/launcher.sock")
        supervised = {each.shim_pid for each in containers if each.shim_pid}
        return AgentTraces(
            agent_id=agent_id,
            cgroup_mode=mode,
            state_dir=places.state_dir,
            records_dir=records_dir,
            runtime_dir=places.runtime_dir,
            work_dir=places.work_dir,
            agentd_pid=self._locks.holder(f"{places.state_dir}/lock"),
            launcher_pid=launcher_pid,
            stray_pids=tuple(self._strays(agent_id, launcher_pid, supervised)),
            cgroup_roots=tuple(standing.values()),
            containers=tuple(containers),
            program_cgroups=tuple(_program_cgroups(standing.values())),
            sockets=tuple(SocketTrace(path=path, listens=processes.listens(path)) for path in _made(places.listen)),
            mounts=tuple(_mounts_below(self._mounts, places)),
            spare_count=sum(name.startswith(_SPARE) and not _is_record(name) for name in records),
            strays=tuple(sorted(name for name in records if not name.startswith(_SPARE) and not _is_record(name))),
            sandbox_count=_sandbox_count(places),
            removed_count=len(names_in(f"{places.work_dir}/agents/{agent_id}/.removed")) if places.work_dir else 0,
            volume_count=_volume_count(places),
            engine=read_engine(places.docker_socket, places.state_dir) if places.docker_socket else None,
        )

    def _unknown(self, agent_id: str, mode: str, standing: dict[str, str]) -> AgentTraces:
        own = {each.pid for each in self._processes}
        pids = tuple(e.pid for e in self._processes if e.agent_id == agent_id and e.parent_pid not in own)
        return AgentTraces(agent_id=agent_id, cgroup_mode=mode, cgroup_roots=tuple(standing.values()), stray_pids=pids)

    def _strays(self, agent_id: str, launcher_pid: int, supervised: set[int]) -> Iterator[int]:
        own = {each.pid for each in self._processes}
        for each in self._processes:
            is_child = each.parent_pid in own or each.parent_pid == launcher_pid
            if each.agent_id == agent_id and each.pid != launcher_pid and each.pid not in supervised and not is_child:
                yield each.pid


def _unambiguous(state_dirs: Iterable[str]) -> dict[str, AgentPlaces]:
    """Two directories with one id are a copy, and nobody knows which of them is the agent: neither proves anything."""
    found: dict[str, AgentPlaces] = {}
    doubled = set()
    for state_dir in dict.fromkeys(state_dirs):
        places = read_places(state_dir)
        if places is not None:
            doubled |= {places.agent_id} & found.keys()
            found[places.agent_id] = places
    return {agent_id: places for agent_id, places in found.items() if agent_id not in doubled}


def _is_record(name: str) -> bool:
    return name.endswith((".json", ".json.new"))


def _cgroup_roots(hierarchy: Hierarchy) -> dict[str, dict[str, str]]:
    """Agent → controller → its directory, by the names that stand in the cgroup file systems."""
    found: dict[str, dict[str, str]] = {}
    points = dict(hierarchy.controllers)
    if hierarchy.unified and not points:
        points[""] = hierarchy.unified
    for controller, point in points.items():
        for parent in (point, f"{point}/{_SCOPE}"):
            for name in names_in(parent):
                agent_id = name.removeprefix(_PREFIX)
                is_ours = name.startswith(_PREFIX) and agent_id and not name.endswith((".scope", ".service"))
                if is_ours and os.path.isdir(f"{parent}/{name}"):
                    found.setdefault(agent_id, {})[controller] = f"{parent}/{name}"
    return found


def _program_cgroups(roots: Iterable[str]) -> Iterator[tuple[str, int]]:
    for root in roots:
        path = f"{root}/{_PROGRAMS}"
        if os.path.isdir(path):
            yield path, count_processes(path)


def _made(paths: Iterable[str]) -> Iterator[str]:
    return (path for path in paths if os.path.lexists(path))


def _mounts_below(mounts: Iterable[Mount], places: AgentPlaces) -> Iterator[str]:
    own = [f"{places.work_dir}/agents/{places.agent_id}/"] if places.work_dir else []
    for mount in mounts:
        if any(mount.mount_point.startswith(path) for path in own):
            yield mount.mount_point


def _other_mounts(mounts: Iterable[Mount], known: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Of ours by their names, and in none of the directories that are looked at elsewhere or hold them as a whole."""
    for mount in mounts:
        point = mount.mount_point
        is_known = any(point.startswith(f"{path}/") or path == point or path.startswith(f"{point}/") for path in known)
        if "paddock" in os.path.basename(point) and not mount.fs_type.startswith("cgroup") and not is_known:
            yield point, "mount"


def _volume_count(places: AgentPlaces) -> int:
    if not places.work_dir:
        return 0
    roles = f"{places.work_dir}/agents/{places.agent_id}/volumes/roles"
    return sum(len(names_in(f"{roles}/{role}")) for role in names_in(roles))


def _sandbox_count(places: AgentPlaces) -> int:
    if not places.work_dir:
        return 0
    root = f"{places.work_dir}/agents/{places.agent_id}"
    count = len(names_in(f"{root}/containers"))
    for framework in names_in(f"{root}/frameworks"):
        tasks = f"{root}/frameworks/{framework}/tasks"
        count += sum(len(names_in(f"{tasks}/{task}/runs")) for task in names_in(tasks))
    return count
