"""Frameworks coming and going: subscription, take-over, failover time, the end."""

from __future__ import annotations

from dataclasses import replace

from masterd.allocator.constraints import check_groups
from masterd.core import offers, tasks
from masterd.core.authorizer import Action
from masterd.core.effects import CloseFrameworkStream, NoteError, NoteSubscribed, SaveFramework, TellFrameworkGone
from masterd.core.events import FrameworkCall, FrameworkStreamLost, Subscribe
from masterd.core.rights import check_may
from masterd.core.state import COMPLETED_FRAMEWORKS_LIMIT_COUNT, NS_PER_MS, FrameworkEntry, MasterState, Turn, traits_of
from masterd.core.transitions import FrameworkEvent
from masterd.core.views import FrameworkState
from paddock.model.errors import InvalidRequest, NotFound, PermissionRefused, ResourcesExhausted, Unavailable
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import FrameworkId


def subscribe(turn: Turn, event: Subscribe) -> None:
    """A new framework, one that comes back, or one that takes over from its older self."""
    _check_user(event)
    unknown = set(event.suppressed_roles) - set(event.framework.roles)
    if unknown:
        raise InvalidRequest("suppressed_roles", min(unknown), "suppress only roles that the framework subscribes with")
    for index, terms in enumerate(event.framework.offer_terms):
        check_groups(terms.constraints, f"framework.offer_terms[{index}].constraint_groups")
    for role in event.framework.roles:
        check_may(turn.state, event.caller, Action.REGISTER, role, "framework.roles")
    framework_id = event.framework.framework_id
    if framework_id in turn.state.refused_framework_ids:
        raise InvalidRequest(
            "framework.framework_id", framework_id, "this framework has ended; subscribe without an id"
        )
    known = turn.state.frameworks.get(framework_id)
    info = replace(event.framework, user=event.framework.user or event.caller.user, principal=f"uid:{event.caller.uid}")
    if known is not None:
        _check_owner(known, event)
        info = replace(info, principal=known.info.principal or info.principal)
        framework = _come_back(turn, known, info, event)
    else:
        framework = _begin(turn, info, event)
    state = turn.state
    state.subscription_count += 1
    framework.stream = event.stream
    framework.subscription_id = f"{state.master.epoch}-{state.subscription_count}"
    framework.suppressed_roles = set(event.suppressed_roles)
    framework.subscribed_ns = turn.wall_ns
    state.framework_of_stream[event.stream] = framework.info.framework_id
    turn.effects.append(SaveFramework(framework=framework.info, failover_deadline_ns=None, completed=False))
    heartbeat_ms = state.settings.heartbeat_interval_ms
    framework.next_heartbeat_ns = turn.now_ns + heartbeat_ms * NS_PER_MS
    turn.note(
        framework,
        NoteSubscribed(
            framework_id=framework.info.framework_id,
            subscription_id=framework.subscription_id,
            heartbeat_interval_ms=heartbeat_ms,
        ),
    )
    note_wishes(turn, framework)


def note_wishes(turn: Turn, framework: FrameworkEntry) -> None:
    """Where it wants offers may have changed."""
    is_subscribed = framework.state is FrameworkState.SUBSCRIBED
    roles = [role for role in framework.info.roles if role not in framework.suppressed_roles] if is_subscribed else ()
    turn.state.tally.note_wishes(framework.info.framework_id, roles, turn.now_ns)


def _check_user(event: Subscribe) -> None:
    user, caller = event.framework.user, event.caller
    if caller.uid != 0 and user not in {"", caller.user}:
        raise PermissionRefused(f"user {user!r} is not the caller's: {caller.user} may run tasks as itself only")


def _check_owner(framework: FrameworkEntry, event: Subscribe) -> None:
    if event.caller.uid not in {0, tasks.owner_uid(framework)}:
        raise PermissionRefused(
            f"framework {framework.info.framework_id} belongs to {framework.info.principal or 'nobody known'}; "
            f"uid {event.caller.uid} may not take it over"
        )


def _begin(turn: Turn, info: FrameworkInfo, event: Subscribe) -> FrameworkEntry:
    """An id that nobody knows (any more) is taken as it is: it may have been given by this master's former life."""
    state = turn.state
    _check_room(state)
    framework_id = info.framework_id
    while not framework_id or (not info.framework_id and framework_id in state.frameworks):
        state.framework_count += 1
        framework_id = FrameworkId(f"{state.master.master_id}-{state.master.epoch}-{state.framework_count:04d}")
    info = replace(info, framework_id=framework_id)
    named_on_stream = None if event.framework.framework_id else event.stream
    framework = FrameworkEntry(info=info, state=FrameworkState.RECOVERED, named_on_stream=named_on_stream)
    framework.move(FrameworkEvent.SUBSCRIBE)
    state.frameworks[framework_id] = framework
    state.allocator.add_framework(framework_id, traits_of(info, event.suppressed_roles), active=True)
    return framework


def _check_room(state: MasterState) -> None:
    """For one more. Who is known already always comes back; what agents bring is not asked, it is there."""
    limit_count = state.settings.framework_limit_count
    if len(state.frameworks) >= limit_count:
        raise ResourcesExhausted(
            f"the master has {len(state.frameworks)} frameworks, and takes {limit_count} (max_frameworks): tear down some, "
            "wait until the failover time of those that are away is over, or have the operator raise it"
        )


