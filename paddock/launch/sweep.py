"""Ending what a dead shim left: kill, read the counters, record the loss, remove. Used by the launcher and by agentd.

Nothing is touched that is not provably ours: the directories end in paddock-<agent>/<container>, and the record's lock says
that no shim lives. Any number of sweeps may run at once, and any of them may be repeated.
"""

from __future__ import annotations

import errno
import os
import time

from paddock.kernel import processes
from paddock.kernel.errors import KernelError
from paddock.launch import plan, protocol, record
from paddock.launch.container_cgroup import ContainerCgroup
from paddock.launch.ending import Ending, Identity, build_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_LOCK_POLL_S = 0.005


class Remains:
    """What must be known of a container to end it: from its note, its plan, or its finished record."""

    __slots__ = ("final_reads", "identity", "is_finished", "oom_events", "place", "socket")

    def __init__(self, identity: Identity, place: plan.CgroupPlace) -> None:
        self.identity = identity
        self.place = place
        self.final_reads: tuple[plan.CgroupRead, ...] = ()
        self.oom_events: plan.CgroupRead | None = None
        self.socket = ""
        self.is_finished = False


def remains_of_plan(planned: plan.Plan, boot_id: str) -> Remains:
    """For a shim that died before it could write its note."""
    remains = Remains(Identity(planned.agent_id, planned.container_id, boot_id), planned.cgroup)
    remains.final_reads = planned.final_reads
    remains.oom_events = planned.oom_events
    remains.socket = planned.socket
    return remains


def decode_remains(fields: dict[str, object]) -> Remains:
    """From a note or a record; raises ProtocolError."""
    protocol.check_format(fields)
    agent_id = protocol.name(fields.get("agent_id"), "agent_id")
    container_id = protocol.name(fields.get("container_id"), "container_id")
    identity = Identity(agent_id, container_id, protocol.text(fields.get("boot_id"), "boot_id", 64))
    identity.shim_pid = protocol.integer(fields.get("shim_pid"), "shim_pid", 0)
    identity.pid = protocol.integer(fields.get("pid"), "pid", 0)
    identity.start_time_ticks = protocol.integer(fields.get("start_time_ticks"), "start_time_ticks", 0)
    identity.started_ns = protocol.integer(fields.get("started_ns"), "started_ns", 0)
    ticks = fields.get("shim_start_time_ticks", 0)
    identity.shim_start_time_ticks = protocol.integer(ticks, "shim_start_time_ticks", 0)
    remains = Remains(identity, plan.decode_place(fields.get("cgroup"), agent_id, container_id))
    remains.is_finished = fields.get("state") != "running"
    if not remains.is_finished:
        remains.final_reads = plan.decode_reads(fields.get("final_reads"), "final_reads", remains.place)
        oom_events = fields.get("oom_events")
        if oom_events is not None:
            remains.oom_events = plan.decode_reads([oom_events], "oom_events", remains.place)[0]
        remains.socket = protocol.absolute_path(fields.get("socket"), "socket")
    return remains


def sweep(path: str, planned: Remains | None = None, timeout_s: float = 5.0) -> record.Record | None:
    """End what is left of the container whose record is (to be) at `path`, and return the record; None: nothing is known.

    Raises KernelError: EAGAIN when its shim lives or another sweep takes longer than `timeout_s`, ETIME or EBUSY when
    something cannot be ended; then it is to be called again. ProtocolError when the record is damaged, FormatError when
    another build wrote it, and nothing is touched.
    """
    finished = _read_finished(path, timeout_s)
    if finished is None and not _has_left_anything(path, planned):
        # Between the two looks another sweep may have given it its name. Where there is nothing at all, nothing was made,
        # or the agent has dealt with it already: a record that comes now would be nobody's.
        finished = _read_finished(path, timeout_s)
        if finished is None:
            return None
    if finished is not None:
        _remove_remains(decode_remains(finished), timeout_s)
        return record.decode_record(finished)
    file = _lock(path, timeout_s)
    try:
        return _sweep_locked(path, planned, file, timeout_s)
    finally:
        file.close()


def _read_finished(path: str, timeout_s: float) -> dict[str, object] | None:
    """Durable: it has its name a moment before, and whoever gave it holds the lock until then."""
    found = record.read_json(path)
    if found is None:
        return None
    if found.get("state") == "running":
        # Its name was on the disk before its content was, when the power was cut: nobody has heard of this end.
        os.rename(path, record.temporary_path(path))
        return None
    deadline_s = time.monotonic() + timeout_s
    while record.is_held(path):
        if time.monotonic() > deadline_s:
            raise KernelError("sweep", path, "its shim, or another sweep, has not made it durable", errno.EAGAIN)
        time.sleep(_LOCK_POLL_S)
    return found


