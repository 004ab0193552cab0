"""A container's plan as the launcher gets it: read back by the launcher's own reader."""

import json
from dataclasses import replace

import pytest

from agentd.containerizer.plan_json import PlanPlaces, exec_json, plan_json, stand_in_json
from isolators.contract import CgroupPlace
from paddock.launch.launcher_facts import LauncherFacts
from paddock.launch.plan import decode_command, decode_plan
from paddock.model.container import UserIdentity
from paddock.model.launch_plan import Capabilities, CgroupRead, CgroupWrite, LaunchPlan, MountStep
from paddock.model.task import DEFAULT_LOG_POLICY, CommandInfo, KillPolicy, LogPolicy, Rlimit
from tests.unit.agentd.core import made

V1 = CgroupPlace(
    mode="v1",
    directories=tuple((c, f"/sys/fs/cgroup/{c}/paddock-a1/c1") for c in ("blkio", "cpu", "memory")),
)
V2 = CgroupPlace(mode="v2", directories=(("", "/sys/fs/cgroup/paddock-a1/c1"),))
PLAN = LaunchPlan(
    controllers=("cpu", "memory"),
    writes=(CgroupWrite(controller="memory", file="memory.limit_in_bytes", value="67108864"),),
    final_reads=(CgroupRead(controller="memory", file="memory.oom_control"),),
    oom_events=CgroupRead(controller="memory", file="memory.oom_control"),
    namespaces=("pid", "mnt"),
    mounts=(MountStep(source="proc", target="/proc", type="proc", flags=("nosuid",)),),
    environment=(("PATH", "/bin"), ("A", "isolator")),
    rlimits=(Rlimit(resource="RLMT_NOFILE", soft=10, hard=20), Rlimit(resource="RLMT_CORE")),
    capabilities=Capabilities(bounding=("CAP_KILL",), effective=("CAP_KILL",)),
    no_new_privileges=True,
)
FACTS = LauncherFacts(permitted=1 << 5, bounding=1 << 5, open_files=(1024, 4096))
FACTS.boot_id = "4e9c4618-86a4-4083-96ec-5afd5d9abd31"
USER = UserIdentity(name="u", uid=7, gid=8, groups=(8, 9), home="/home/u")
CONFIG = replace(
    made.config("c1"),
    user=USER,
    command=CommandInfo(shell=True, value="echo $A", environment=(("A", "task"),), working_directory="sub"),
    kill_policy=KillPolicy(signal=2, grace_period_ms=77),
    max_completion_time_ms=500,
)


def places(cgroup: CgroupPlace = V1) -> PlanPlaces:
    return PlanPlaces(record="/r/c1.json", socket="/s/c1.sock", cgroup=cgroup)


def test_the_launcher_reads_all_of_it() -> None:
    plan = decode_plan(plan_json(CONFIG, PLAN, places(), FACTS))
    assert plan.launcher.to_json() == FACTS.to_json()
    assert (plan.agent_id, plan.container_id, plan.record, plan.socket) == ("a1", "c1", "/r/c1.json", "/s/c1.sock")
    assert plan.cgroup.directories == dict(V1.directories[1:])
    assert [(w.file, w.value, w.optional) for w in plan.writes] == [("memory.limit_in_bytes", "67108864", False)]
    assert plan.oom_events is not None
    assert plan.namespaces == ("pid", "mnt")
    assert plan.command.argv == ("/bin/sh", "-c", "echo $A")
    assert plan.command.environment == {"PATH": "/bin", "A": "task"}
    assert plan.command.working_directory == "/sandbox/c1/sub"
    assert (plan.command.uid, plan.command.gid, plan.command.groups) == (7, 8, (8, 9))
    assert [(r.resource, r.soft, r.hard) for r in plan.command.rlimits] == [
        ("RLMT_NOFILE", 10, 20),
        ("RLMT_CORE", None, None),
    ]
    assert (plan.kill.signal, plan.kill.grace_ms, plan.max_completion_ms, plan.barrier) == (2, 77, 500, False)


def test_of_a_stand_in_the_limits_are_the_tasks_and_the_command_is_not() -> None:
    plan = decode_plan(stand_in_json(CONFIG, PLAN, places(), FACTS, ("/bin/engine", "follow")))
    assert plan.stand_in
    assert plan.command.argv == ("/bin/engine", "follow")
    assert (plan.command.uid, plan.command.environment.get("A")) == (0, None)
    assert plan.command.capabilities is None
    assert (plan.namespaces, plan.mounts) == ((), ())
    # The engine makes its own below each of them.
    assert plan.cgroup.directories == dict(V1.directories)
    assert [write.file for write in plan.writes] == ["memory.limit_in_bytes"]
    assert (plan.kill.signal, plan.kill.grace_ms, plan.max_completion_ms) == (2, 77, 500)


def test_on_v2_there_is_one_directory() -> None:
    plan = decode_plan(plan_json(CONFIG, PLAN, places(V2), FACTS))
    assert plan.cgroup.directories == {"": "/sys/fs/cgroup/paddock-a1/c1"}


def test_no_limit_of_time_is_none() -> None:
    config = replace(CONFIG, max_completion_time_ms=0)
    assert decode_plan(plan_json(config, PLAN, places(), FACTS)).max_completion_ms is None


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (LogPolicy(), (10 << 20, 5)),
        (LogPolicy(file_bytes=70_000), (70_000, 5)),
        (LogPolicy(file_count=2), (10 << 20, 2)),
        (LogPolicy(file_bytes=-1), (0, 1)),
    ],
)
def test_how_logs_rotate(policy: LogPolicy, expected: tuple[int, int]) -> None:
    config = replace(CONFIG, log_policy=policy.over(DEFAULT_LOG_POLICY))
    limits = decode_plan(plan_json(config, PLAN, places(), FACTS)).log_limits
    assert (limits.file_bytes, limits.file_count) == expected


def test_an_exec_has_the_tasks_environment_below_its_own() -> None:
    document = exec_json(CONFIG, CommandInfo(arguments=("/bin/ls",), environment=(("B", "exec"),)), USER, PLAN)
    fields: dict[str, object] = json.loads(json.dumps(document))
    command = decode_command(fields, "/sandbox/c1")
    assert command.environment == {"PATH": "/bin", "A": "task", "B": "exec"}
    assert command.working_directory == "/sandbox/c1"
    assert command.no_new_privileges
