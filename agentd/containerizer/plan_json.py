"""A container's configuration and its isolators' merged plan as the document of a launch, format 1. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from isolators.contract import CgroupPlace
from paddock.launch.launcher_facts import LauncherFacts
from paddock.model.container import ContainerConfig, UserIdentity
from paddock.model.launch_plan import Capabilities, CgroupRead, CgroupWrite, LaunchPlan, with_environment
from paddock.model.task import CommandInfo, LogPolicy, Rlimit

Json = None | bool | int | str | list["Json"] | dict[str, "Json"]

FORMAT = 1
UMASK = 0o022
_ROOT = UserIdentity(name="root", uid=0, gid=0, groups=(), home="/root")
_STAND_IN_ENVIRONMENT: dict[str, Json] = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPlaces:
    """Where the shim puts what is not the task's: absolute paths in directories of ours."""

    record: str
    socket: str
    cgroup: CgroupPlace
    spare_record: str | None = None
    syncs_name: bool = False


def plan_json(config: ContainerConfig, plan: LaunchPlan, places: PlanPlaces, facts: LauncherFacts) -> dict[str, object]:
    """Complete: the shim takes nothing from anywhere else."""
    return {
        **_shim_json(config, plan, places, facts),
        "cgroup": _place_json(places.cgroup, plan),
        "namespaces": list(plan.namespaces),
        "mounts": [
            {"source": m.source, "target": m.target, "type": m.type, "flags": list(m.flags), "data": m.data}
            for m in plan.mounts
        ],
        "barrier": plan.needs_barrier,
        **_command_json(config.command, config.user, config.sandbox, plan),
    }


def stand_in_json(
    config: ContainerConfig, plan: LaunchPlan, places: PlanPlaces, facts: LauncherFacts, argv: Sequence[str]
) -> dict[str, object]:
    """For a container that an engine runs below our cgroups: its limits, and `argv`, as root, to stand in for it.

    An engine makes a cgroup in every hierarchy that there is, and never removes what is above its own: hence all of them.
    """
    directories: dict[str, Json] = dict(places.cgroup.directories)
    command = CommandInfo(arguments=tuple(argv), working_directory="/")
    return {
        **_shim_json(config, plan, places, facts),
        "stand_in": True,
        "cgroup": {"mode": places.cgroup.mode, "directories": directories},
        **_command_json(command, _ROOT, "/", LaunchPlan()),
        "environment": _STAND_IN_ENVIRONMENT,
    }


def _shim_json(
    config: ContainerConfig, plan: LaunchPlan, places: PlanPlaces, facts: LauncherFacts
) -> dict[str, object]:
    """Whatever the command is."""
    return {
        "format": FORMAT,
        "launcher": facts.to_json(),
        "agent_id": config.agent_id,
        "container_id": config.container_id,
        "record": places.record,
        "spare_record": places.spare_record,
        "syncs_name": places.syncs_name,
        "socket": places.socket,
        "writes": writes_json(plan.writes),
        "final_reads": reads_json(plan.final_reads),
        "oom_events": reads_json((plan.oom_events,))[0] if plan.oom_events else None,
        "sandbox": config.sandbox,
        "stdout": "stdout",
        "stderr": "stderr",
        "log_limits": _log_limits_json(config.log_policy),
        "kill": {"signal": config.kill_policy.signal, "grace_ms": config.kill_policy.grace_period_ms},
        "max_completion_ms": config.max_completion_time_ms or None,
    }


def exec_json(config: ContainerConfig, command: CommandInfo, user: UserIdentity, plan: LaunchPlan) -> dict[str, Json]:
    """A further command in the same container: as the launch, with the task's environment below its own."""
    inherited = with_environment(plan, config.command.environment)
    return _command_json(command, user, config.sandbox, inherited)


def _command_json(command: CommandInfo, user: UserIdentity, sandbox: str, plan: LaunchPlan) -> dict[str, Json]:
    return {
        "argv": list(command.argv),
        # The task's own word wins over the isolators'; nothing of the agent's own environment is passed on.
        "environment": {**dict(plan.environment), **dict(command.environment)},
        "working_directory": posixpath.join(sandbox, command.working_directory).rstrip("/") or "/",
        "user": {"uid": user.uid, "gid": user.gid, "groups": list(user.groups)},
        "capabilities": _capabilities_json(plan.capabilities),
        "no_new_privs": bool(plan.no_new_privileges),
        "rlimits": [_rlimit_json(rlimit) for rlimit in plan.rlimits],
        "umask": UMASK,
        "nice": 0,
        "oom_score_adj": 0,
    }


def _place_json(place: CgroupPlace, plan: LaunchPlan) -> dict[str, Json]:
    wanted = set(plan.controllers)
    directories: dict[str, Json] = {
        controller: directory
        for controller, directory in place.directories
        if place.mode == "v2" or controller in wanted
    }
    return {"mode": place.mode, "directories": directories}


def writes_json(writes: Sequence[CgroupWrite]) -> list[Json]:
    """In their order."""
    return [{"controller": w.controller, "file": w.file, "value": w.value, "optional": w.optional} for w in writes]


def reads_json(reads: Sequence[CgroupRead]) -> list[Json]:
    """In their order."""
    return [{"controller": r.controller, "file": r.file} for r in reads]


def _capabilities_json(capabilities: Capabilities | None) -> Json:
    if capabilities is None:
        return None
    return {
        "bounding": list(capabilities.bounding),
        "effective": list(capabilities.effective),
        "ambient": list(capabilities.ambient),
    }


def _log_limits_json(policy: LogPolicy) -> Json:
    if policy.file_bytes is None or policy.file_bytes < 0:
        return {"file_bytes": 0, "file_count": 1}
    return {"file_bytes": policy.file_bytes, "file_count": policy.file_count or 1}


def _rlimit_json(rlimit: Rlimit) -> Json:
    return {"resource": rlimit.resource, "soft": rlimit.soft, "hard": rlimit.hard}
