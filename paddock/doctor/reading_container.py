"""Reads one container's traces: cgroups, record, note and socket."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from paddock.doctor.locks import Locks
from paddock.doctor.processes import server_pid
from paddock.doctor.traces import ContainerTraces, Ear, RecordState
from paddock.kernel import processes
from paddock.launch import record, sweep
from paddock.launch.protocol import ProtocolError


def names_in(path: str) -> list[str]:
    """Of a directory; none when it is not there."""
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []


def count_processes(directory: str) -> int:
    """In a cgroup and in those below it."""
    count = 0
    for path, _, _ in os.walk(directory):
        try:
            with open(f"{path}/cgroup.procs", "rb") as file:
                count += len(file.read().split())
        except OSError:
            continue  # gone meanwhile, or threaded
    return count


class ContainerReader:
    """For the containers of one agent."""

    def __init__(self, records_dir: str, runtime_dir: str, locks: Locks, now_s: float) -> None:
        """`locks`: from the same look."""
        self._records_dir = records_dir
        self._runtime_dir = runtime_dir
        self._locks = locks
        self._now_s = now_s

    def read(self, name: str, cgroups: Mapping[str, str]) -> ContainerTraces:
        """Nothing is asked of its shim."""
        path = f"{self._records_dir}/{name}.json"
        socket_path = f"{self._runtime_dir}/{name}.sock"
        shim_pid = _living_shim(path)
        state = self._record_state(path)
        has_supervisor = bool(shim_pid) or state is RecordState.HELD
        touched = (path, record.temporary_path(path), socket_path, *cgroups.values())
        return ContainerTraces(
            container_id=name,
            cgroups=tuple(cgroups.items()),
            process_count=max((count_processes(directory) for directory in cgroups.values()), default=0),
            ear=_ear(socket_path, has_supervisor=has_supervisor),
            record=state,
            shim_pid=shim_pid,
            idle_s=max(0.0, self._now_s - max(map(_changed_s, touched), default=0.0)),
        )

    def _record_state(self, path: str) -> RecordState:
        temporary = record.temporary_path(path)
        if self._locks.holder(temporary) or self._locks.holder(path):
            return RecordState.HELD
        if os.path.lexists(temporary):
            return RecordState.NOTE
        return RecordState.FINISHED if os.path.lexists(path) else RecordState.NONE


def _living_shim(path: str) -> int:
    """By the note, or by the finished record: a shim may outlive its own for a moment."""
    for each in (record.temporary_path(path), path):
        try:
            fields = record.read_json(each)
            identity = sweep.decode_remains(fields).identity if fields else None
        except (ProtocolError, OSError):
            continue
        if identity is None or identity.boot_id != processes.read_boot_id():
            continue
        if processes.is_alive(identity.shim_pid, identity.shim_start_time_ticks):
            return identity.shim_pid
    return 0


def _ear(path: str, *, has_supervisor: bool) -> Ear:
    """A shim that lives is not called: it would wake for nothing."""
    try:
        is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return Ear.NONE
    if has_supervisor:
        return Ear.LISTENS
    return Ear.LISTENS if is_socket and server_pid(path) else Ear.DEAD


def _changed_s(path: str) -> float:
    try:
        return os.lstat(path).st_ctime
    except OSError:
        return 0.0
