"""The master's core: one event in, effects out, the state changed in between. A PaddockError means that nothing changed."""

from __future__ import annotations

from masterd.core import (
    agent_events,
    availability,
    draining,
    framework_events,
    offers,
    operator_changes,
    policy,
    reconciliation,
    reservations,
    resizing,
    tasks,
    teardown,
    volumes,
)
from masterd.core.configuration_events import WhitelistChanged
from masterd.core.effects import Effect, NoteHeartbeat
from masterd.core.events import (
    Accept,
    Acknowledge,
    AgentActivated,
    AgentAnswered,
    AgentMarkedGone,
    AgentRegistered,
    AgentStreamLost,
    CancelDrain,
    CycleDue,
    Decline,
    DrainAgent,
    Event,
    FrameworkStreamLost,
    InverseOfferAnswered,
    Kill,
    LaunchRefused,
    MaintenanceUpdated,
    OperatorKill,
    OperatorResize,
    OperatorTeardown,
    ProblemReported,
    QuotasChanged,
    QuotasUpdated,
    Reconcile,
    Resize,
    ResourcesChanged,
    Revive,
    StandaloneChanged,
    StatusReported,
    Subscribe,
    Suppress,
    TaskResized,
    Teardown,
    Tick,
    VolumesFound,
    VolumesRemoved,
    WeightsChanged,
)
from masterd.core.state import NS_PER_MS, AgentEntry, MasterState, Turn
from masterd.core.transitions import FrameworkEvent
from masterd.core.views import AgentState, FrameworkState
from paddock.model.framework import FrameworkInfo

FrameworkEvents = (
    Accept | InverseOfferAnswered | Decline | Kill | Resize | Acknowledge | Reconcile | Revive | Suppress | Teardown
)
OperatorEvents = (
    OperatorKill
    | OperatorResize
    | OperatorTeardown
    | WeightsChanged
    | QuotasChanged
    | QuotasUpdated
    | ResourcesChanged
    | AgentActivated
    | MaintenanceUpdated
    | AgentMarkedGone
    | DrainAgent
    | CancelDrain
)
AgentEvents = (
    AgentAnswered
    | StatusReported
    | StandaloneChanged
    | LaunchRefused
    | ProblemReported
    | VolumesRemoved
    | VolumesFound
    | TaskResized
)


class Machine:
    """Handles one event after another."""

    def __init__(self, state: MasterState) -> None:
        self.state = state

    @property
    def wants_run(self) -> bool:
        """Something happened that is worth a cycle before the timer's."""
        return self.state.allocator.wants_run

    def handle(self, event: Event, *, now_ns: int, wall_ns: int) -> tuple[Effect, ...]:
        """`now_ns` never goes back; `wall_ns` is for records and people."""
        turn = Turn(state=self.state, now_ns=now_ns, wall_ns=wall_ns)
        match event:
            case CycleDue(batch=batch):
                state = self.state
                offers.make(turn, state.allocator.run(now_ns=now_ns, shuffler=state.shuffler, batch=batch))
                availability.ask_back(turn)
            case Tick(takes_nobody=takes_nobody):
                if takes_nobody:
                    self.state.nobody_fails_before_ns = now_ns + self.state.settings.resubscribe_grace_ms * NS_PER_MS
                _pass_time(turn)
            case WhitelistChanged(hostnames=hostnames):
                availability.allow_only(turn, hostnames)
            case AgentRegistered():
                agent_events.registered(turn, event)
            case AgentStreamLost(stream=stream):
                agent_events.stream_lost(turn, stream)
            case (
                AgentAnswered()
                | StatusReported()
                | StandaloneChanged()
                | LaunchRefused()
                | ProblemReported()
                | VolumesRemoved()
                | VolumesFound()
                | TaskResized()
            ):
                agent = tasks.agent_named(turn, event.stream)
                if agent is not None:
                    _from_agent(turn, event, agent)
            case Subscribe():
                framework_events.subscribe(turn, event)
            case FrameworkStreamLost():
                framework_events.stream_lost(turn, event)
            case (
                OperatorKill()
                | OperatorResize()
                | OperatorTeardown()
                | WeightsChanged()
                | QuotasChanged()
                | QuotasUpdated()
                | ResourcesChanged()
                | AgentActivated()
                | MaintenanceUpdated()
                | AgentMarkedGone()
                | DrainAgent()
                | CancelDrain()
            ):
                _from_operator(turn, event)
            case _:
                _from_framework(turn, event)
        return tuple(turn.effects)


