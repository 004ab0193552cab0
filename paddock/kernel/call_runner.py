"""Who carries call lists out: machine code where there is some for this processor, Python elsewhere."""

from __future__ import annotations

import ctypes
import struct

from paddock.kernel.call_list import (
    ARGUMENT_COUNT,
    COMPARE,
    END,
    INSTRUCTION_BYTES,
    LAND,
    LOWEST_ERROR,
    RELOCATE,
    RESULT_OFFSET,
    STORE,
)
from paddock.kernel.mapping import mmap
from paddock.kernel.syscalls import function, raw_syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BYTES = {
    "x86_64": bytes.fromhex(
        "534154415541564889fb4c8d24374d8b2c24498b7c2408490fbae51073034801df490fbae511730348633f498b742410490fbae5"
        "1273034801de490fbae5137303486336498b542418490fbae51473034801da490fbae51573034863124d8b542420490fbae51673"
        "034901da490fbae51773034d63124d8b442428490fbae51873034901d8490fbae51973034d63004d8b4c2430490fbae51a730349"
        "01d9490fbae51b73034d6309410fb7c53dfaff00000f83950000000f054885c075104d89ee49c1ee284181e6ff0f000075264989"
        "442438483d01f0ffff73264983c440e92affffff4d89ee49c1ee284181e6ff0f000074e749c1e6064e8d2433e90dffffff48f7d8"
        "4d89ee49c1ee34741949c1e6064901deb90800000049390674bd4983c608ffc975f34d89ee49c1ee1c4181e6ff0f000074a549c1"
        "e6064901de4929dc4d8966384d89f4e9c2feffff742e3dfcff0000723374103dfeff000072867739893ee974ffffff4885f60f84"
        "6bffffff4801174883c70848ffceebeb4889fb4c8d2437e986feffff39c089d1f3a60f8450ffffffe942ffffff4889f8415e415d"
        "415c5bc3"
    ),
    "aarch64": bytes.fromhex(
        "f353bea9f50b00f9f30300aa1400018b950240f9800640f9550080360000138b55008836000080b9810a40f9550090362100138b"
        "55009836210080b9820e40f95500a0364200138b5500a836420080b9831240f95500b0366300138b5500b836630080b9841640f9"
        "5500c0368400138b5500c836840080b9851a40f95500d036a500138b5500d836a50080b9a83e409249ff9fd21f0109ebe2030054"
        "010000d4600000b5aace68d30a0100b5801e00f91ffc3fb1e200005494020191d5ffff17aace68d3aaffffb4741a0a8bd1ffff17"
        "e00300cbaafe74d30a0100b46a1a0a8b0b0180d24c8540f81f000ceb60feff546b0500f181ffff54aa9e5cd3eafdffb46a1a0a8b"
        "8b0213cb4b1d00f9f4030aaac0ffff172002005489ff9fd21f0109eb23020054e0000054c9ff9fd21f0109eb83fcff5468020054"
        "200000b9dfffff17c1fbffb4090040f92901028b098400f8210400d1fbffff17f30300aa1400018bacffff17e2faffb409144038"
        "2a144038420400d13f010a6b60ffff54cfffff17f50b40f9f353c2a8c0035fd6"
    ),
}
_INSTRUCTION = struct.Struct("8Q")
# call_list_<machine>.S: long run(void *base, long first).

_mprotect = function("mprotect", ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int)
_READ_WRITE = 3
_READ_EXECUTE = 5
_PRIVATE_ANONYMOUS = 0x22
_FAILED = ctypes.c_void_p(-1).value


class CallRunner:
    """Made once, by the launcher; its shims inherit it. `shares_memory`: a child may share its parent's memory.

    `keeps_gil`: whether other threads' Python waits meanwhile; in the child of a raw clone3 nobody may touch the GIL's lock.
    """

    __slots__ = ("_machine_code", "shares_memory")

    def __init__(self, machine: str, *, keeps_gil: bool = True) -> None:
        self._machine_code = _load(BYTES.get(machine, b""), keeps_gil=keeps_gil)
        self.shares_memory = self._machine_code is not None

    def run(self, memory: bytearray | memoryview, first: int) -> int:
        """Carry out the list in this memory, from instruction `first` on; returns what its end says.

        The memory is written to, and must stay for as long as a child that shares it has not executed another program.
        """
        base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        if self._machine_code is not None:
            return self._machine_code(base, first * INSTRUCTION_BYTES)
        return _run_in_python(memory, base, first)


def _load(code: bytes, *, keeps_gil: bool) -> Callable[[int, int], int] | None:
    """The machine code as a function; None where there is none, or where no memory may be made executable."""
    if not code:
        return None
    address = mmap(None, len(code), _READ_WRITE, _PRIVATE_ANONYMOUS, -1, 0)
    if address == _FAILED:
        return None
    ctypes.memmove(address, code, len(code))
    if _mprotect(address, len(code), _READ_EXECUTE) < 0:
        return None
    make_kind = ctypes.PYFUNCTYPE if keeps_gil else ctypes.CFUNCTYPE
    return make_kind(ctypes.c_long, ctypes.c_void_p, ctypes.c_long)(address)


def _run_in_python(memory: bytearray | memoryview, base: int, first: int) -> int:
    offset = first * INSTRUCTION_BYTES
    while True:
        word, *words = _INSTRUCTION.unpack_from(memory, offset)
        arguments = [_argument(base, word, index, words[index]) for index in range(ARGUMENT_COUNT)]
        number = word & 0xFFFF
        if number == END:
            return ctypes.c_long(arguments[0]).value
        target = word >> 40 & 0xFFF if number == LAND or _is_same(number, arguments) else 0
        if number == STORE:
            ctypes.c_int.from_address(arguments[1]).value = ctypes.c_int(arguments[0]).value
        elif number == RELOCATE:
            for index in range(arguments[1]):
                ctypes.c_uint64.from_address(arguments[0] + index * 8).value += arguments[2]
        elif number not in (LAND, COMPARE):
            result = raw_syscall(number, arguments)
            target = _target(memory, word, result)
            if result or not target:
                memory[offset + RESULT_OFFSET : offset + INSTRUCTION_BYTES] = result.to_bytes(8, "little", signed=True)
            if target and result < 0:
                at = target * INSTRUCTION_BYTES + RESULT_OFFSET
                memory[at : at + 8] = offset.to_bytes(8, "little")
        offset = target * INSTRUCTION_BYTES if target else offset + INSTRUCTION_BYTES


def _is_same(number: int, arguments: list[int]) -> bool:
    one, other, size = arguments[:3]
    return number == COMPARE and ctypes.string_at(one, size) == ctypes.string_at(other, size)


def _argument(base: int, word: int, index: int, value: int) -> int:
    kind = word >> (16 + 2 * index)
    if kind & 1:
        value += base
    return ctypes.c_int.from_address(value).value if kind & 2 else value


def _target(memory: bytearray | memoryview, word: int, result: int) -> int:
    """Where to go on after a call; 0 is the next instruction."""
    if result == 0:
        return word >> 40 & 0xFFF
    if not LOWEST_ERROR <= result < 0:
        return 0
    ignored = word >> 52
    if ignored and -result in _INSTRUCTION.unpack_from(memory, ignored * INSTRUCTION_BYTES):
        return 0
    return word >> 28 & 0xFFF
