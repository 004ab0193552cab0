"""Capabilities: names and numbers, the bounding set, permitted, effective and inheritable, ambient."""

from __future__ import annotations

import ctypes
import errno

from paddock.kernel.errors import KernelError
from paddock.kernel.syscalls import failure, function

_PR_CAPBSET_READ = 23
_VERSION_3 = 0x20080522

# In the kernel's order: a capability's number is its place here.
NAMES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
NUMBERS = {name: number for number, name in enumerate(NAMES)}


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


_Sets = ctypes.c_uint32 * 6
_capget = function("capget", ctypes.c_void_p, ctypes.c_void_p)
_capset = function("capset", ctypes.c_void_p, ctypes.c_void_p)
_prctl = function("prctl", ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)


def mask_of(names: tuple[str, ...]) -> int:
    """The bit mask of these names; an unknown name raises KernelError EINVAL naming it."""
    mask = 0
    for name in names:
        number = NUMBERS.get(name)
        if number is None:
            raise KernelError("capability", "", name, errno.EINVAL)
        mask |= 1 << number
    return mask


def names_of(mask: int) -> tuple[str, ...]:
    """The names in this mask; a capability newer than this list is CAP_<number>."""
    return tuple(
        NAMES[bit] if bit < len(NAMES) else f"CAP_{bit}" for bit in range(mask.bit_length()) if mask >> bit & 1
    )


def read_own_permitted() -> int:
    """The mask of what this process may have."""
    header = _Header(_VERSION_3, 0)
    sets = _Sets()
    if _capget(ctypes.byref(header), ctypes.byref(sets)) < 0:
        raise failure("capget")
    return int(sets[1]) | int(sets[4]) << 32


def read_own_bounding() -> int:
    """The mask of the bounding set, asked capability by capability until the kernel knows no more."""
    mask = 0
    for number in range(64):
        if _prctl(_PR_CAPBSET_READ, number, 0, 0, 0) < 0:
            break
        mask |= _prctl(_PR_CAPBSET_READ, number, 0, 0, 0) << number
    return mask


def set_own(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) on this process; EPERM names the capabilities that were asked for."""
    header = _Header(_VERSION_3, 0)
    low = 0xFFFFFFFF
    sets = _Sets(
        effective & low, permitted & low, inheritable & low, effective >> 32, permitted >> 32, inheritable >> 32
    )
    if _capset(ctypes.byref(header), ctypes.byref(sets)) < 0:
        raise failure("capset", value=",".join(names_of(permitted)))
