"""What an isolator wants done for a container, as a value. One small piece of code, the shim, does it.

Steps are declarative and closed: what is not here cannot be asked. Plans of several isolators are merged in the table's
order; two that disagree are an error naming both.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from paddock.model.errors import PlanConflict
from paddock.model.task import Rlimit


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


@dataclass(slots=True)
class PlanMerger:
    """Collects plans in order. The isolators' names are kept only to name the two that disagree."""

    merged: LaunchPlan = field(default_factory=LaunchPlan)
    _owners: dict[str, str] = field(default_factory=dict)

    def add(self, isolator: str, plan: LaunchPlan) -> None:
        """Raises PlanConflict; then nothing of this plan is in."""
        owners = dict(self._owners)
        for subject, value, present in self._claims(plan):
            owner = owners.setdefault(subject, isolator)
            if owner != isolator and present != value:
                raise PlanConflict(subject, owner, isolator)
        self._owners = owners
        old = self.merged
        self.merged = LaunchPlan(
            controllers=tuple(dict.fromkeys((*old.controllers, *plan.controllers))),
            writes=(*old.writes, *(write for write in plan.writes if write not in old.writes)),
            final_reads=tuple(dict.fromkeys((*old.final_reads, *plan.final_reads))),
            oom_events=plan.oom_events or old.oom_events,
            namespaces=tuple(dict.fromkeys((*old.namespaces, *plan.namespaces))),
            mounts=(*old.mounts, *(mount for mount in plan.mounts if mount not in old.mounts)),
            environment=tuple({**dict(old.environment), **dict(plan.environment)}.items()),
            rlimits=(*old.rlimits, *(rlimit for rlimit in plan.rlimits if rlimit not in old.rlimits)),
            capabilities=plan.capabilities or old.capabilities,
            no_new_privileges=old.no_new_privileges if plan.no_new_privileges is None else plan.no_new_privileges,
            needs_barrier=old.needs_barrier or plan.needs_barrier,
        )

    def _claims(self, plan: LaunchPlan) -> list[tuple[str, object, object]]:
        """(subject, what this plan wants, what is there already) for everything that only one may decide."""
        old = self.merged
        old_writes = {(w.controller, w.file): w.value for w in old.writes}
        old_mounts = {m.target: m for m in old.mounts}
        old_rlimits = {r.resource: r for r in old.rlimits}
        old_environment = dict(old.environment)
        claims: list[tuple[str, object, object]] = [
            (f"cgroup file {w.file}", w.value, old_writes.get((w.controller, w.file), w.value)) for w in plan.writes
        ]
        claims += [(f"mount {m.target}", m, old_mounts.get(m.target, m)) for m in plan.mounts]
        claims += [(f"rlimit {r.resource}", r, old_rlimits.get(r.resource, r)) for r in plan.rlimits]
        claims += [(f"environment variable {n}", v, old_environment.get(n, v)) for n, v in plan.environment]
        if plan.capabilities is not None:
            claims.append(("capabilities", plan.capabilities, old.capabilities or plan.capabilities))
        if plan.no_new_privileges is not None:
            present = plan.no_new_privileges if old.no_new_privileges is None else old.no_new_privileges
            claims.append(("no_new_privileges", plan.no_new_privileges, present))
        if plan.oom_events is not None:
            claims.append(("oom_events", plan.oom_events, old.oom_events or plan.oom_events))
        return claims


def with_environment(plan: LaunchPlan, environment: tuple[tuple[str, str], ...]) -> LaunchPlan:
    """The plan with these variables over its own: the task's environment wins over isolators'."""
    return replace(plan, environment=tuple({**dict(plan.environment), **dict(environment)}.items()))
