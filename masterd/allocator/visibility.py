"""Whom an agent is shown to, and what of it: capabilities, gpus, regions, constraints."""

from __future__ import annotations

from enum import Enum

from masterd.allocator.agents import AllocatorAgent
from masterd.allocator.bundle import Bundle
from masterd.allocator.frameworks import AllocatorFramework
from masterd.allocator.interface import AllocatorSettings
from masterd.allocator.kind import Kind
from masterd.allocator.quantities import minimum_met
from paddock.model.framework import FrameworkCapability as Capability


class Hidden(Enum):
    """Why a framework never sees an agent."""

    MULTI_ROLE = "the agent does not know frameworks with several roles"
    HIERARCHICAL_ROLE = "the agent does not know roles below others"
    GPU = "the agent has gpus, and the framework has not said that it uses them"
    REGION = "the agent is in another region, and the framework has not said that it goes there"
    CONSTRAINT = "the framework's constraints rule the agent out"


def is_ordinary(agent: AllocatorAgent, settings: AllocatorSettings) -> bool:
    """Whether nothing of the agent itself can hide it from anybody."""
    traits = agent.traits
    return not (
        (agent.has_gpus and settings.filter_gpus)
        or "MULTI_ROLE" not in traits.capabilities
        or "HIERARCHICAL_ROLE" not in traits.capabilities
        or _is_remote(agent, settings)
    )


def _is_remote(agent: AllocatorAgent, settings: AllocatorSettings) -> bool:
    region = agent.traits.place.region
    return bool(region and settings.master_region and region != settings.master_region)


def hidden(
    agent: AllocatorAgent, framework: AllocatorFramework, role: str, settings: AllocatorSettings
) -> Hidden | None:
    """The first reason why the framework may not see the agent in the role."""
    if "MULTI_ROLE" not in agent.traits.capabilities:
        return Hidden.MULTI_ROLE
    if "/" in role and "HIERARCHICAL_ROLE" not in agent.traits.capabilities:
        return Hidden.HIERARCHICAL_ROLE
    if agent.has_gpus and settings.filter_gpus and not framework.can(Capability.GPU_RESOURCES):
        return Hidden.GPU
    if _is_remote(agent, settings) and not framework.can(Capability.REGION_AWARE):
        return Hidden.REGION
    wanted = framework.wanted.get(role)
    if wanted is not None and wanted.excludes(agent.traits.place):
        return Hidden.CONSTRAINT
    return None


def understands(framework: AllocatorFramework, kind: Kind) -> bool:
    """Whether the framework has said that it knows such resources."""
    return (
        (not kind.revocable or framework.can(Capability.REVOCABLE_RESOURCES))
        and (not kind.shared or framework.can(Capability.SHARED_RESOURCES))
        and (not kind.refined or framework.can(Capability.RESERVATION_REFINEMENT))
    )


def presentable(bundle: Bundle, framework: AllocatorFramework) -> Bundle:
    """Without what the framework does not understand: revocable, shared, refined reservations."""
    return bundle.only(kind for kind in bundle.amounts if kind.plain or understands(framework, kind))


def worth_offering(bundle: Bundle, framework: AllocatorFramework, role: str, settings: AllocatorSettings) -> bool:
    """Whether the framework wants to hear of so little."""
    return minimum_met(bundle, framework.minimum(role, settings.minimum))
