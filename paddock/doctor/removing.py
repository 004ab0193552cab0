"""Removes what was judged to be out of place. Everything is looked at once more: the host goes on while one judges."""

from __future__ import annotations

import errno
import os

from paddock.doctor.finding import Removal, RemoveCgroup, SweepContainer
from paddock.doctor.processes import server_pid
from paddock.kernel.errors import KernelError
from paddock.launch import record, sweep
from paddock.launch.plan import CgroupPlace


def remove(removal: Removal) -> None:
    """Raises OSError, ProtocolError with what was tried: then it stays, or part of it."""
    match removal:
        case RemoveCgroup():
            os.rmdir(removal.path)
        case SweepContainer():
            _sweep(removal)


def _sweep(removal: SweepContainer) -> None:
    """The record's lock keeps a shim's container from us; a note becomes the record that tells of the shim's death."""
    sweep.sweep(removal.record)
    standing = {controller: path for controller, path in removal.cgroups if os.path.isdir(path)}
    if standing:
        if os.path.lexists(record.temporary_path(removal.record)):
            raise KernelError("sweep", removal.record, "a container of this name has just been launched", errno.EAGAIN)
        sweep.remove_cgroups(CgroupPlace(removal.cgroup_mode, standing))
    if os.path.lexists(removal.socket) and not server_pid(removal.socket):
        os.unlink(removal.socket)
