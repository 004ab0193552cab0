"""One master's core, two agents' cores and a framework, joined by connections that break, repeat and overtake.

Within a connection messages come in their order, as gRPC brings them; what was under way when it broke is lost. Besides,
statuses and pongs come again later than others, also over connections that are long dead; acknowledgements and kills as long
as their connection lives.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from agentd.core import effects as agent_effects
from agentd.core import events as agent_events
from masterd.core.effects import (
    AgentMessage,
    CloseAgentStream,
    CloseFrameworkStream,
    FrameworkMessage,
    NoteStatus,
    Save,
    TellAcknowledged,
    TellFrameworkGone,
    TellKill,
    TellLaunch,
    TellPing,
    TellReconcile,
    TellRegistered,
    TellResize,
    TellVolumes,
    ToAgent,
    ToFramework,
)
from masterd.core.events import (
    Accept,
    Acknowledge,
    AgentAnswered,
    AgentStreamLost,
    Event,
    FrameworkStreamLost,
    LaunchRefused,
    Reconcile,
    StandaloneChanged,
    StatusReported,
    TaskResized,
    VolumesFound,
    VolumesRemoved,
)
from masterd.core.state import Settings
from paddock.model.errors import AlreadyExists, PaddockError
from paddock.model.ids import AgentId, TaskId
from paddock.model.offer import Filters, Launch, Offer
from paddock.model.task import TaskInfo, TaskStatus
from tests.contract.link.simulated_agent import Sent, SimulatedAgent
from tests.unit.agentd.core.made import Uuids
from tests.unit.masterd.core.world import Subscription, World, call, remembered_of

SECOND_NS = 10**9
SETTINGS = Settings(reregister_timeout_ms=30_000)
FAILOVER_S = 10**6
RECONNECT_AT = 1


@dataclass(slots=True)
class Connection:
    """An agent's stream; both directions in their order."""

    stream: int
    up: deque[Event] = field(default_factory=deque)
    down: deque[AgentMessage] = field(default_factory=deque)
    past_down: list[AgentMessage] = field(default_factory=list)
    registered: bool = False