def _has_left_anything(path: str, planned: Remains | None) -> bool:
    directories = () if planned is None else planned.place.directories.values()
    return os.path.exists(record.temporary_path(path)) or any(os.path.isdir(directory) for directory in directories)


def _lock(path: str, timeout_s: float) -> record.RecordFile:
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            return record.reopen(path)
        except KernelError as error:
            if error.errno != errno.EAGAIN or time.monotonic() > deadline_s:
                raise
        time.sleep(_LOCK_POLL_S)


def _sweep_locked(
    path: str, planned: Remains | None, file: record.RecordFile, timeout_s: float
) -> record.Record | None:
    finished = record.read_json(path)
    if finished is not None:
        # Another sweep was faster; what we opened is a new, empty file.
        _unlink(record.temporary_path(path))
        return record.decode_record(finished)
    note = None
    try:
        note = record.read_json(record.temporary_path(path))
        remains = planned if note is None else decode_remains(note)
    except protocol.FormatError:
        raise
    except protocol.ProtocolError:
        # The shim died while it wrote its first note.
        remains = planned
    if remains is None:
        _unlink(record.temporary_path(path))
        return None
    identity = remains.identity
    if note is not None and remains.is_finished and _is_this_boot(identity):
        # Its shim died between the record and its name. (Of another boot nobody knows whether it is whole.)
        return _finish(note, remains, file, timeout_s)
    if _has_shim(identity):
        raise KernelError("sweep", path, f"shim {identity.shim_pid} is alive", errno.EAGAIN)
    ending = Ending()
    cgroup = ContainerCgroup(remains.place)
    cgroup.adopt()
    if cgroup.made:
        _end_all(cgroup, ending, remains, timeout_s)
    fields = build_record(
        identity, remains.place, ending, ended_ns=time.time_ns(), wait_status=None, supervisor_lost=True
    )
    found = _finish(fields, remains, file, timeout_s)
    if remains.socket:
        _unlink(remains.socket)
    return found


def _finish(fields: dict[str, object], remains: Remains, file: record.RecordFile, timeout_s: float) -> record.Record:
    found = record.decode_record(fields)
    file.finish(fields)
    remove_cgroups(remains.place, timeout_s)
    return found


def _end_all(cgroup: ContainerCgroup, ending: Ending, remains: Remains, timeout_s: float) -> None:
    cgroup.thaw()
    cgroup.kill_all(timeout_s)
    ending.read_counters(cgroup, remains.final_reads)
    ending.find_victims(cgroup, remains.oom_events, remains.identity.pid)


def _remove_remains(remains: Remains, timeout_s: float) -> None:
    """A finished container's cgroups, when its shim died, or gave up, between record and removal."""
    if not _has_shim(remains.identity):
        remove_cgroups(remains.place, timeout_s)


def _has_shim(identity: Identity) -> bool:
    """Start times count from the boot: a pid of another boot names a stranger, even when both numbers are the same."""
    return _is_this_boot(identity) and processes.is_alive(identity.shim_pid, identity.shim_start_time_ticks)


def _is_this_boot(identity: Identity) -> bool:
    return identity.boot_id == processes.read_boot_id()


def remove_cgroups(place: plan.CgroupPlace, timeout_s: float = 5.0) -> None:
    """Kill and remove a container of which nothing but its cgroups is left. The caller knows that no shim has it."""
    cgroup = ContainerCgroup(place)
    cgroup.adopt()
    if cgroup.made:
        cgroup.thaw()
        cgroup.kill_all(timeout_s)
    _remove(cgroup, timeout_s)


def _remove(cgroup: ContainerCgroup, timeout_s: float) -> None:
    failures = cgroup.remove(timeout_s)
    if failures:
        raise failures[0]


def list_containers(agent_id: str, mode: str, parents: dict[str, str]) -> dict[str, plan.CgroupPlace]:
    """The containers whose cgroups stand in the agent's directories (v1: controller → directory, v2: "" → directory)."""
    found: dict[str, dict[str, str]] = {}
    for controller, parent in parents.items():
        if os.path.basename(parent) != f"paddock-{agent_id}":
            raise KernelError("scandir", parent, f"not a directory of agent {agent_id}", errno.EINVAL)
        try:
            with os.scandir(parent) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            continue
        for name in names:
            # What begins with a dot is the agent's own.
            if not name.startswith(".") and (name != "launcher" or mode == "v1"):
                found.setdefault(name, {})[controller] = os.path.join(parent, name)
    return {name: plan.CgroupPlace(mode, directories) for name, directories in found.items()}


def remove_parents(parents: Iterable[str]) -> None:
    """Remove the agent's own directories where nothing is left in them."""
    for parent in dict.fromkeys(parents):
        for directory in (os.path.join(parent, "launcher"), parent):
            try:
                os.rmdir(directory)
            except OSError:
                continue


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