def _come_back(turn: Turn, framework: FrameworkEntry, info: FrameworkInfo, event: Subscribe) -> FrameworkEntry:
    """What it was offered before is void; what it says of itself now replaces what it said."""
    offers.rescind_all(turn, framework)
    if framework.stream is not None:
        turn.note(framework, NoteError(message="another subscription of this framework has taken over"))
        turn.effects.append(CloseFrameworkStream(stream=framework.stream))
    _detach(turn, framework)
    framework.move(FrameworkEvent.SUBSCRIBE)
    framework.info = info
    allocator = turn.state.allocator
    allocator.update_framework(info.framework_id, traits_of(info, event.suppressed_roles))
    allocator.set_framework_active(info.framework_id, active=False)
    allocator.set_framework_active(info.framework_id, active=True)
    return framework


def _detach(turn: Turn, framework: FrameworkEntry) -> None:
    if framework.stream is not None:
        del turn.state.framework_of_stream[framework.stream]
        framework.stream = None
    framework.subscription_id = ""
    framework.unanswered.clear()
    framework.asked_for_all = False


def stream_lost(turn: Turn, event: FrameworkStreamLost) -> None:
    """Its offers are free at once; its tasks stay until the failover time is over, which is at once when there is none."""
    framework_id = turn.state.framework_of_stream.get(event.stream)
    if framework_id is None:
        return
    framework = turn.state.frameworks[framework_id]
    framework.move(FrameworkEvent.STREAM_LOST)
    note_wishes(turn, framework)
    _detach(turn, framework)
    offers.rescind_all(turn, framework)
    turn.state.allocator.set_framework_active(framework_id, active=False)
    timeout_ns = _time_to_come_back_ms(turn, framework, event) * NS_PER_MS
    framework.deadline_ns = turn.now_ns + timeout_ns
    if timeout_ns == 0:
        end(turn, framework, FrameworkEvent.EXPIRE)
        return
    deadline_ns = turn.wall_ns + timeout_ns
    turn.effects.append(SaveFramework(framework=framework.info, failover_deadline_ns=deadline_ns, completed=False))


def _time_to_come_back_ms(turn: Turn, framework: FrameworkEntry, event: FrameworkStreamLost) -> int:
    """Who was not told that it is subscribed did not leave, the master sent it away, or let it wait for too long: it has the
    time that it has after a master's start. As one whose id was never told nobody can come back.
    """
    failover_ms = framework.info.failover_timeout_ms
    if event.was_told:
        return failover_ms
    if framework.named_on_stream == event.stream:
        return 0
    return max(failover_ms, turn.state.settings.resubscribe_grace_ms)


def save_deadline(turn: Turn, framework: FrameworkEntry) -> None:
    """Of a framework that is missing since the start: however often the master starts, its time does not begin anew."""
    framework.deadline_is_saved = True
    deadline_ns = turn.wall_ns + framework.deadline_ns - turn.now_ns
    turn.effects.append(SaveFramework(framework=framework.info, failover_deadline_ns=deadline_ns, completed=False))


def end(turn: Turn, framework: FrameworkEntry, event: FrameworkEvent) -> None:
    """For ever. Its tasks are killed, and what they hold is free when their agents say that they have ended.

    Mesos frees it at once, and offers what is still in use.
    """
    state = turn.state
    framework_id = framework.info.framework_id
    offers.rescind_all(turn, framework)
    framework.move(event)
    note_wishes(turn, framework)
    if framework.stream is not None:
        turn.note(framework, NoteError(message="the framework has ended"))
        turn.effects.append(CloseFrameworkStream(stream=framework.stream))
    _detach(turn, framework)
    state.refuse_from_now_on(framework_id)
    del state.frameworks[framework_id]
    state.completed_frameworks[framework_id] = framework
    state.allocator.remove_framework(framework_id)
    turn.effects.append(SaveFramework(framework=framework.info, failover_deadline_ns=None, completed=True))
    for task in list(framework.unreachable.values()):
        framework.finish(task)
    for task in list(framework.tasks.values()):
        agent = state.agents[task.agent_id]
        kill = tasks.kill_of(task, "the master, because the framework has ended")
        tasks.tell_kill(turn, agent, kill, task)
        if task.state.is_terminal:
            tasks.conclude(turn, agent, framework, task)
    for agent in state.agents.values():
        turn.tell(agent, TellFrameworkGone(framework_id=framework_id))
    _forget_the_oldest(turn)


def _forget_the_oldest(turn: Turn) -> None:
    """Only those without tasks that still have to end."""
    completed = turn.state.completed_frameworks
    excess = len(completed) - COMPLETED_FRAMEWORKS_LIMIT_COUNT
    if excess > 0:
        busy = {key[0] for agent in turn.state.agents.values() for key in agent.tasks}
        for framework_id in [each for each in completed if each not in busy][:excess]:
            del completed[framework_id]


def subscribed(turn: Turn, call: FrameworkCall) -> FrameworkEntry:
    """The framework of a call, when the caller may speak for it and the subscription is the present one."""
    framework = turn.state.frameworks.get(call.framework_id)
    if framework is None:
        raise NotFound("framework", call.framework_id)
    if call.caller.uid not in {0, tasks.owner_uid(framework)}:
        raise PermissionRefused(
            f"framework {call.framework_id} belongs to {framework.info.principal or 'nobody known'}; "
            f"uid {call.caller.uid} may not speak for it"
        )
    if framework.state is not FrameworkState.SUBSCRIBED:
        raise Unavailable(f"framework {call.framework_id} has no stream of events now; subscribe again, then call")
    if call.subscription_id != framework.subscription_id:
        raise PermissionRefused(
            f"subscription {call.subscription_id!r} of framework {call.framework_id} is over: another has taken over"
        )
    return framework


def check_roles(framework: FrameworkEntry, roles: tuple[str, ...]) -> None:
    """Suppress and revive speak of subscribed roles only."""
    unknown = set(roles) - set(framework.info.roles)
    if unknown:
        raise InvalidRequest("roles", min(unknown), f"the framework has {', '.join(framework.info.roles)}")