class SimulatedCluster:
    """Everything that happens goes through here; `heard` is all that the framework ever got."""

    def __init__(self) -> None:
        uuids = Uuids()
        self.agents = {name: SimulatedAgent(name, uuids) for name in ("a1", "a2")}
        self.connections: dict[str, Connection] = {}
        self.past_up: list[Event] = []
        self.saved: list[Save] = []
        self.epoch = 1
        self.world = World(settings=SETTINGS)
        self.inbox: deque[FrameworkMessage] = deque()
        self.heard: list[TaskStatus] = []
        self.launched: dict[TaskId, AgentId] = {}
        self.framework: Subscription = self.subscribe("")

    # --- the master ---

    def master(self, event: Event) -> None:
        """An event, then the cycle it asks for, and what of it goes out."""
        self.world.do(event)
        self.world.cycle()
        self.send()

    def attempts(self, event: Event) -> None:
        """What the master may refuse."""
        with suppress(PaddockError):
            self.master(event)

    def send(self) -> None:
        """What the master's effects say."""
        for effect in self.world.effects:
            if isinstance(effect, Save):
                self.saved.append(effect)
            elif isinstance(effect, ToAgent):
                for connection in self.connections.values():
                    if connection.stream == effect.stream:
                        connection.down.append(effect.message)
            elif isinstance(effect, ToFramework) and effect.stream == self.framework[2]:
                self.inbox.append(effect.message)
            elif isinstance(effect, CloseAgentStream):
                for name in [name for name, each in self.connections.items() if each.stream == effect.stream]:
                    self.breaks(name)
            else:
                assert not isinstance(effect, CloseFrameworkStream), "nobody takes over"
        self.world.forget()

    def master_crashes(self, *, loses_registry: bool = False) -> None:
        """What was saved is all that the next one knows."""
        self.send()
        for name in list(self.connections):
            del self.connections[name]
            self.agents[name].tell(agent_events.MasterDisconnected())
        self.inbox.clear()
        if loses_registry:
            self.saved.clear()
        self.epoch += 1
        streams, now_ns = self.world.streams, self.world.now_ns
        self.world = World(settings=SETTINGS, remembered=remembered_of(self.saved), epoch=self.epoch)
        self.world.streams, self.world.now_ns = streams, now_ns
        self.framework = self.subscribe(self.framework[0])

    # --- the framework ---

    def subscribe(self, framework_id: str) -> Subscription:
        """And ask for all tasks whose end is not known, as a framework has to."""
        framework = self.world.framework(framework_id=framework_id, failover_s=FAILOVER_S, aware=True)
        self.framework = framework
        self.send()
        self.reconcile()
        return framework

    def reconcile(self) -> None:
        """The named question, and the one for all."""
        ended = {status.task_id for status in self.heard if status.state.is_terminal}
        open_tasks = tuple((task, agent) for task, agent in self.launched.items() if task not in ended)
        for tasks in (open_tasks, ()) if open_tasks else ((),):
            self.master(Reconcile(**call(self.framework), tasks=tasks))

    def launches(self, offer: Offer, tasks: tuple[TaskInfo, ...]) -> None:
        """On one offer."""
        self.launched.update({task.task_id: offer.agent_id for task in tasks})
        operations = (Launch(tasks=tasks),)
        filters = Filters(refuse_ms=0)
        self.master(Accept(**call(self.framework), offer_ids=(offer.offer_id,), operations=operations, filters=filters))

    def framework_leaves_and_returns(self) -> None:
        """What it had not read yet is lost."""
        self.inbox.clear()
        self.master(FrameworkStreamLost(stream=self.framework[2]))
        self.inbox.clear()
        self.subscribe(self.framework[0])

    def framework_reads(self, *, acknowledges: bool) -> bool:
        """The next event, whether there was one."""
        if not self.inbox:
            return False
        message = self.inbox.popleft()
        if isinstance(message, NoteStatus):
            status = message.status
            self.heard.append(status)
            if status.uuid and acknowledges:
                fields = call(self.framework)
                uuid, agent_id = status.uuid, status.agent_id
                self.master(Acknowledge(**fields, agent_id=agent_id, task_id=status.task_id, uuid=uuid))
        return True

    # --- connections ---

    def connects(self, name: str) -> None:
        """A new stream, which begins with a registration."""
        if name not in self.connections:
            self.world.streams += 1
            stream = self.world.streams
            self.connections[name] = Connection(stream=stream, up=deque([self.agents[name].registration(stream)]))

    def breaks(self, name: str, *, master_knows: bool = True) -> None:
        """Everything under way is lost. The master may take its time to see it, and refuses the next stream until then."""
        connection = self.connections.pop(name, None)
        if connection is None:
            return
        self.agents[name].tell(agent_events.MasterDisconnected())
        self.agents[name].outgoing.clear()
        if master_knows:
            self.master(AgentStreamLost(stream=connection.stream))
        else:
            self.past_up.append(AgentStreamLost(stream=connection.stream))

    def goes_up(self, name: str) -> bool:
        """The agent's next message reaches the master; whether there was one."""
        agent, connection = self.agents[name], self.connections.get(name)
        if connection is None:
            agent.outgoing.clear()
            return False
        while agent.outgoing:
            sent = agent.outgoing.popleft()
            if connection.registered:
                connection.up.append(_event_of(sent, connection.stream))
        if not connection.up:
            return False
        event = connection.up.popleft()
        try:
            self.master(event)
        except AlreadyExists:
            del self.connections[name]
            return True
        if isinstance(event, StatusReported | AgentAnswered):
            self.past_up.append(event)
        return True

    def goes_down(self, name: str) -> bool:
        """The master's next message reaches the agent; whether there was one."""
        connection = self.connections.get(name)
        if connection is None or not connection.down:
            return False
        message = connection.down.popleft()
        if isinstance(message, TellRegistered):
            connection.registered = True
        self._agent_hears(name, message)
        if isinstance(message, TellAcknowledged | TellKill):
            connection.past_down.append(message)
        return True

    def comes_again(self, pick: int, *, up: bool) -> None:
        """Something of the past, out of its order."""
        if up and self.past_up:
            event = self.past_up[pick % len(self.past_up)]
            if isinstance(event, AgentStreamLost):
                self.past_up.remove(event)
            self.master(event)
        for name, connection in self.connections.items():
            if not up and connection.past_down:
                self._agent_hears(name, connection.past_down[pick % len(connection.past_down)])

    def _agent_hears(self, name: str, message: AgentMessage) -> None:
        agent = self.agents[name]
        match message:
            case TellRegistered():
                agent.tell(agent_events.MasterConnected())
                agent.tell(agent_events.MasterVolumes(volumes=message.volumes, destroyed=message.destroyed))
            case TellVolumes(volumes=volumes, destroyed=destroyed):
                agent.tell(agent_events.MasterVolumes(volumes=volumes, destroyed=destroyed))
            case TellPing(sequence=sequence):
                connection = self.connections[name]
                connection.up.append(AgentAnswered(stream=connection.stream, sequence=sequence))
            case TellLaunch(framework=framework, tasks=tasks):
                agent.launch(framework, tasks)
            case TellKill():
                kill = agent_events.KillTask(
                    framework_id=message.framework_id,
                    task_id=message.task_id,
                    policy=message.kill_policy,
                    by=message.asked_by,
                    reason=message.reason,
                )
                agent.tell(kill)
            case TellResize():
                resize = agent_events.ResizeTask(
                    framework_id=message.framework_id,
                    task_id=message.task_id,
                    resources=message.resources,
                    by=message.asked_by,
                )
                agent.tell(resize)
            case TellAcknowledged(framework_id=framework_id, task_id=task_id, uuid=uuid):
                agent.tell(agent_events.AcknowledgeStatus(framework_id=framework_id, task_id=task_id, uuid=uuid))
            case TellFrameworkGone(framework_id=framework_id):
                agent.tell(agent_events.RemoveFramework(framework_id=framework_id))
            case TellReconcile(framework_id=framework_id, task_id=task_id):
                agent.tell(agent_events.ReconcileTask(framework_id=framework_id, task_id=task_id))

    # --- time and rest ---

    def goes_on(self, rounds: int) -> None:
        """As it mostly does: everybody takes a few steps, who has lost the master finds it again, a second passes."""
        for number in range(rounds):
            for name, agent in self.agents.items():
                if number == RECONNECT_AT:
                    self.connects(name)
                self.goes_up(name)
                self.goes_down(name)
                agent.do_some_work()
            self.framework_reads(acknowledges=True)
        if rounds:
            self.time_passes(1)

    def time_passes(self, seconds: int) -> None:
        """For everybody, second by second; pings are answered where there is a connection."""
        for _ in range(seconds):
            self.world.advance(1)
            self.send()
            for name, agent in self.agents.items():
                agent.now_ns += SECOND_NS
                agent.tell(agent_events.TimePassed())
                self._pongs(name)

    def _pongs(self, name: str) -> None:
        connection = self.connections.get(name)
        if connection is not None and any(isinstance(message, TellPing) for message in connection.down):
            while self.goes_down(name):
                pass
            while self.goes_up(name):
                pass

    def _all_begin_anew(self) -> None:
        for event in [event for event in self.past_up if isinstance(event, AgentStreamLost)]:
            self.master(event)
        self.past_up.clear()
        for name in self.agents:
            # A new connection tries at once what on the old one would wait for up to ten minutes.
            self.breaks(name)

    def calms_down(self) -> None:
        """All is connected, and every message arrives; what runs goes on."""
        self._all_begin_anew()
        for _ in range(5):
            for name, agent in self.agents.items():
                self.connects(name)
                while self.goes_up(name) or self.goes_down(name) or agent.do_some_work():
                    pass
            while self.framework_reads(acknowledges=True):
                pass

    def settles(self) -> None:
        """All is connected, every message arrives, every command ends, everything is acknowledged."""
        self._all_begin_anew()
        for _ in range(20):
            for name, agent in self.agents.items():
                self.connects(name)
                while self.goes_up(name) or self.goes_down(name) or agent.do_some_work():
                    pass
                for container_id in list(agent.host.running):
                    agent.command_ends(container_id, 0)
            while self.framework_reads(acknowledges=True):
                pass
            self.time_passes(5)
        self.reconcile()
        while self.framework_reads(acknowledges=True):
            pass


def _event_of(sent: Sent, stream: int) -> Event:
    match sent:
        case agent_effects.SendStatus(framework_id=framework_id, status=status, latest_state=latest_state):
            return StatusReported(stream=stream, framework_id=framework_id, status=status, latest_state=latest_state)
        case agent_effects.SendStandalone(resources=resources):
            return StandaloneChanged(stream=stream, resources=resources)
        case agent_effects.SendLaunchRefused(framework_id=framework_id, task_ids=task_ids):
            return LaunchRefused(
                stream=stream,
                framework_id=framework_id,
                task_ids=task_ids,
                reason=sent.reason,
                message=sent.message,
            )
        case agent_effects.SendVolumesRemoved(destroy_ids=destroy_ids):
            return VolumesRemoved(stream=stream, destroy_ids=destroy_ids)
        case agent_effects.SendVolumesFound(troubled=troubled, unknown=unknown):
            return VolumesFound(stream=stream, troubled=troubled, unknown=unknown)
        case agent_effects.SendTaskResized():
            return TaskResized(
                stream=stream,
                framework_id=sent.framework_id,
                task_id=sent.task_id,
                resources=sent.resources,
                limits=sent.limits,
                error=sent.error,
            )
