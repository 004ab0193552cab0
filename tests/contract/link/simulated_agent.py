"""An agent's core on a simulated host: its log survives a crash, containers survive the agent, nothing survives a reboot."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from agentd.core import effects, events, recovery
from agentd.core.durable import DurableEntry
from agentd.core.exit_record import ExitRecord, KillOutcome
from agentd.core.machine import Machine
from agentd.core.state import new_state
from masterd.core.events import AgentRegistered, RegisteredTask
from paddock.model.agent import TASK_RESIZE, AgentInfo
from paddock.model.container import ContainerConfig
from paddock.model.errors import ContainerizerError
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, ContainerId, TaskId
from paddock.model.resource_text import parse_resources
from paddock.model.resources import Resources
from paddock.model.task import Evidence, ResourceLimits, TaskInfo, TaskState
from paddock.model.volumes import DestroyedVolume, VolumeKey
from tests.unit.agentd.core import made

WHOLE = "cpus:4;mem:1024;disk:100"

Sent = (
    effects.SendStatus
    | effects.SendStandalone
    | effects.SendLaunchRefused
    | effects.SendVolumesRemoved
    | effects.SendVolumesFound
    | effects.SendTaskResized
)

REFUSED_MILLI = 1_500
"""So many cpus this host's kernel does not take at a resize."""


@dataclass(slots=True)
class Host:
    """What the kernel and the supervisors know. `running`: the tasks of containers whose command runs; `ends`: how tasks that
    ran have ended in truth. `volumes`: directories, and what was written to them.
    """

    running: dict[ContainerId, TaskId] = field(default_factory=dict)
    records: dict[ContainerId, ExitRecord] = field(default_factory=dict)
    ends: dict[TaskId, TaskState] = field(default_factory=dict)
    sizes: dict[ContainerId, Resources] = field(default_factory=dict)
    limits: dict[ContainerId, ResourceLimits] = field(default_factory=dict)
    boots: int = 1
    volumes: dict[VolumeKey, list[int]] = field(default_factory=dict)


