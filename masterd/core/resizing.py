"""Another size for a task that runs: reserved here, tried by its agent, and accounted for as the agent says it came out.

What a task grows by is taken from the agent's free resources before the agent hears of it, and is kept until the agent has
said what is in force, the task has ended, or the agent is out of reach. What it shrinks by is free when it is really given
back. A master that starts anew learns both from the agent's registration. What did not reach the agent is told again.
"""

from __future__ import annotations

from dataclasses import replace

from masterd.core import offers, tasks
from masterd.core.effects import TellResize
from masterd.core.events import OperatorResize, RegisteredTask, Resize, TaskResized
from masterd.core.operations import find_limits_fault
from masterd.core.state import AgentEntry, FrameworkEntry, MasterState, Resizing, TaskEntry, Turn
from masterd.core.views import AgentState
from paddock.model.agent import TASK_RESIZE
from paddock.model.errors import (
    InvalidRequest,
    InvalidTransition,
    NotFound,
    PermissionRefused,
    ResourcesExhausted,
    Unavailable,
    Unsupported,
)
from paddock.model.resource_text import format_resources, format_value
from paddock.model.resources import Resource, Resources, Scalar, excess
from paddock.model.task import ResourceLimits, TaskState

RESIZABLE = ("cpus", "mem", "disk")


def by_framework(turn: Turn, event: Resize, framework: FrameworkEntry) -> None:
    """Its own tasks."""
    task = framework.tasks.get(event.task_id)
    if task is None:
        raise NotFound("running task", event.task_id)
    _begin(turn, task, event.resources, ResourceLimits(), tasks.THE_FRAMEWORK)


def by_operator(turn: Turn, event: OperatorResize) -> None:
    """The tasks of the caller's frameworks; root's: all."""
    _begin(turn, _of_operator(turn.state, event), event.resources, event.limits, f"the operator {event.caller}")


def rehearsed(state: MasterState, event: OperatorResize) -> Resources:
    """All that the task would have, if its agent and its kernel take it. Raises what the event would; nothing changes."""
    task = _of_operator(state, event)
    wanted = wanted_resources(task, event.resources)
    _check(state.agents[task.agent_id], task, wanted, event.limits)
    _growth(state, state.agents[task.agent_id], task, wanted)
    return wanted


def _of_operator(state: MasterState, event: OperatorResize) -> TaskEntry:
    framework = state.frameworks.get(event.framework_id)
    task = framework.tasks.get(event.task_id) if framework is not None else None
    if framework is None or task is None:
        raise NotFound("running task", event.task_id)
    if event.caller.uid not in {0, tasks.owner_uid(framework)}:
        owner = framework.info.principal or "nobody known"
        raise PermissionRefused(f"task {event.task_id} belongs to {owner}; ask as that user or as root")
    return task


def _begin(turn: Turn, task: TaskEntry, named: Resources, limits: ResourceLimits, asked_by: str) -> None:
    agent = turn.state.agents[task.agent_id]
    wanted = wanted_resources(task, named)
    _check(agent, task, wanted, limits)
    growth = _growth(turn.state, agent, task, wanted)
    if growth is None:
        return
    if growth:
        turn.state.allocator.hold(task.framework_id, task.role, agent.info.agent_id, growth)
    task.resizing, task.resize_error = Resizing(resources=wanted, asked_by=asked_by), ""
    tell(turn, agent, task)
    offers.rescind_what_no_longer_fits(turn, agent)
    turn.changed(task)


def wanted_resources(task: TaskEntry, named: Resources) -> Resources:
    """All that the task is to have. Each amount is of the kind (reserved or not) of which the task has it already."""
    found = task.info.resources
    for resource in named:
        where, value = f"resources.{resource.name}", resource.value
        shown = format_value(value)
        if resource.name not in RESIZABLE or not isinstance(value, Scalar):
            raise InvalidRequest(where, shown, f"only {', '.join(RESIZABLE)} of a running task can be changed")
        if not resource.like(Resource(name=resource.name, value=value)):
            raise InvalidRequest(where, shown, "give an amount only: it is of the kind that the task has already")
        has = [each for each in found if each.name == resource.name]
        if len(has) > 1 or not all(each.like(each) for each in has):
            remedy = f"the task has {resource.name} of several reservations, or a volume of it; launch it anew instead"
            raise InvalidRequest(where, shown, remedy)
        if has:
            found = Resources.of(each.amounting(value) if each.name == resource.name else each for each in found)
        else:
            found = Resources.of((*found, replace(resource, allocation_role=task.role)))
    if not any(each.name in RESIZABLE and not each.is_empty() for each in found):
        raise InvalidRequest("resources", format_resources(named), "leave it some cpus or mem")
    return found


