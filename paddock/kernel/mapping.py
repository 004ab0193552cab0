"""A file mapped at an address that is known beforehand: its own copy, for as long as the object lives."""

from __future__ import annotations

import ctypes

from paddock.kernel.syscalls import function

ADDRESS = 0x2000_0000_0000
"""Far from where the kernel puts anything by itself; where a processor has no such address, mmap refuses it."""
PROTECTION = 3
"""PROT_READ | PROT_WRITE."""
FLAGS = 0x100002
"""MAP_FIXED_NOREPLACE | MAP_PRIVATE: what is written stays here, and nothing that is there is covered."""

_munmap = function("munmap", ctypes.c_ulong, ctypes.c_ulong)


class Mapping:
    """What a call list has mapped at ADDRESS; it is unmapped with this object, so nobody may keep `memory` longer."""

    __slots__ = ("_size", "memory")

    def __init__(self, size: int) -> None:
        self._size = size
        self.memory = memoryview((ctypes.c_char * size).from_address(ADDRESS)).cast("B")

    def __del__(self) -> None:
        _munmap(ADDRESS, self._size)
