"""What the kernel holds is given up, shown and tried again after seconds: in moments, while a file of this name is there."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

HASTE = "haste"

_MOMENT_NS, _MOMENT_S = 300_000_000, 0.3
# Each number of these, by its module and name (the defaults of a function are a tuple), and what it is in haste.
NUMBERS = {
    "agentd": (
        ("agentd.core.ending:RETRY_FIRST_NS", _MOMENT_NS),
        ("agentd.containerizer.places:EAR_TIMEOUT_S", _MOMENT_S),
        ("agentd.containerizer.places:Places.sweep.__defaults__", (_MOMENT_S,)),
        ("agentd.containerizer.native_recovery:ANSWER_TIMEOUT_S", _MOMENT_S),
        ("agentd.containerizer.native_recovery:_SWEEPS_TIMEOUT_S", _MOMENT_S),
    ),
    "launcher": (
        ("paddock.launch.finishing:_STUCK_AFTER_NS", _MOMENT_NS),
        ("paddock.launch.container_cgroup:ContainerCgroup.remove.__defaults__", (_MOMENT_S,)),
    ),
}
# Who is about to use one of them.
USERS = {
    "agentd": (
        "agentd.core.ending:_try_later",
        "agentd.containerizer.places:Places.connect",
        "agentd.containerizer.places:Places.sweep",
        "agentd.containerizer.native_recovery:NativeRecovery._look",
    ),
    "launcher": ("paddock.launch.finishing:advance", "paddock.launch.finishing:finish"),
}


def install(process: str, directory: str, found: Callable[[str], tuple[Any, str, Any]]) -> None:
    """`found`: who has what is named so, its name there, and what it is now."""
    path = os.path.join(directory, HASTE)
    numbers = [(*found(target), fast) for target, fast in NUMBERS[process]]

    def look() -> None:
        is_hasty = os.path.exists(path)
        for owner, name, slow, fast in numbers:
            setattr(owner, name, fast if is_hasty else slow)

    def wrap(target: str) -> None:
        owner, name, called = found(target)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            look()
            return called(*arguments, **named)

        setattr(owner, name, wrapped)

    for target in USERS[process]:
        wrap(target)
