"""Offers from grant to answer: made, accepted, declined, taken back. Each ends exactly once, and nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from masterd.allocator.conversions import converted, left_over
from masterd.allocator.interface import Grant
from masterd.core import reservations
from masterd.core.authorizer import Action
from masterd.core.changes import conversion_of, reserved_roles
from masterd.core.effects import NoteOffers, NoteOperation, NoteRescinded, NoteStatus, TellLaunch
from masterd.core.events import Accept, Caller, Decline
from masterd.core.operations import Room, find_fault, find_missing, prepared
from masterd.core.rights import check_may
from masterd.core.state import NS_PER_MS, AgentEntry, FrameworkEntry, OfferEntry, TaskEntry, Turn
from masterd.core.tally import OfferEnd
from paddock.model.errors import InvalidRequest, PaddockError
from paddock.model.ids import FrameworkId, OfferId
from paddock.model.offer import Change, Launch, Offer
from paddock.model.resources import Resource, Resources
from paddock.model.task import Reason, TaskInfo, TaskState


def make(turn: Turn, grants: Iterable[Grant]) -> None:
    """One offer per grant; one event per framework for all offers of the run."""
    state, now_ns = turn.state, turn.now_ns
    prefix = f"{state.master.master_id}-{state.master.epoch}-O"
    by_framework: dict[FrameworkId, list[Offer]] = {}
    agents, offers, maintenance, number = state.agents, state.offers, state.maintenance, state.offer_count
    # A named tuple's own constructor is a Python function, and there are two for each agent.
    new = tuple.__new__
    offered_ns, last_role = state.tally.offered_ns, ""
    for framework_id, role, agent_id, resources, allocated in grants:
        number += 1
        if role != last_role:
            offered_ns[role] = now_ns
            last_role = role
        offer_id = OfferId(f"{prefix}{number}")
        agent = agents[agent_id]
        info = agent.info
        offer = new(
            Offer,
            (
                offer_id,
                framework_id,
                agent_id,
                role,
                allocated,
                info.hostname,
                info.attributes,
                info.domain,
                info.unix_address,
                info.tcp_address,
                maintenance.get(info.hostname) if maintenance else None,
                info.containerizers,
            ),
        )
        offers[offer_id] = new(OfferEntry, (offer, resources, now_ns))
        agent.offers[offer_id] = None
        if framework_id in by_framework:
            by_framework[framework_id].append(offer)
        else:
            by_framework[framework_id] = [offer]
    state.tally.offers_made_count += number - state.offer_count
    state.offer_count = number
    for framework_id, made in by_framework.items():
        framework = state.frameworks[framework_id]
        framework.offers.update({offer[0]: None for offer in made})
        turn.note(framework, NoteOffers(offers=tuple(made)))


def _end(turn: Turn, offer_id: OfferId, how: OfferEnd) -> OfferEntry:
    """Take the offer off the books. What becomes of its resources is the caller's next step."""
    state = turn.state
    state.tally.offers_ended[how] += 1
    entry = state.offers.pop(offer_id)
    del state.agents[entry.offer.agent_id].offers[offer_id]
    del state.frameworks[entry.offer.framework_id].offers[offer_id]
    return entry


def _give_back(turn: Turn, entry: OfferEntry, resources: Resources, refuse_ms: int | None) -> None:
    offer = entry.offer
    turn.state.allocator.recover(
        offer.framework_id, offer.role, offer.agent_id, resources, refuse_ms=refuse_ms, now_ns=turn.now_ns
    )


def rescind(turn: Turn, offer_id: OfferId, how: OfferEnd = OfferEnd.RESCINDED) -> None:
    """The master takes an offer back: no filter, the framework has refused nothing."""
    entry = _end(turn, offer_id, how)
    turn.note(turn.state.frameworks[entry.offer.framework_id], NoteRescinded(offer_id=offer_id))
    _give_back(turn, entry, entry.resources, None)


