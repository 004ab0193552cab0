"""The state as operators ask for it: built on demand, sorted by id, never stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from masterd.core.role_views import role_views
from masterd.core.state import AgentEntry, FrameworkEntry, MasterState, TaskEntry
from masterd.core.views import AgentView, FrameworkView, RoleView, TaskView
from paddock.model.errors import InvalidRequest, NotFound
from paddock.model.ids import FrameworkId, OfferId, TaskId
from paddock.model.resources import Resources

TaskKey = tuple[FrameworkId, TaskId]


def agent_view(state: MasterState, agent: AgentEntry) -> AgentView:
    """What is used counts until it is free again, also of tasks whose framework has ended."""
    return AgentView(
        info=agent.info,
        state=agent.state,
        used=_held(agent.tasks.values()),
        offered=_offered(state, agent.offers),
        standalone=agent.standalone,
        problem=agent.problem,
        registered_ns=agent.registered_ns,
        deactivated=agent.info.agent_id in state.deactivated_agent_ids,
        unavailability=state.maintenance.get(agent.info.hostname),
        drain=agent.drain,
    )


def role_view(state: MasterState, role: str) -> RoleView:
    """Also of a role that nobody has."""
    return role_views(state, (role,))[0]


def framework_view(state: MasterState, framework: FrameworkEntry) -> FrameworkView:
    """A completed framework has nothing any more but its history."""
    return FrameworkView(
        info=framework.info,
        state=framework.state,
        suppressed_roles=tuple(sorted(framework.suppressed_roles)),
        used=_held(framework.tasks.values()),
        offered=_offered(state, framework.offers),
        task_count=len(framework.tasks),
        offer_count=len(framework.offers),
        subscribed_ns=framework.subscribed_ns,
    )


def _held(tasks: Iterable[TaskEntry]) -> Resources:
    return Resources.of(
        resource for task in tasks if not task.released for resource in task.held.allocated_to(task.role)
    )


def _offered(state: MasterState, offer_ids: Iterable[OfferId]) -> Resources:
    return Resources.of(resource for offer_id in offer_ids for resource in state.offers[offer_id].offer.resources)


def frameworks(state: MasterState) -> dict[FrameworkId, FrameworkEntry]:
    """The living and the remembered ones."""
    return {**state.completed_frameworks, **state.frameworks}


def task_keys(state: MasterState, *, framework_id: FrameworkId | None, include_terminated: bool) -> list[TaskKey]:
    """Sorted; of one framework, or of all."""
    known = frameworks(state)
    chosen = (
        known.items()
        if framework_id is None
        else [(framework_id, known[framework_id])]
        if framework_id in known
        else []
    )
    return sorted(
        (each_id, task_id) for each_id, framework in chosen for task_id in _task_ids(framework, include_terminated)
    )


def _task_ids(framework: FrameworkEntry, include_terminated: bool) -> Iterator[TaskId]:  # noqa: FBT001
    found = {**framework.tasks, **framework.unreachable}
    if include_terminated:
        found = {**framework.completed, **found}
    for task_id, task in found.items():
        if include_terminated or not task.state.is_terminal:
            yield task_id


def find_task(state: MasterState, key: TaskKey) -> TaskView | None:
    """The task as it is now, wherever it is kept."""
    framework = frameworks(state).get(key[0])
    if framework is None:
        return None
    task = framework.tasks.get(key[1]) or framework.unreachable.get(key[1]) or framework.completed.get(key[1])
    return state.view(task) if task is not None else None


def resolve_task(state: MasterState, *, framework_id: FrameworkId | None, text: str) -> TaskView:
    """By whole id, or by a prefix that only one task has. Living tasks win over those that have ended."""
    keys = task_keys(state, framework_id=framework_id, include_terminated=True)
    exact = [key for key in keys if key[1] == text]
    found = exact or [key for key in keys if key[1].startswith(text)]
    if not found:
        raise NotFound("task", text)
    views = [view for key in found if (view := find_task(state, key)) is not None]
    alive = [view for view in views if not view.state.is_terminal and state.frameworks.get(view.framework_id)]
    chosen = alive or views
    if len(chosen) > 1:
        some = ", ".join(f"{view.task.task_id} of {view.framework_id}" for view in chosen[:3])
        raise InvalidRequest(
            "task_id", text, f"it means {len(chosen)} tasks ({some}, …); name the framework, or more of the id"
        )
    return chosen[0]
