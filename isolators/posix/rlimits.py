"""posix/rlimits: the resource limits of setrlimit(2) that a task asks for."""

from __future__ import annotations

from typing import ClassVar

from isolators.contract import Isolator
from paddock.model.container import ContainerConfig
from paddock.model.errors import InvalidRequest
from paddock.model.launch_plan import LaunchPlan
from paddock.model.task import Rlimit

NAMES = frozenset(
    f"RLMT_{name}"
    for name in (
        *("AS", "CORE", "CPU", "DATA", "FSIZE", "LOCKS", "MEMLOCK", "MSGQUEUE"),
        *("NICE", "NOFILE", "NPROC", "RSS", "RTPRIO", "RTTIME", "SIGPENDING", "STACK"),
    )
)
RLIM_INFINITY = 2**64 - 1


class RlimitsIsolator(Isolator):
    """Soft and hard both, or neither for unlimited. A hard limit above the agent's own is refused by the kernel: EPERM."""

    name: ClassVar[str] = "posix/rlimits"
    ends_briefly: ClassVar[bool] = True

    def prepare(self, container: ContainerConfig) -> LaunchPlan:
        """In the order given. Raises InvalidRequest naming the one that cannot be."""
        seen: set[str] = set()
        for index, rlimit in enumerate(container.container.rlimits):
            check(rlimit, f"container.rlimits[{index}]")
            if rlimit.resource in seen:
                raise InvalidRequest(f"container.rlimits[{index}].resource", rlimit.resource, "name each resource once")
            seen.add(rlimit.resource)
        return LaunchPlan(rlimits=container.container.rlimits)


def check(rlimit: Rlimit, field: str) -> None:
    """Raises InvalidRequest for what setrlimit could never do."""
    if rlimit.resource not in NAMES:
        raise InvalidRequest(f"{field}.resource", rlimit.resource, f"use one of {', '.join(sorted(NAMES))}")
    if (rlimit.soft is None) != (rlimit.hard is None):
        raise InvalidRequest(field, (rlimit.soft, rlimit.hard), "give soft and hard both, or neither for unlimited")
    if rlimit.soft is not None and rlimit.hard is not None and not 0 <= rlimit.soft <= rlimit.hard <= RLIM_INFINITY:
        raise InvalidRequest(field, (rlimit.soft, rlimit.hard), "use 0 ≤ soft ≤ hard < 2**64")
