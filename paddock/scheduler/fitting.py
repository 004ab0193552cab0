"""Whether a task fits into offers, and the mark that its resources then carry."""

from __future__ import annotations

from dataclasses import replace

from paddock.model.offer import Offer
from paddock.model.resources import Resources
from paddock.model.task import TaskInfo


def fits(offer: Offer, wanted: Resources) -> bool:
    """Whether the offer holds all of it. Unallocated resources are taken to be of the offer's role."""
    return offer.resources.contains(allocated(wanted, offer.role))


def allocated(resources: Resources, role: str) -> Resources:
    """Offers' resources are allocated to a role, and what is taken out of them is too; people write it without."""
    return Resources.of(
        resource if resource.allocation_role else replace(resource, allocation_role=role) for resource in resources
    )


def placed(task: TaskInfo, offer: Offer) -> TaskInfo:
    """The task as it is launched on the offer's agent, in the offer's role."""
    return replace(task, agent_id=offer.agent_id, resources=allocated(task.resources, offer.role))


def pack(offer: Offer, waiting: list[TaskInfo]) -> list[TaskInfo]:
    """The tasks that fit into the offer together, first come first served: taken out of `waiting`."""
    left = offer.resources
    taken: list[TaskInfo] = []
    for task in tuple(waiting):
        wanted = allocated(task.resources, offer.role)
        if left.contains(wanted):
            left -= wanted
            taken.append(task)
            waiting.remove(task)
    return taken