class SimulatedAgent:
    """`work` is what the containerizer is at: each piece becomes an event later, or never, if the agent dies before."""

    def __init__(self, name: str, new_uuid: Callable[[], bytes]) -> None:
        self.name = AgentId(name)
        self.host = Host()
        self.log: list[DurableEntry] = []
        self.work: deque[Callable[[], events.Event | None]] = deque()
        self.outgoing: deque[Sent] = deque()
        self.told: list[effects.SendStatus] = []
        self._new_uuid = new_uuid
        self._container_count = 0
        self.now_ns = 0
        self.machine = self._new_machine()
        self.tell(events.RecoveryEnded())

    def _new_machine(self) -> Machine:
        state = new_state(agent_id=self.name, boot_id=f"boot-{self.host.boots}", total=parse_resources(WHOLE))
        recovery.restore(state, self.log)
        return Machine(state, new_uuid=self._new_uuid)

    def tell(self, event: events.Event) -> None:
        self.now_ns += 1
        for effect in self.machine.handle(event, now_ns=self.now_ns, wall_ns=self.now_ns):
            self._take(effect)

    def _take(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Checkpoint(entry=entry):
                self.log.append(entry)
            case effects.Prepare(config=config):
                self.work.append(lambda: events.Prepared(container_id=config.container_id))
            case effects.Launch(container_id=container_id):
                self.work.append(lambda: self._launched(container_id))
            case effects.Kill(container_id=container_id, signal=number):
                self.work.append(lambda: self._killed(container_id, number))
            case effects.Conclude(config=config):
                self.work.append(lambda: events.Concluded(container_id=config.container_id, evidence=Evidence()))
            case effects.Discard(container_id=container_id):
                self.host.records.pop(container_id, None)
            case effects.ArrangeVolumes():
                self.work.append(lambda: self._arrange(effect))
            case effects.RemoveVolume(removal=removal):
                self.work.append(lambda: self._remove(removal))
            case effects.Resize(config=config):
                self.work.append(lambda: self._resized(config))
            case (
                effects.SendStatus()
                | effects.SendStandalone()
                | effects.SendLaunchRefused()
                | effects.SendVolumesRemoved()
                | effects.SendVolumesFound()
                | effects.SendTaskResized()
            ):
                if isinstance(effect, effects.SendStatus) and effect.status.uuid:
                    self.told.append(effect)
                self.outgoing.append(effect)
            case _:
                pass

    def do_some_work(self) -> bool:
        """One piece; whether there was one."""
        if not self.work:
            return False
        event = self.work.popleft()()
        if event is not None:
            self.tell(event)
        return True

    def _arrange(self, effect: effects.ArrangeVolumes) -> None:
        """The disk first; the agent may die before it hears of it."""
        disk = self.host.volumes
        for volume in effect.make:
            disk.setdefault(volume, [])
        missing = [(volume, "missing") for volume in effect.expect if volume not in disk]
        known = {*effect.make, *effect.expect, *effect.leaving}
        unknown = tuple(volume for volume in disk if volume not in known)
        event = events.VolumesArranged(made=effect.make, troubled=tuple(missing), unknown=unknown)
        self.work.appendleft(lambda: event)

    def _remove(self, removal: DestroyedVolume) -> None:
        self.host.volumes.pop(removal.volume, None)
        self.work.appendleft(lambda: events.VolumeRemoved(destroy_id=removal.destroy_id))

    def _launched(self, container_id: ContainerId) -> events.Event:
        config = self.machine.state.containers[container_id].config
        self.host.running[container_id] = config.task_id
        self.host.sizes[container_id] = config.resources
        self.host.limits[container_id] = config.limits
        return _started(container_id)

    def _resized(self, config: ContainerConfig) -> events.Event:
        """The kernel's size is changed before anybody can say so."""
        container_id = config.container_id
        if config.resources.scalar_milli("cpus") == REFUSED_MILLI:
            return events.Resized(container_id=container_id, error=ContainerizerError(container_id, "update", "EBUSY"))
        self.host.sizes[container_id] = config.resources
        self.host.limits[container_id] = config.limits
        return events.Resized(container_id=container_id)

    def limit(self, container_id: ContainerId, cpus_milli: int) -> None:
        """By an operator at the agent, which alone hears of it."""
        limits = ResourceLimits(cpus_milli=cpus_milli)
        self.tell(
            events.ResizeContainer(
                request_id=1, container_id=container_id, resources=Resources(), limits=limits, by="somebody"
            )
        )

    def _killed(self, container_id: ContainerId, number: int) -> events.Event | None:
        if container_id not in self.host.running:
            return None
        kill = KillOutcome(signal=number, grace_ms=1, escalated=False, took_ms=1)
        return self._ended(made.record(container_id, wait_status=number, kill=kill), TaskState.KILLED)

    def command_ends(self, container_id: ContainerId, code: int) -> None:
        """By itself."""
        state = TaskState.FAILED if code else TaskState.FINISHED
        event = self._ended(made.record(container_id, wait_status=code << 8), state)
        self.work.append(lambda: event)

    def _ended(self, record: ExitRecord, state: TaskState) -> events.Event:
        self.host.ends[self.host.running.pop(record.container_id)] = state
        self.host.records[record.container_id] = record
        return events.Ended(container_id=record.container_id, record=record)

    def launch(self, framework: FrameworkInfo, tasks: Sequence[TaskInfo]) -> None:
        """As the master's message says."""
        launches = []
        for task in tasks:
            self._container_count += 1
            name = f"{self.name}-c{self._container_count}"
            config = made.config(name, resources=task.resources, task_id=task.task_id, framework=framework)
            config = replace(config, agent_id=self.name)
            launches.append(events.TaskLaunch(task=task, config=config))
        self.tell(events.LaunchTasks(framework=framework, launches=tuple(launches)))

    def crash(self, *, reboot: bool) -> None:
        """And it is there again at once. A reboot takes the host's processes too; what was recorded stays."""
        self.work.clear()
        self.outgoing.clear()
        if reboot:
            self.host.boots += 1
            self.host.ends.update(dict.fromkeys(self.host.running.values(), TaskState.GONE))
            self.host.running.clear()
        self.machine = self._new_machine()
        for container in self.machine.state.live():
            container_id = container.config.container_id
            if container_id in self.host.running:
                self.tell(_started(container_id))
            else:
                self.tell(events.Ended(container_id=container_id, record=self.host.records.get(container_id)))
        self.tell(events.RecoveryEnded())

    def registration(self, stream: int) -> AgentRegistered:
        """Its first message on a connection."""
        found = recovery.registration(self.machine.state)
        return AgentRegistered(
            stream=stream,
            agent=AgentInfo(
                agent_id=self.name, hostname=self.name, resources=self.machine.state.total, capabilities=(TASK_RESIZE,)
            ),
            tasks=tuple(
                RegisteredTask(
                    framework_id=task.framework_id,
                    task=task.task,
                    state=task.state,
                    container_id=task.container_id,
                    resizing=task.resizing,
                    limits=task.limits,
                )
                for task in found.tasks
            ),
            frameworks=found.frameworks,
            standalone=found.standalone,
        )


def _started(container_id: ContainerId) -> events.Started:
    return events.Started(container_id=container_id, pid=7, shim_pid=6, started_ns=1, cgroup_paths=())