def rescind_all(turn: Turn, holder: AgentEntry | FrameworkEntry) -> None:
    """All offers of an agent, or of a framework."""
    for offer_id in list(holder.offers):
        rescind(turn, offer_id)


def rescind_overdue(turn: Turn) -> None:
    """Offers that nobody answered in time."""
    timeout_ns = turn.state.settings.offer_timeout_ms * NS_PER_MS
    if timeout_ns:
        due = [key for key, entry in turn.state.offers.items() if entry.created_ns + timeout_ns <= turn.now_ns]
        for offer_id in due:
            rescind(turn, offer_id, OfferEnd.TIMED_OUT)


def rescind_what_no_longer_fits(turn: Turn, agent: AgentEntry) -> None:
    """Something else took resources of the agent: its newest offers go first, until what is given away fits again."""
    for offer_id in reversed(list(agent.offers)):
        short = turn.state.allocator.shortage(agent.info.agent_id)
        if not short:
            return
        names = {resource.name for resource in short}
        if any(resource.name in names for resource in turn.state.offers[offer_id].resources):
            rescind(turn, offer_id)


def decline(turn: Turn, event: Decline, framework: FrameworkEntry) -> None:
    """Those that the framework still holds come back refused."""
    for offer_id in event.offer_ids:
        if offer_id in framework.offers:
            entry = _end(turn, offer_id, OfferEnd.DECLINED)
            _give_back(turn, entry, entry.resources, event.filters.refuse_ms)


@dataclass(slots=True, kw_only=True)
class _Acceptance:
    """Accepted offers of one agent and role, while their resources are handed out."""

    framework: FrameworkEntry
    agent: AgentEntry
    entries: list[OfferEntry]
    remaining: Resources
    caller: Caller

    @property
    def room(self) -> Room:
        """For the next task."""
        return Room(
            agent_id=self.agent.info.agent_id,
            role=self.entries[0].offer.role,
            remaining=self.remaining,
            taken_ids=self.framework.tasks.keys() | self.framework.unreachable.keys(),
            caller=self.caller,
            framework_user=self.framework.info.user,
            containerizers=self.agent.info.containerizers,
        )


def accept(turn: Turn, event: Accept, framework: FrameworkEntry) -> None:
    """Launch what is valid, answer for what is not, and decline the rest."""
    if not event.offer_ids:
        raise InvalidRequest("offer_ids", "", "name at least one offer; to refuse offers, decline them")
    tasks = [task for operation in event.operations if isinstance(operation, Launch) for task in operation.tasks]
    fault = _find_offers_fault(turn, event, framework)
    if fault is not None:
        for offer_id in dict.fromkeys(event.offer_ids):
            if offer_id in framework.offers:
                entry = _end(turn, offer_id, OfferEnd.INVALID)
                _give_back(turn, entry, entry.resources, None)
        for task in tasks:
            _answer_without_task(turn, framework, task, TaskState.DROPPED, Reason.INVALID_OFFERS, fault)
        return
    entries = [_end(turn, offer_id, OfferEnd.ACCEPTED) for offer_id in event.offer_ids]
    acceptance = _Acceptance(
        framework=framework,
        agent=turn.state.agents[entries[0].offer.agent_id],
        entries=entries,
        remaining=Resources.of(resource for entry in entries for resource in entry.resources),
        caller=event.caller,
    )
    for operation in event.operations:
        if not isinstance(operation, Launch):
            _change(turn, acceptance, operation)
            continue
        launched = [info for task in operation.tasks if (info := _launch(turn, acceptance, task)) is not None]
        if launched:
            turn.tell(acceptance.agent, TellLaunch(framework=framework.info, tasks=tuple(launched)))
    if acceptance.remaining:
        _give_back(turn, entries[0], acceptance.remaining, event.filters.refuse_ms)


def _change(turn: Turn, acceptance: _Acceptance, change: Change) -> None:
    """Convert what is offered, and say so when it has an id. One that cannot be done changes nothing, and is always told."""
    error = ""
    try:
        _convert(turn, acceptance, change)
    except PaddockError as fault:
        error = str(fault)
    if error or change.operation_id:
        agent_id = acceptance.agent.info.agent_id
        turn.note(acceptance.framework, NoteOperation(operation_id=change.operation_id, agent_id=agent_id, error=error))


