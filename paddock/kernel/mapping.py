"""Memory at addresses that are known beforehand: call lists find each other there."""

from __future__ import annotations

import ctypes

from paddock.kernel.syscalls import function

ADDRESS = 0x2000_0000_0000
"""Far from where the kernel puts anything by itself; where a processor has no such address, mmap refuses it."""
PROTECTION = 3
"""PROT_READ | PROT_WRITE."""
FLAGS = 0x100002
"""MAP_FIXED_NOREPLACE | MAP_PRIVATE: what is written stays here, and nothing that is there is covered."""

WAITING_ADDRESS = ADDRESS - (1 << 20)
"""Of the list in which a shim waits for an order: a plan's list may end by going back into it."""
AGAIN_AT = 5 * 64
"""Where it does: so many bytes from there."""
WAITING_BYTES = 4096
_WAITING_FLAGS = 0x100022
"""MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS."""

mmap = function(
    "mmap",
    ctypes.c_void_p,
    ctypes.c_ulong,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
    result=ctypes.c_void_p,
)
"""Address (None: anywhere), length, protection, flags, descriptor, offset; -1, unsigned, where it failed."""
_munmap = function("munmap", ctypes.c_ulong, ctypes.c_ulong)


class Mapping:
    """A file that a call list has mapped at ADDRESS, as a copy of its own; it is unmapped with this object, so nobody may keep
    `memory` longer.
    """

    __slots__ = ("_size", "memory")

    def __init__(self, size: int) -> None:
        self._size = size
        self.memory = _memory_at(ADDRESS, size)

    def __del__(self) -> None:
        _munmap(ADDRESS, self._size)


def map_waiting() -> memoryview | None:
    """Once in a process' life; its forks have a copy. None where there is no such address, or it is taken."""
    if mmap(WAITING_ADDRESS, WAITING_BYTES, PROTECTION, _WAITING_FLAGS, -1, 0) != WAITING_ADDRESS:
        return None
    return _memory_at(WAITING_ADDRESS, WAITING_BYTES)


def _memory_at(address: int, size: int) -> memoryview:
    return memoryview((ctypes.c_char * size).from_address(address)).cast("B")
