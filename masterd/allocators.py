"""Which allocator decides: the built-in ones and those of other packages, by the name in the setting `allocator`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from masterd.allocator.drf_allocator import DrfAllocator
from masterd.allocator.interface import Allocator, AllocatorSettings
from masterd.allocator.random_allocator import RandomAllocator
from paddock.model.errors import ConfigError

ENTRY_POINT_GROUP = "paddock.allocators"

AllocatorMaker = Callable[[AllocatorSettings], Allocator]
"""What an entry point names: a class, or any function, that makes an allocator of the settings. It raises ConfigError naming
one that it cannot honour.
"""

BUILT_IN: dict[str, AllocatorMaker] = {"drf": DrfAllocator, "random": RandomAllocator}


def third_party_entry_points() -> tuple[EntryPoint, ...]:
    """What other distributions offer; nothing of it is imported yet."""
    return tuple(sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name))


def check_name(name: str) -> str | None:
    """What is wrong with the name; None: nothing."""
    points = third_party_entry_points()
    offers = [point.value for point in points if point.name == name]
    if name in BUILT_IN:
        offers.insert(0, "paddock")
    if len(offers) > 1:
        return f"{name!r} is offered {len(offers)} times (by {', '.join(offers)}): remove one of the packages"
    if not offers:
        known = sorted({*BUILT_IN, *(point.name for point in points)})
        return f"there is no allocator {name!r}; known are {', '.join(known)}"
    return None


def create(name: str, settings: AllocatorSettings) -> Allocator:
    """The allocator of that name. Raises ConfigError; only what is named is imported."""
    problem = check_name(name)
    if problem is not None:
        raise ConfigError((f"allocator: {problem}",))
    make = BUILT_IN.get(name)
    if make is None:
        point = next(point for point in third_party_entry_points() if point.name == name)
        try:
            make = cast("AllocatorMaker", point.load())
        except (ImportError, AttributeError) as error:
            raise ConfigError((f"allocator: {name!r} ({point.value}) cannot be loaded: {error}",)) from error
    return make(settings)
