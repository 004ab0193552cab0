"""Verbs that other packages bring, the daemons' own among them: the entry points of the group `paddock.verbs`.

An entry point names a module with SUMMARY, add_arguments and run. The command line knows none of those packages; they know it.
Read from the installed distributions' own files, because importlib.metadata takes longer to load than all of --help.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import NamedTuple

GROUP = "paddock.verbs"
_METADATA = ".dist-info"


class Offer(NamedTuple):
    """A module that somebody wants to be a verb."""

    verb: str
    module: str
    distribution: str


def offers(path: Sequence[str] | None = None) -> list[Offer]:
    """All of them, by verb; of a distribution that is installed twice those that Python would find first."""
    found: dict[str, list[Offer]] = {}
    for directory in sys.path if path is None else path:
        for name in _distributions(directory):
            distribution = name.removesuffix(_METADATA).partition("-")[0].lower().replace("_", "-").replace(".", "-")
            if distribution not in found:
                text = _text(os.path.join(directory, name, "entry_points.txt"))
                found[distribution] = [Offer(verb, module, distribution) for verb, module in _points(text)]
    return sorted(offer for each in found.values() for offer in each)


def _distributions(directory: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(directory or ".") if name.endswith(_METADATA))
    except OSError:
        return []  # a path entry may be an archive, or not there


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _points(text: str) -> Iterator[tuple[str, str]]:
    """Name and value of each in our group; the format is that of Python's packaging specifications."""
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[] ")
        elif section == GROUP and "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()


def problem(verb: str, found: Sequence[Offer], *, built_in: bool) -> str:
    """Why nobody can say what the verb means; empty: it can be loaded."""
    sources = [f"{offer.module} of {offer.distribution}" for offer in found if offer.verb == verb]
    if built_in:
        sources.insert(0, "paddock itself")
    if len(sources) < 2:
        return ""
    return f"offered {len(sources)} times (by {', '.join(sources)}): remove one of the packages"


def load(offer: Offer) -> ModuleType:
    """Raises ImportError, naming who brought it, for what cannot be loaded or is no verb."""
    try:
        module = importlib.import_module(offer.module)
    except Exception as error:
        # Whatever somebody else's module does when it is loaded.
        raise ImportError(f"{offer.module} of {offer.distribution} cannot be loaded: {error}") from error
    missing = [name for name in ("SUMMARY", "add_arguments", "run") if not hasattr(module, name)]
    if missing:
        raise ImportError(f"{offer.module} of {offer.distribution} is no verb: it has no {', '.join(missing)}")
    return module


def summaries(built_in: Sequence[str]) -> dict[str, str]:
    """Verb → one line for --help; what is wrong with it, where something is."""
    found = offers()
    told: dict[str, str] = {}
    for offer in found:
        told[offer.verb] = problem(offer.verb, found, built_in=offer.verb in built_in)
        if not told[offer.verb]:
            try:
                told[offer.verb] = str(load(offer).SUMMARY)
            except ImportError as error:
                told[offer.verb] = str(error)
    return told
