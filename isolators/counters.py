"""The text of cgroup files as numbers: one reading for live statistics and for the exit record's counters.

Counters are `controller/file` → text. What is not there, or is not what the kernel writes, is None: never an error, never a
guess.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from isolators.contract import CgroupPlace
from paddock.model.launch_plan import CgroupRead

_READ_BYTES = 65_536
V1_UNLIMITED_BYTES = 2**63 - 2**20
"""A v1 memory limit from here on means none: the kernel shows 2**63 − 1 rounded down to a page, whatever its size."""


def read_counters(place: CgroupPlace, reads: Iterable[CgroupRead]) -> tuple[dict[str, str], str]:
    """The files' text and, when there is any, why the first file that failed is missing.

    One open, one read each: this is the hot path of statistics. A file that this kernel does not have is not a failure
    as long as its cgroup exists.
    """
    counters: dict[str, str] = {}
    problem = ""
    for read in reads:
        directory = place.directory(read.controller)
        if directory is None:
            problem = problem or f"the container was started without a {read.controller} cgroup"
            continue
        path = f"{directory}/{read.file}"
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            if not problem and not os.path.isdir(directory):
                problem = f"the cgroup of {path} is not there: {error.strerror}"
            continue
        try:
            counters[f"{read.controller}/{read.file}"] = os.read(fd, _READ_BYTES).decode("ascii", "replace")
        except OSError as error:
            problem = problem or f"read {path}: {error.strerror}"
        finally:
            os.close(fd)
    return counters, problem


def integer(text: str | None) -> int | None:
    """The one whole number of a file; None for `max`, garbage and absence."""
    stripped = text.strip() if text is not None else ""
    return int(stripped) if stripped.isascii() and stripped.isdigit() and len(stripped) <= 20 else None


def flat_keyed(text: str | None) -> dict[str, int]:
    """Lines of `name number`; lines of another form are left out."""
    found: dict[str, int] = {}
    for line in (text or "").split("\n"):
        name, _, number = line.partition(" ")
        value = integer(number)
        if value is not None:
            found[name] = value
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
