"""Namespaces and the mounts inside them: setns, and what mount(2) is to be told."""

from __future__ import annotations

import ctypes

from paddock.kernel.syscalls import failure, function

_setns = function("setns", ctypes.c_int, ctypes.c_int)

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
NAMESPACE_FLAGS = {"pid": CLONE_NEWPID, "mnt": CLONE_NEWNS, "ipc": CLONE_NEWIPC}

MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_REMOUNT = 0x20
MOUNT_FLAGS = {
    "ro": 0x1,
    "nosuid": 0x2,
    "nodev": 0x4,
    "noexec": 0x8,
    "sync": 0x10,
    "noatime": 0x400,
    "nodiratime": 0x800,
    "bind": MS_BIND,
    "rec": MS_REC,
    "relatime": 0x200000,
}


def setns(fd: int, flags: int) -> None:
    """Join namespaces of a pidfd, or the one of an nsfs descriptor. NEWNS sets cwd and root to the namespace's own."""
    if _setns(fd, flags) < 0:
        raise failure("setns", value=hex(flags))


PRIVATE_MOUNTS = ("none", "/", "", MS_REC | MS_PRIVATE, "")
"""This mount stops those of its namespace from spreading into others, and theirs into this one."""


def mounts_of(
    source: str, target: str, fs_type: str, flag_names: tuple[str, ...], options: str = ""
) -> tuple[tuple[str, str, str, int, str], ...]:
    """The arguments of each mount(2) for flags by name; a bind mount's further flags need a remount of their own."""
    flags = 0
    for name in flag_names:
        flags |= MOUNT_FLAGS[name]
    if not flags & MS_BIND:
        return ((source, target, fs_type, flags, options),)
    bound = (source, target, "", flags & (MS_BIND | MS_REC), "")
    further = flags & ~MS_REC
    return (bound,) if further == MS_BIND else (bound, ("none", target, "", further | MS_REMOUNT, ""))
