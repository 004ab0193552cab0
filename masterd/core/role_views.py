"""Roles as operators ask for them: many at once, each agent, task and offer looked at once for all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from masterd.allocator.books import Books
from masterd.allocator.quota import NO_QUOTA
from masterd.allocator.reservations import ancestors
from masterd.allocator.shares import WEIGHT_ONE_MILLI
from masterd.core.state import MasterState
from masterd.core.views import RoleView
from paddock.model.ids import FrameworkId
from paddock.model.resources import DEFAULT_ROLE, Resource, Resources, Scalar


def role_names(state: MasterState) -> set[str]:
    """Whatever has members, tasks, a weight, a quota or reservations; and the roles above them."""
    found = {role for framework in state.frameworks.values() for role in framework.info.roles}
    found |= state.quotas.keys() | {role for role, weight in state.weights_milli.items() if weight != WEIGHT_ONE_MILLI}
    for agent in state.agents.values():
        found |= {task.role for task in agent.tasks.values()}
        found |= {reservation.role for resource in agent.info.resources for reservation in resource.reservations}
    return found | {above for role in found for above in ancestors(role)}


def role_views(state: MasterState, roles: Collection[str]) -> list[RoleView]:
    """In the order of `roles`."""
    wanted = frozenset(roles)
    members: dict[str, list[FrameworkId]] = {}
    for framework in state.frameworks.values():
        for role in wanted.intersection(framework.info.roles):
            members.setdefault(role, []).append(framework.info.framework_id)
    used, reserved = _of_agents(state, wanted)
    offered: dict[str, list[Resource]] = {}
    for entry in state.offers.values():
        offered.setdefault(entry.offer.role, []).extend(entry.resources)
    books = state.allocator if isinstance(state.allocator, Books) else None
    return [
        RoleView(
            role=role,
            weight_milli=state.weights_milli.get(role, WEIGHT_ONE_MILLI),
            quota=state.quotas.get(role, NO_QUOTA),
            consumed_milli=state.allocator.quota_consumption(role),
            reserved_milli=reserved.get(role, {}),
            used=Resources.of(used.get(role, ())),
            offered=Resources.of(offered.get(role, ())),
            framework_ids=tuple(sorted(members.get(role, ()))),
            share=None if books is None else books.role_share(role),
        )
        for role in roles
    ]


def _of_agents(
    state: MasterState, wanted: Collection[str]
) -> tuple[dict[str, list[Resource]], dict[str, dict[str, int]]]:
    used: dict[str, list[Resource]] = {}
    reserved: dict[str, dict[str, int]] = {}
    for agent in state.agents.values():
        for task in agent.tasks.values():
            if not task.released and task.role in wanted:
                used.setdefault(task.role, []).extend(task.held.allocated_to(task.role))
        for resource in agent.info.resources:
            if isinstance(resource.value, Scalar):
                for role in _charged(resource, wanted):
                    sums = reserved.setdefault(role, {})
                    sums[resource.name] = sums.get(resource.name, 0) + resource.value.milli
    return used, reserved


def _charged(resource: Resource, wanted: Collection[str]) -> Iterable[str]:
    role = resource.reserved_role
    return () if role == DEFAULT_ROLE else [each for each in (role, *ancestors(role)) if each in wanted]
