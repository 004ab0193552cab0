"""The text of cgroup files as numbers: one reading for live statistics and for the exit record's counters.

Counters are `controller/file` → text. What is not there, or is not what the kernel writes, is None: never an error, never a
guess.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable, Mapping

from isolators.contract import CgroupPlace
from paddock.model.launch_plan import CgroupRead

_READ_BYTES = 16_384
V1_UNLIMITED_BYTES = 2**63 - 2**20
"""A v1 memory limit from here on means none: the kernel shows 2**63 − 1 rounded down to a page, whatever its size."""


class DescriptorBudget:
    """How many descriptors one isolator may keep open: opening a cgroup file costs seven times as much as reading it."""

    __slots__ = ("left_count",)

    def __init__(self, left_count: int | None = None) -> None:
        """By default a fifth of what this process may have: three isolators leave two fifths to everything else."""
        if left_count is None:
            left_count = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 5
        self.left_count = left_count


class CounterFiles:
    """The counter files of one container, kept open as long as the budget lets, because statistics read them again and again.

    An open file does not keep a cgroup from being removed; afterwards reading it answers ENODEV.
    """

    __slots__ = ("_absent", "_budget", "_files", "_kept", "_problem")

    def __init__(
        self, place: CgroupPlace, reads: Iterable[CgroupRead], budget: DescriptorBudget, absent: set[str] | None = None
    ) -> None:
        """`absent`: names that this kernel does not have, shared among containers and learned while reading."""
        self._budget = budget
        self._absent: set[str] = set() if absent is None else absent
        self._files: list[tuple[str, str, str]] = []
        self._kept: dict[str, int] = {}
        self._problem = ""
        for read in reads:
            directory = place.directory(read.controller)
            if directory is None:
                self._problem = self._problem or f"the container was started without a {read.controller} cgroup"
            else:
                self._files.append((f"{read.controller}/{read.file}", directory, read.file))

    def read(self) -> tuple[dict[str, str], str]:
        """The files' text and, when there is any, why the first that failed is missing.

        One read each. A file that this kernel does not have is no failure as long as its cgroup exists.
        """
        counters: dict[str, str] = {}
        problem = self._problem
        kept = self._kept
        for key, directory, file in self._files:
            fd = kept.get(key, -1)
            try:
                if fd < 0:
                    if key in self._absent:
                        continue
                    counters[key] = self._open_and_read(key, f"{directory}/{file}")
                else:
                    counters[key] = os.pread(fd, _READ_BYTES, 0).decode("ascii", "replace")
            except OSError as error:
                if os.path.exists(f"{directory}/{file}"):
                    problem = problem or f"read {directory}/{file}: {error.strerror}"
                elif os.path.isdir(directory):
                    self._absent.add(key)
                else:
                    problem = problem or f"the cgroup of {directory}/{file} is not there: {error.strerror}"
        return counters, problem

    def _open_and_read(self, key: str, path: str) -> str:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        is_kept = False
        try:
            text = os.pread(fd, _READ_BYTES, 0).decode("ascii", "replace")
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
        while self._kept:
            os.close(self._kept.popitem()[1])
            self._budget.left_count += 1


def read_counters(place: CgroupPlace, reads: Iterable[CgroupRead]) -> tuple[dict[str, str], str]:
    """Once, for what is not asked again and again."""
    return CounterFiles(place, reads, DescriptorBudget(0)).read()


def integer(text: str | None) -> int | None:
    """The one whole number of a file; None for `max`, garbage and absence."""
    stripped = text.strip() if text is not None else ""
    return int(stripped) if stripped.isascii() and stripped.isdigit() and len(stripped) <= 20 else None


def picked(text: str | None, *names: str) -> list[int | None]:
    """The numbers of these names in lines of `name number`; the other forty lines of memory.stat are not looked at."""
    found: list[int | None] = []
    lines = f"\n{text or ''}\n"
    for name in names:
        start = lines.find(f"\n{name} ")
        if start < 0:
            found.append(None)
            continue
        start += len(name) + 2
        found.append(integer(lines[start : lines.find("\n", start)]))
    return found


def first(counters: Mapping[str, str], *names: str) -> int | None:
    """The number of the first of these files that is there: the same thing has another name on v1 and v2."""
    for name in names:
        value = integer(counters.get(name))
        if value is not None:
            return value
    return None


def byte_limit(counters: Mapping[str, str], *names: str) -> int | None:
    """A limit in bytes; None also for no limit, which v1 shows as a very large number."""
    value = first(counters, *names)
    return None if value is None or value >= V1_UNLIMITED_BYTES else value