def _check(agent: AgentEntry, task: TaskEntry, wanted: Resources, limits: ResourceLimits) -> None:
    """`limits`: those of the task that are, or will be, others than its agent has said."""
    task_id, agent_id = task.info.task_id, agent.info.agent_id
    if task.state is not TaskState.RUNNING:
        raise InvalidTransition(f"task {task_id}", task.state.name, "a resize")
    if agent.state is not AgentState.CONNECTED:
        raise Unavailable(f"agent {agent_id} of task {task_id} is not connected; try again when it is back")
    if TASK_RESIZE not in agent.info.capabilities:
        raise Unsupported("resources", f"agent {agent_id} is of an older build; upgrade it, or launch the task anew")
    fault = find_limits_fault(replace(task.info, resources=wanted, limits=task.limits.changed_by(limits)))
    if fault is not None:
        raise InvalidRequest("resources", format_resources(wanted.unallocated()), f"{fault}; raise the limit first")


def _growth(state: MasterState, agent: AgentEntry, task: TaskEntry, wanted: Resources) -> Resources | None:
    """What has to be taken for it; None: it is, or will be, as it should be. Raises what is in the way; changes nothing."""
    if wanted == task.info.resources or (task.resizing is not None and task.resizing.resources == wanted):
        return None
    if task.resizing is not None:
        raise Unavailable(f"task {task.info.task_id} is being resized by {task.resizing.asked_by}; try again")
    growth = excess(wanted.unallocated(), task.held)
    if growth:
        _check_room(state, agent, task, growth)
    return growth


def _check_room(state: MasterState, agent: AgentEntry, task: TaskEntry, growth: Resources) -> None:
    """Of what nobody has, or is only offered. Raises ResourcesExhausted."""
    allocator, agent_id = state.allocator, agent.info.agent_id
    offered = (each for offer_id in agent.offers for each in state.offers[offer_id].resources)
    room = Resources.of((*allocator.free(agent_id), *offered))
    if not room.contains(growth):
        free = format_resources(room) or "nothing"
        raise ResourcesExhausted(
            f"{format_resources(growth)} more was asked for, {free} is free on agent {agent_id}; ask for less, or end something"
        )
    beyond, kept = allocator.over_quota(task.role, growth)
    if beyond or kept:
        why = "role {0} would be above its quota's limit" if beyond else "it is kept for the guarantees of other roles"
        words = f"{why.format(task.role)} of {', '.join(sorted(beyond or kept))}"
        raise ResourcesExhausted(f"{format_resources(growth)} more was asked for: {words}; `paddock quota` shows them")


def _give_back(turn: Turn, task: TaskEntry, resources: Resources) -> None:
    turn.state.allocator.recover(
        task.framework_id,
        task.role,
        task.agent_id,
        resources,
        refuse_ms=None,
        now_ns=turn.now_ns,
        in_use=True,
    )


def tell(turn: Turn, agent: AgentEntry, task: TaskEntry) -> None:
    """The agent, if there is something to be tried. Also what it may know already."""
    if task.resizing is not None:
        wanted = TellResize(
            framework_id=task.framework_id,
            task_id=task.info.task_id,
            resources=task.resizing.resources,
            asked_by=task.resizing.asked_by,
        )
        turn.tell(agent, wanted)


def resized(turn: Turn, event: TaskResized, agent: AgentEntry) -> None:
    """The agent's word is what the accounts say from now on. An outcome of another wish does not end ours.

    Nothing but amounts can have changed: a word that says otherwise is none.
    """
    task = agent.tasks.get((event.framework_id, event.task_id))
    if task is None or task.released or _fixed(event.resources) != _fixed(task.info.resources):
        return
    before = task.held
    task.info = replace(task.info, resources=event.resources.allocated_to(task.role))
    task.limits = event.limits
    if task.resizing is not None and (event.error or task.resizing.resources == task.info.resources):
        task.resizing, task.resize_error = None, event.error
    more, less = excess(task.held, before), excess(before, task.held)
    if more:
        turn.state.allocator.hold(task.framework_id, task.role, task.agent_id, more)
        offers.rescind_what_no_longer_fits(turn, agent)
    if less:
        _give_back(turn, task, less)
    if not task.duplicate:
        turn.changed(task)


def _fixed(resources: Resources) -> Resources:
    return Resources.of(each for each in resources.unallocated() if each.name not in RESIZABLE)


def take_over(task: TaskEntry, reported: RegisteredTask) -> None:
    """At its agent's registration, before the accounts are made anew: what is in force there, and what is being tried."""
    resources = reported.task.resources
    task.info = replace(task.info, resources=resources)
    task.limits = reported.limits or reported.task.limits
    if reported.state.is_terminal:
        task.resizing = None
    elif reported.resizing:
        asked_by = task.resizing.asked_by if task.resizing is not None else "somebody before the agent registered"
        task.resizing = Resizing(resources=reported.resizing, asked_by=asked_by)
    elif task.resizing is not None and task.resizing.resources == resources:
        task.resizing = None