def _from_agent(turn: Turn, event: AgentEvents, agent: AgentEntry) -> None:
    match event:
        case AgentAnswered(sequence=sequence):
            agent_events.answered(agent, sequence)
        case StatusReported():
            # As at its registration: the agent runs something of this framework, which has some time to come and hear of it.
            agent_events.ensure_framework(turn, FrameworkInfo(framework_id=event.framework_id))
            tasks.status_reported(turn, event, agent)
        case TaskResized():
            resizing.resized(turn, event, agent)
        case LaunchRefused():
            tasks.launch_refused(turn, event, agent)
        case ProblemReported(problem=problem):
            if problem != agent.problem:
                agent.problem = problem
                availability.refresh(turn, agent)
        case VolumesRemoved():
            if volumes.removed(agent, event):
                reservations.save(turn, agent)
        case VolumesFound():
            volumes.found(agent, event)
        case StandaloneChanged(resources=resources):
            agent.standalone = resources
            turn.state.allocator.withhold(agent.info.agent_id, resources)
            offers.rescind_what_no_longer_fits(turn, agent)


def _from_operator(turn: Turn, event: OperatorEvents) -> None:
    match event:
        case OperatorKill() | OperatorResize():
            _about_a_task(turn, event)
        case WeightsChanged():
            policy.change_weights(turn, event)
        case QuotasChanged():
            policy.change_quotas(turn, event)
        case QuotasUpdated():
            policy.update_quotas(turn, event)
        case ResourcesChanged():
            operator_changes.change_resources(turn, event)
        case AgentActivated():
            availability.activate(turn, event)
        case MaintenanceUpdated():
            availability.update(turn, event)
        case OperatorTeardown():
            teardown.teardown(turn, event)
        case AgentMarkedGone(agent_id=agent_id, caller=caller):
            availability.check_root(caller, "mark agents as gone")
            agent_events.mark_gone(turn, agent_id)
        case DrainAgent():
            draining.begin(turn, event)
        case CancelDrain():
            draining.cancel(turn, event)


def _about_a_task(turn: Turn, event: OperatorKill | OperatorResize) -> None:
    match event:
        case OperatorKill():
            tasks.operator_kill(turn, event)
        case OperatorResize():
            resizing.by_operator(turn, event)


def _from_framework(turn: Turn, event: FrameworkEvents) -> None:
    framework = framework_events.subscribed(turn, event)
    match event:
        case Accept():
            offers.accept(turn, event, framework)
        case InverseOfferAnswered():
            availability.answer(turn, event, framework)
        case Decline():
            offers.decline(turn, event, framework)
        case Kill():
            tasks.kill(turn, event, framework)
        case Resize():
            resizing.by_framework(turn, event, framework)
        case Acknowledge():
            tasks.acknowledge(turn, event, framework)
        case Reconcile():
            reconciliation.reconcile(turn, event, framework)
        case Revive(roles=roles):
            framework_events.check_roles(framework, roles)
            framework.suppressed_roles -= set(roles or framework.info.roles)
            turn.state.allocator.revive(framework.info.framework_id, roles)
            framework_events.note_wishes(turn, framework)
        case Suppress(roles=roles):
            framework_events.check_roles(framework, roles)
            framework.suppressed_roles |= set(roles or framework.info.roles)
            turn.state.allocator.suppress(framework.info.framework_id, roles)
            framework_events.note_wishes(turn, framework)
        case Teardown():
            framework_events.end(turn, framework, FrameworkEvent.TEARDOWN)


def _pass_time(turn: Turn) -> None:
    """Whatever is due."""
    now_ns = turn.now_ns
    state = turn.state
    for agent in list(state.agents.values()):
        # Every agent, four times a second: a set of states would cost more than all the rest.
        if agent.state is AgentState.CONNECTED:
            if agent.next_ping_ns <= now_ns:
                agent_events.ping(turn, agent)
        elif agent.state is not AgentState.UNREACHABLE and agent.deadline_ns <= now_ns:
            agent_events.out_of_reach(turn, agent)
    for agent_id in draining.finished(turn):
        agent_events.mark_gone(turn, agent_id)
    agent_events.forget_the_oldest(turn)
    for framework in list(state.frameworks.values()):
        if framework.state is FrameworkState.SUBSCRIBED:
            if framework.next_heartbeat_ns <= now_ns:
                framework.next_heartbeat_ns = now_ns + state.settings.heartbeat_interval_ms * NS_PER_MS
                turn.note(framework, NoteHeartbeat())
        elif max(framework.deadline_ns, state.nobody_fails_before_ns) <= now_ns:
            framework_events.end(turn, framework, FrameworkEvent.EXPIRE)
        elif framework.state is FrameworkState.RECOVERED and not framework.deadline_is_saved:
            framework_events.save_deadline(turn, framework)
    offers.rescind_overdue(turn)
    operator_changes.end_leases(turn)
    availability.pass_time(turn)