def _convert(turn: Turn, acceptance: _Acceptance, change: Change) -> None:
    state, role = turn.state, acceptance.room.role
    framework, agent = acceptance.framework, acceptance.agent
    taken = (task.info.resources for task in agent.tasks.values() if not task.released)
    others = (state.offers[offer_id].resources for offer_id in agent.offers)
    conversion = conversion_of(
        change,
        role=role,
        principal=framework.info.principal,
        volume_ids=_volume_ids(agent.info.resources),
        busy_volume_ids=_volume_ids(resource for resources in (*taken, *others) for resource in resources),
        now_ms=turn.wall_ns // NS_PER_MS,
    )
    for each in reserved_roles(conversion):
        check_may(state, acceptance.caller, Action.RESERVE, each, "operation.role")
    missing = find_missing(conversion.consumed, acceptance.remaining)
    if missing is not None:
        raise InvalidRequest("operation.resources", missing, "use what the accepted offers have")
    acceptance.remaining = converted(acceptance.remaining, (conversion,))
    state.allocator.convert(framework.info.framework_id, role, agent.info.agent_id, (conversion,))
    reservations.apply(turn, agent, conversion)


def _volume_ids(resources: Iterable[Resource]) -> set[str]:
    return {resource.volume.persistence_id for resource in resources if resource.volume is not None}


def _find_offers_fault(turn: Turn, event: Accept, framework: FrameworkEntry) -> str | None:
    """Every offer must be held by the framework now, once, and all must be of one agent and one role."""
    first: Offer | None = None
    seen: set[OfferId] = set()
    for offer_id in event.offer_ids:
        if offer_id in seen:
            return f"offer {offer_id} is named twice"
        seen.add(offer_id)
        if offer_id not in framework.offers:
            return f"offer {offer_id} is not (or no longer) held by framework {framework.info.framework_id}"
        offer = turn.state.offers[offer_id].offer
        first = first or offer
        if offer.agent_id != first.agent_id:
            return f"offers {first.offer_id} and {offer_id} are of different agents; accept them one by one"
        if offer.role != first.role:
            return f"offers {first.offer_id} and {offer_id} are of different roles; accept them one by one"
    return None


def _answer_without_task(
    turn: Turn, framework: FrameworkEntry, task: TaskInfo, state: TaskState, reason: Reason, message: str
) -> None:
    """The task never came to be: its framework hears why, and nothing is remembered."""
    status = turn.status(task.task_id, task.agent_id, framework.as_it_understands(state), reason, message)
    turn.state.tally.count_end(status)
    turn.note(framework, NoteStatus(status=status))


def _launch(turn: Turn, acceptance: _Acceptance, task: TaskInfo) -> TaskInfo | None:
    """Take the task on, or answer TASK_ERROR; the task as the agent gets it."""
    room = acceptance.room
    fault = find_fault(task, room)
    if fault is not None:
        _answer_without_task(turn, acceptance.framework, task, TaskState.ERROR, fault.reason, fault.message)
        return None
    info = prepared(task, room)
    taken = info.resources.unallocated()
    acceptance.remaining = left_over(acceptance.remaining, taken)
    framework_id, agent_id = acceptance.framework.info.framework_id, acceptance.agent.info.agent_id
    turn.state.allocator.use(framework_id, room.role, agent_id, taken)
    entry = TaskEntry(
        info=info,
        framework_id=framework_id,
        role=room.role,
        agent_id=agent_id,
        state=TaskState.STAGING,
        limits=info.limits,
    )
    turn.state.tally.tasks_launched_count += 1
    acceptance.framework.completed.pop(info.task_id, None)
    acceptance.framework.tasks[info.task_id] = entry
    acceptance.agent.tasks[entry.framework_id, info.task_id] = entry
    turn.changed(entry)
    return info
