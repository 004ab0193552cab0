"""Lists of system calls, carried out without a line of Python.

A process that Python forks copies every page on which it touches an object, and pays for each; a child that shares its
parent's memory may not run Python at all. So what has to be done is written down beforehand, as a list, and carried out by a
few hundred bytes of machine code (call_list_<machine>.S; a test builds them anew and compares). Where there are no bytes for
a processor, or no memory may be made executable, Python carries the same list out, in a child with a memory of its own.

An instruction is eight words: what to do, six arguments, and its result when it has been done. The first word holds, from
the lowest bit on: the call's number (16 bits), what each argument is (6 × 2: a number, or a place in the list's memory, or
the 32 bits that stand at that place), and three instructions of the list (12 bits each, 0 is none): where to go on after
an error, where after a result of zero, and where up to eight errors are listed which do not matter. An error without a
place to go on does not matter either. A zero that leads elsewhere leaves no result: what clone3 returns to a child that
shares the memory would take the place of what it returns to the parent, a moment before that is read.
"""

from __future__ import annotations

import array
import errno
import struct

from paddock.kernel.call_numbers import NUMBERS
from paddock.kernel.errors import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Place = tuple[int, int, int]
    """(kind, region, offset): a place in the list's memory, or what stands there."""
    Argument = int | Place

INSTRUCTION_BYTES = 64
ARGUMENT_COUNT = 6
RESULT_OFFSET = 56
LOWEST_ERROR = -4095
MAX_INSTRUCTIONS = 4095
# What an instruction does when it calls nothing.
ENTER = 0xFFFA
COMPARE = 0xFFFB
RELOCATE = 0xFFFC
LAND = 0xFFFD
STORE = 0xFFFE
END = 0xFFFF
_AT = 1
_VALUE_AT = 3
_IN_LIST = 0
_IN_DATA = 1
_DATA: Place = (_AT, _IN_DATA, 0)
_WORD_MASK = (1 << 64) - 1
_EMPTY = array.array("Q", bytes(INSTRUCTION_BYTES))


class CallList:
    """A list in the making. Instruction 0 is never carried out: as a place to go to, it means none."""

    __slots__ = ("_data", "_pointers", "_words")

    def __init__(self) -> None:
        self._words = array.array("Q", (END, *(0,) * 7))
        # Where in the words the offsets into the data are: these begin where the instructions end.
        self._pointers: list[int] = []
        self._data = bytearray()

    def copy(self) -> CallList:
        """Another one that begins as this one."""
        other = CallList()
        other._words = self._words[:]
        other._pointers = self._pointers.copy()
        other._data = self._data.copy()
        return other

    @property
    def here(self) -> int:
        """The index of the next instruction."""
        return len(self._words) >> 3

    def call(self, name: str, *arguments: Argument, fail: int = 0, zero: int = 0, ignored: int = 0) -> int:
        """A system call; returns its index."""
        return self._add(NUMBERS[name] | fail << 28 | zero << 40 | ignored << 52, arguments)

    def land(self, onward: int = 0) -> int:
        """A place to go on at after an error: where that was is kept as its result. Goes on at `onward`, if given."""
        return self._add(LAND | onward << 40, ())

    def store(self, value: Argument, place: Place | int) -> None:
        """Write 32 bits to a place, or to an address."""
        self._add(STORE, (value, place))

    def enter(self, address: Argument, at: Argument) -> None:
        """Go on with the list at this address, so many bytes from its beginning; its end is this one's. Machine code only."""
        self._add(ENTER, (address, at))

    def compare(self, one: Place, other: Place, size: int, same: int) -> None:
        """Go on at `same` where so many bytes are the same, else with the next instruction."""
        self._add(COMPARE | same << 40, (one, other, size))

    def relocate(self, place: Place, count: int) -> None:
        """Turn so many words, each an offset into the data, into addresses."""
        self._add(RELOCATE, (place, count, _DATA))

    def end(self, value: Argument = 0) -> None:
        """Return this to who has the list carried out."""
        self._add(END, (value,))

    def reserve(self, count: int) -> Place:
        """Memory in the place of so many instructions, never to be carried out: it stands where others can know."""
        at = self.here
        self._words.extend(_EMPTY * count)
        return (_AT, _IN_LIST, at * INSTRUCTION_BYTES)

    def errors(self, *numbers: int) -> int:
        """At most eight errors that do not matter; returns the index. Never to be carried out."""
        self._words.extend((*numbers, *(0,) * (8 - len(numbers))))
        return self.here - 1

    def _add(self, word: int, arguments: tuple[Argument, ...]) -> int:
        words = self._words
        at = position = len(words)
        if at >= 8 * MAX_INSTRUCTIONS:
            raise KernelError("call list", "", f"more than {MAX_INSTRUCTIONS} steps", errno.E2BIG)
        words.extend(_EMPTY)
        bit = 16
        for argument in arguments:
            position += 1
            if type(argument) is tuple:
                kind, region, words[position] = argument
                word |= kind << bit
                if region:
                    self._pointers.append(position)
            elif argument:
                words[position] = argument & _WORD_MASK  # type: ignore[operator]
            bit += 2
        words[at] = word
        return at >> 3

    def set_header(self, *words: int) -> None:
        """Seven words of one's own in instruction 0."""
        self._words[1:8] = array.array("Q", words)

    def put(self, content: bytes) -> Place:
        """Bytes that the kernel reads or writes; they begin at a multiple of eight."""
        offset = len(self._data)
        self._data += content.ljust(len(content) + 7 & ~7, b"\0")
        return (_AT, _IN_DATA, offset)

    def replace(self, place: Place, content: bytes) -> None:
        """Write into the data, when all that it depends on is known."""
        self._data[place[2] : place[2] + len(content)] = content

    def text(self, text: str) -> Place:
        """A path or a word, with its NUL."""
        return self.put(text.encode("utf-8", "surrogateescape") + b"\0")

    def vector(self, strings: Iterable[str]) -> Place:
        """An array of pointers to these, as execve takes it; they point there once the list is being carried out."""
        offsets = [self.text(text)[2] for text in strings]
        place = self.put(struct.pack(f"{len(offsets) + 1}Q", *offsets, 0))
        if offsets:
            self.relocate(place, len(offsets))
        return place

    @property
    def size(self) -> int:
        """Bytes of the instructions: the data begin there."""
        return 8 * len(self._words)

    @property
    def length(self) -> int:
        """Bytes of all of it."""
        return self.size + len(self._data)

    def to_bytes(self) -> bytearray:
        """The memory in which it is carried out: instructions, then data."""
        words, size = self._words[:], self.size
        for position in self._pointers:
            words[position] += size
        return bytearray(words.tobytes()) + self._data


BEGINNING: Place = (_AT, _IN_LIST, 0)
"""The list itself: its instructions with their results."""


def result_of(index: int) -> Place:
    """As an argument: what that instruction has returned, once it has been carried out."""
    return (_VALUE_AT, _IN_LIST, index * INSTRUCTION_BYTES + RESULT_OFFSET)


def value_at(place: Place, offset: int = 0) -> Place:
    """As an argument: the 32 bits that stand there when the call is made."""
    return (_VALUE_AT, place[1], place[2] + offset)


def within(place: Place, offset: int) -> Place:
    """So many bytes further on."""
    return (place[0], place[1], place[2] + offset)


def result_in(memory: bytes | bytearray | memoryview, index: int) -> int:
    """What an instruction has returned, as a signed number."""
    end = (index + 1) * INSTRUCTION_BYTES
    return int.from_bytes(memory[end - 8 : end], "little", signed=True)
