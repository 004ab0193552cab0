"""The text of cgroup files as numbers: one reading for live statistics and for the exit record's counters.

Counters are `controller/file` → text, as bytes: decoding a thousand containers' files took as long as reading half of them.
What is not there, or is not what the kernel writes, is None: never an error, never a guess.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from isolators.contract import CgroupPlace
from paddock.model.launch_plan import CgroupRead

_READ_BYTES = 16_384
_DIGITS_LIMIT_COUNT = 20
"""2**64 has as many: the kernel writes no more."""

V1_UNLIMITED_BYTES = 2**63 - 2**20
"""A v1 memory limit from here on means none: the kernel shows 2**63 − 1 rounded down to a page, whatever its size."""


class DescriptorBudget:
    """How many descriptors one isolator may keep open: opening a cgroup file costs ten times as much as reading it."""

    __slots__ = ("left_count",)

    def __init__(self, left_count: int) -> None:
        """See `for_statistics` for how many there should be."""
        self.left_count = left_count

    @classmethod
    def for_statistics(cls, files_count: int) -> DescriptorBudget:
        """For the same number of containers in each isolator, however many files it reads of each: a twentieth of what this
        process may open. The dozen files that all isolators read take three fifths then.
        """
        return cls(files_count * (resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 20))


class CounterFiles:
    """The counter files of one container, kept open as long as the budget lets, because statistics read them again and again.

    An open file does not keep a cgroup from being removed; afterwards reading it answers ENODEV.
    """

    __slots__ = ("_absent", "_budget", "_given", "_is_all_kept", "_kept", "_place", "_problem", "_reads", "fds")

    def __init__(
        self, place: CgroupPlace, reads: Sequence[CgroupRead], budget: DescriptorBudget, absent: set[str] | None = None
    ) -> None:
        """`absent`: names that this kernel does not have, shared among containers and learned while reading."""
        self._budget = budget
        self._absent: set[str] = set() if absent is None else absent
        self._place = place
        self._reads = reads
        self._kept: dict[str, int] = {}
        self._is_all_kept = False
        self._given: Sequence[bytes] = ()
        self._problem = ""
        self.fds: tuple[int, ...] = ()
        """Of all files, while they are kept open."""

    def give(self, texts: Sequence[bytes]) -> None:
        """What has been read from `fds`: the next `read` answers with it."""
        self._given = texts

    def read(self) -> tuple[dict[str, bytes], str]:
        """The files' text and, when there is any, why the first that failed is missing.

        One read each. A file that this kernel does not have is no failure as long as its cgroup exists.
        """
        if self._given:
            given, self._given = self._given, ()
            return dict(zip(self._kept, given, strict=True)), self._problem
        if self._is_all_kept:
            pread = os.pread
            try:
                return {key: pread(fd, _READ_BYTES, 0) for key, fd in self._kept.items()}, self._problem
            except OSError:
                pass  # the cgroup went away: each file says so for itself
        return self._read_each()

    def _files(self) -> list[tuple[str, str, str]]:
        """Key, directory and name of each: found when it is asked for, since most containers end before."""
        files = []
        for read in self._reads:
            directory = self._place.directory(read.controller)
            if directory is None:
                self._problem = self._problem or f"the container was started without a {read.controller} cgroup"
            else:
                files.append((f"{read.controller}/{read.file}", directory, read.file))
        return files

    def _read_each(self) -> tuple[dict[str, bytes], str]:
        counters: dict[str, bytes] = {}
        files = self._files()
        problem = self._problem
        for key, directory, file in files:
            fd = self._kept.get(key, -1)
            try:
                if fd < 0:
                    if key in self._absent:
                        continue
                    counters[key] = self._open_and_read(key, f"{directory}/{file}")
                else:
                    counters[key] = os.pread(fd, _READ_BYTES, 0)
            except OSError as error:
                if os.path.exists(f"{directory}/{file}"):
                    problem = problem or f"read {directory}/{file}: {error.strerror}"
                elif os.path.isdir(directory):
                    self._absent.add(key)
                else:
                    problem = problem or f"the cgroup of {directory}/{file} is not there: {error.strerror}"
        self._is_all_kept = all(key in self._kept or key in self._absent for key, _directory, _file in files)
        self.fds = tuple(self._kept.values()) if self._is_all_kept else ()
        return counters, problem

    def _open_and_read(self, key: str, path: str) -> bytes:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        is_kept = False
        try:
            text = os.pread(fd, _READ_BYTES, 0)
            is_kept = self._budget.left_count > 0
        finally:
            if is_kept:
                self._budget.left_count -= 1
                self._kept[key] = fd
            else:
                os.close(fd)
        return text

    def close(self) -> None:
        """Give back what was kept open; reading opens it again."""
        self._is_all_kept = False
        self.fds = self._given = ()
        while self._kept:
            os.close(self._kept.popitem()[1])
            self._budget.left_count += 1


def read_counters(place: CgroupPlace, reads: Sequence[CgroupRead]) -> tuple[dict[str, bytes], str]:
    """Once, for what is not asked again and again."""
    return CounterFiles(place, reads, DescriptorBudget(0)).read()


def recorded(counters: Mapping[str, str]) -> dict[str, bytes]:
    """An exit record's counters, as if they were read from the kernel now."""
    return {name: text.encode("utf-8", "replace") for name, text in counters.items()}


def integer(text: bytes | None) -> int | None:
    """The one whole number of a file; None for `max`, garbage and absence."""
    if text is None:
        return None
    digits = text.strip()
    return int(digits) if digits.isdigit() and len(digits) <= _DIGITS_LIMIT_COUNT else None


@dataclass(frozen=True, slots=True)
class Names:
    """Names of numbers in lines of `name number`, ready to be looked for: statistics look for them a thousand times."""

    _needles: tuple[bytes, ...]

    @classmethod
    def of(cls, *names: str) -> Names:
        """In the order in which their numbers are wanted."""
        return cls(tuple(f"\n{name} ".encode() for name in names))

    def numbers(self, text: bytes | None) -> list[int | None]:
        """One for each name, None where it is not there; the other forty lines of memory.stat are not looked at."""
        if text is None:
            return [None] * len(self._needles)
        found: list[int | None] = []
        lines = b"\n%b\n" % text
        for needle in self._needles:
            start = lines.find(needle)
            if start < 0:
                found.append(None)
                continue
            start += len(needle)
            digits = lines[start : lines.find(b"\n", start)]
            is_number = digits.isdigit() and len(digits) <= _DIGITS_LIMIT_COUNT
            found.append(int(digits) if is_number else None)
        return found


def byte_limit(value: int | None) -> int | None:
    """A limit in bytes; None also for no limit, which v1 shows as a very large number."""
    return None if value is None or value >= V1_UNLIMITED_BYTES else value
