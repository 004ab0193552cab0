"""Values that tests of the core are made of."""

from agentd.core.exit_record import ExitRecord, KillOutcome
from agentd.core.machine import Machine
from agentd.core.state import AgentState, new_state
from paddock.model.container import ContainerConfig, UserIdentity
from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.ids import AgentId, ContainerId, FrameworkId, TaskId
from paddock.model.resources import Resources
from paddock.model.task import CommandInfo, TaskInfo
from paddock.model.uri import CommandUri

AGENT = AgentId("a1")
FRAMEWORK = FrameworkInfo(
    framework_id=FrameworkId("f1"), name="f", capabilities=frozenset({FrameworkCapability.TASK_KILLING_STATE})
)
ROOT = UserIdentity(name="root", uid=0, gid=0, groups=(0,), home="/root")
TOTAL = Resources.scalars({"cpus": 4000, "mem": 4_000_000})
ONE = Resources.scalars({"cpus": 1000, "mem": 1_000_000})
BOOT = "boot-1"


def config(
    container_id: str,
    *,
    resources: Resources = ONE,
    task_id: str = "",
    framework: FrameworkInfo = FRAMEWORK,
    uris: tuple[CommandUri, ...] = (),
) -> ContainerConfig:
    return ContainerConfig(
        container_id=ContainerId(container_id),
        agent_id=AGENT,
        command=CommandInfo(arguments=("/bin/true",), uris=uris),
        resources=resources,
        user=ROOT,
        sandbox=f"/sandbox/{container_id}",
        framework_id=framework.framework_id if task_id else FrameworkId(""),
        task_id=TaskId(task_id),
    )


def task(task_id: str, *, resources: Resources = ONE) -> TaskInfo:
    return TaskInfo(
        task_id=TaskId(task_id),
        name=task_id,
        agent_id=AGENT,
        resources=resources,
        command=CommandInfo(arguments=("/bin/true",)),
    )


def record(
    container_id: str,
    *,
    wait_status: int | None = 0,
    kill: KillOutcome | None = None,
    supervisor_lost: bool = False,
) -> ExitRecord:
    return ExitRecord(
        container_id=ContainerId(container_id),
        boot_id=BOOT,
        pid=100,
        shim_pid=99,
        started_ns=1,
        ended_ns=2,
        wait_status=wait_status,
        kill=kill,
        supervisor_lost=supervisor_lost,
    )


class Uuids:
    """1, 2, 3, …"""

    def __init__(self, begin: int = 0) -> None:
        self._last = begin

    def __call__(self) -> bytes:
        self._last += 1
        return self._last.to_bytes(16, "big")


def state(*, ended_limit_count: int = 1000) -> AgentState:
    made = new_state(agent_id=AGENT, boot_id=BOOT, total=TOTAL, ended_limit_count=ended_limit_count)
    made.recovered = True
    return made


def machine(*, ended_limit_count: int = 1000) -> Machine:
    return Machine(state(ended_limit_count=ended_limit_count), new_uuid=Uuids())
