"""The isolators in their order, and how the words of --isolation become them.

The order is meaning: `prepare` goes down this table, `cleanup` up. Third parties' isolators come after ours, in the order of
the flag.
"""

from __future__ import annotations

import difflib
from collections import Counter
from importlib.metadata import EntryPoint, entry_points

from isolators.cgroups.cpu import CpuIsolator
from isolators.cgroups.mem import MemoryIsolator
from isolators.cgroups.pids import PidsIsolator
from isolators.contract import HostFacts, Isolator, IsolatorSettings
from isolators.disk.du import DiskUsageIsolator
from isolators.filesystem.posix import PosixFilesystemIsolator
from isolators.linux.capabilities import CapabilitiesIsolator
from isolators.linux.nnp import NoNewPrivilegesIsolator
from isolators.namespaces.pid import PidNamespaceIsolator
from isolators.posix.rlimits import RlimitsIsolator
from paddock.model.errors import ConfigError

ENTRY_POINT_GROUP = "paddock.isolators"

TABLE: tuple[type[Isolator], ...] = (
    PosixFilesystemIsolator,
    CpuIsolator,
    MemoryIsolator,
    PidsIsolator,
    CapabilitiesIsolator,
    NoNewPrivilegesIsolator,
    PidNamespaceIsolator,
    DiskUsageIsolator,
    RlimitsIsolator,
)

DEFAULT_ISOLATION = ",".join(isolator.name for isolator in TABLE)
"""Everything on: a bound that must be asked for protects nobody."""

ALIASES = {
    "cgroups": ("cgroups/cpu", "cgroups/mem"),
    "cgroups/all": ("cgroups/cpu", "cgroups/mem", "cgroups/pids"),
    "posix/disk": ("disk/du",),
}
"""Mesos' words for the same."""


def parse_isolation(text: str, third_party: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """The names in prepare order. Mesos' rules: no duplicates, no unknown names, exactly one filesystem/* (ours is added).

    Raises ConfigError with every problem at once.
    """
    asked = [word.strip() for word in text.split(",") if word.strip()]
    names = [name for word in asked for name in ALIASES.get(word, (word,))]
    built_in = [isolator.name for isolator in TABLE]
    known = frozenset(built_in) | third_party
    problems = [
        f"--isolation: {name!r} is there {count} times: name it once"
        for name, count in Counter(names).items()
        if count > 1
    ]
    problems += [_unknown(name, known) for name in dict.fromkeys(names) if name not in known]
    filesystems = [name for name in dict.fromkeys(names) if name.startswith("filesystem/")]
    if len(filesystems) > 1:
        problems.append(f"--isolation: {' and '.join(filesystems)} exclude each other: keep one")
    if problems:
        raise ConfigError(tuple(problems))
    if not filesystems:
        names.append(PosixFilesystemIsolator.name)
    return (*(name for name in built_in if name in names), *(name for name in names if name not in built_in))


def _unknown(name: str, known: frozenset[str]) -> str:
    words = sorted(known | ALIASES.keys())
    ending = name.rpartition("/")[2]
    # posix/cpu is meant as cgroups/cpu; otherwise it is a slip of the fingers.
    near = [word for word in words if word.rpartition("/")[2] == ending] or difflib.get_close_matches(name, words, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"--isolation: {name!r} is unknown: {hint}known are {', '.join(sorted(known))}"


def third_party_entry_points() -> tuple[EntryPoint, ...]:
    """What other distributions offer, under the names that --isolation takes; nothing of it is imported yet."""
    return tuple(sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name))


def create(
    isolation: str,
    host: HostFacts,
    settings: IsolatorSettings,
    third_party: tuple[EntryPoint, ...] | None = None,
) -> tuple[Isolator, ...]:
    """The isolators of the flag, in prepare order. Only what is named is imported and made.

    Raises ConfigError with every problem at once: the flag's, a clash of names, a host that cannot do it.
    """
    points = third_party_entry_points() if third_party is None else third_party
    _refuse_clashes(points)
    by_name = {point.name: point for point in points}
    built_in = {isolator.name: isolator for isolator in TABLE}
    made: list[Isolator] = []
    problems: list[str] = []
    for name in parse_isolation(isolation, frozenset(by_name)):
        try:
            made.append((built_in.get(name) or _load(by_name[name]))(host, settings))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(tuple(problems))
    return tuple(made)


def _refuse_clashes(points: tuple[EntryPoint, ...]) -> None:
    """A name must say one thing: a package could otherwise replace cgroups/mem unseen."""
    counts = Counter([isolator.name for isolator in TABLE] + [point.name for point in points])
    problems = [
        f"isolator {name!r} is offered {count} times (by {_offers(name, points)}): remove one of the packages"
        for name, count in counts.items()
        if count > 1
    ]
    if problems:
        raise ConfigError(tuple(problems))


def _offers(name: str, points: tuple[EntryPoint, ...]) -> str:
    ours = ["paddock"] if any(isolator.name == name for isolator in TABLE) else []
    return ", ".join(ours + [point.value for point in points if point.name == name])


def _load(point: EntryPoint) -> type[Isolator]:
    where = f"--isolation: {point.name!r} (entry point {point.value})"
    try:
        loaded: object = point.load()
    except Exception as error:  # a foreign module: whatever it raises is its defect, named here
        raise ConfigError((f"{where} cannot be loaded: {type(error).__name__}: {error}",)) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Isolator)):
        raise ConfigError((f"{where} is not a subclass of isolators.contract.Isolator",))
    if getattr(loaded, "name", None) != point.name:
        raise ConfigError((f"{where} calls itself {getattr(loaded, 'name', None)!r}: both names must be the same",))
    return loaded
