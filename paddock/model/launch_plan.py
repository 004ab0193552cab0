"""What an isolator wants done for a container, as a value. One small piece of code, the shim, does it.

Steps are declarative and closed: what is not here cannot be asked. Plans of several isolators are merged in the table's
order; two that disagree are an error naming both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from paddock.model.errors import PlanConflict
from paddock.model.task import Rlimit

Step = TypeVar("Step")


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupWrite:
    """`value` into `file` of the container's cgroup under `controller` (v2: the controller is only a word for
    messages).

    `optional`: the file may be missing on this host (no swap accounting, say); that is reported, not fatal. A limit
    that was asked for is never optional. `resource` and `asked` are for `explain`: which asked thing this write carries
    out.
    """

    controller: str
    file: str
    value: str
    optional: bool = False
    resource: str = ""
    asked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupRead:
    """A file to read after the command's end and before the cgroup is removed."""

    controller: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MountStep:
    """A mount inside the container's mount namespace. `flags` are names: nosuid nodev noexec ro bind rec."""

    source: str
    target: str
    type: str
    flags: tuple[str, ...] = ()
    data: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Sets by name (CAP_…). ambient ⊆ effective ⊆ bounding; a task that is not root keeps them through ambient."""

    bounding: tuple[str, ...]
    effective: tuple[str, ...]
    ambient: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """One isolator's part, or all merged. `controllers`: the v1 hierarchies in which the container needs a cgroup.

    `namespaces`: of pid, mnt, ipc. `oom_events`: where an oom_kill counter stands. `needs_barrier`: the process must
    wait for `isolate` before it runs the command.
    """

    controllers: tuple[str, ...] = ()
    writes: tuple[CgroupWrite, ...] = ()
    final_reads: tuple[CgroupRead, ...] = ()
    oom_events: CgroupRead | None = None
    namespaces: tuple[str, ...] = ()
    mounts: tuple[MountStep, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    rlimits: tuple[Rlimit, ...] = ()
    capabilities: Capabilities | None = None
    no_new_privileges: bool | None = None
    needs_barrier: bool = False


_Key = tuple[str, ...]
_Claims = Callable[[LaunchPlan], list[tuple[_Key, object]]]

_CLAIMS: dict[str, _Claims] = {
    "writes": lambda plan: [(("cgroup file", write.controller, write.file), write.value) for write in plan.writes],
    "mounts": lambda plan: [(("mount", mount.target), mount) for mount in plan.mounts],
    "rlimits": lambda plan: [(("rlimit", rlimit.resource), rlimit) for rlimit in plan.rlimits],
    "environment": lambda plan: [(("environment variable", name), value) for name, value in plan.environment],
    "capabilities": lambda plan: [(("capabilities",), plan.capabilities)],
    "no_new_privileges": lambda plan: [(("no_new_privileges",), plan.no_new_privileges)],
    "oom_events": lambda plan: [(("oom_events",), plan.oom_events)],
}
"""By field, what a plan wants of everything that only one may decide."""


class PlanMerger:
    """Collects plans in order. The isolators' names are kept only to name the two that disagree."""

    def __init__(self) -> None:
        """Nothing is decided."""
        self._plans: list[LaunchPlan] = []
        self._deciding: dict[str, list[tuple[str, LaunchPlan]]] = {}
        """By field, who says something of it. Mostly one does: then nothing is compared."""

    def add(self, isolator: str, plan: LaunchPlan) -> None:
        """Raises PlanConflict; then nothing of this plan is in."""
        fields = [field for field in _CLAIMS if getattr(plan, field) not in _NOTHING]
        for field in fields:
            for owner, earlier in self._deciding.get(field, ()):
                subject = _disputed(_CLAIMS[field], earlier, plan)
                if subject and owner != isolator:
                    raise PlanConflict(subject, owner, isolator)
        for field in fields:
            self._deciding.setdefault(field, []).append((isolator, plan))
        self._plans.append(plan)

    @property
    def merged(self) -> LaunchPlan:
        """All that was added, as one."""
        plans = self._plans
        return LaunchPlan(
            controllers=tuple(dict.fromkeys([name for plan in plans for name in plan.controllers])),
            writes=_once([plan.writes for plan in plans]),
            final_reads=tuple(dict.fromkeys([read for plan in plans for read in plan.final_reads])),
            oom_events=_last([plan.oom_events for plan in plans]),
            namespaces=tuple(dict.fromkeys([name for plan in plans for name in plan.namespaces])),
            mounts=_once([plan.mounts for plan in plans]),
            environment=tuple(dict([pair for plan in plans for pair in plan.environment]).items()),
            rlimits=_once([plan.rlimits for plan in plans]),
            capabilities=_last([plan.capabilities for plan in plans]),
            no_new_privileges=_last([plan.no_new_privileges for plan in plans]),
            needs_barrier=any(plan.needs_barrier for plan in plans),
        )


_NOTHING: tuple[object, ...] = (None, ())


def _disputed(claims: _Claims, earlier: LaunchPlan, later: LaunchPlan) -> str:
    decided = dict(claims(earlier))
    for key, value in claims(later):
        if decided.get(key, value) != value:
            return key[0] if len(key) == 1 else f"{key[0]} {key[-1]}"
    return ""


def _once(parts: Sequence[tuple[Step, ...]]) -> tuple[Step, ...]:
    """What several plans ask alike is done once; a plan itself may do a thing twice."""
    found: list[Step] = []
    for part in parts:
        if part:
            found += [step for step in part if step not in found]
    return tuple(found)


def _last(values: Sequence[Step | None]) -> Step | None:
    found = None
    for value in values:
        if value is not None:
            found = value
    return found


def with_environment(plan: LaunchPlan, environment: tuple[tuple[str, str], ...]) -> LaunchPlan:
    """The plan with these variables over its own: the task's environment wins over isolators'."""
    return replace(plan, environment=tuple({**dict(plan.environment), **dict(environment)}.items()))
