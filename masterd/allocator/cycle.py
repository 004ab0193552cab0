"""One run: each agent's free part goes, whole, to the first framework in DRF order that may and will have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from masterd.allocator.agents import AllocatorAgent, Holder
from masterd.allocator.bundle import NOTHING, Bundle
from masterd.allocator.interface import AllocatorSettings
from masterd.allocator.roles import Role, Roles
from paddock.model.framework import FrameworkCapability
from paddock.model.ids import AgentId, FrameworkId


@dataclass(slots=True, kw_only=True)
class AllocatorFramework:
    """A framework as the allocator sees it. `holdings` is on which agents it has something, by role."""

    framework_id: FrameworkId
    roles: set[str]
    suppressed_roles: set[str]
    capabilities: frozenset[FrameworkCapability]
    active: bool
    refused_agents: dict[str, set[AgentId]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """A grant, as the allocator counts."""

    holder: Holder
    agent: AllocatorAgent
    bundle: Bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run looks at. `openings` counts the events that may make somebody take what nobody took before."""

    roles: Roles
    frameworks: Mapping[FrameworkId, AllocatorFramework]
    settings: AllocatorSettings
    now_ns: int
    batch_count: int
    openings: int


def allocatable(bundle: Bundle, minimum: Sequence[Mapping[str, int]]) -> bool:
    """Whether an offer of this is worth sending: all quantities of one alternative; anything when there is none."""
    if not minimum:
        return bool(bundle)
    quantities = bundle.quantities
    return any(all(quantities.get(name, 0) >= milli for name, milli in wanted.items()) for wanted in minimum)


def is_hidden(agent: AllocatorAgent, framework: AllocatorFramework, settings: AllocatorSettings) -> bool:
    """Agents with gpus are kept for frameworks that know them: others would fill them with work that needs none."""
    return agent.has_gpus and settings.filter_gpus and FrameworkCapability.GPU_RESOURCES not in framework.capabilities


def presentable(bundle: Bundle, framework: AllocatorFramework) -> Bundle:
    """Without what the framework has not said that it understands: revocable, shared, refined reservations."""
    if all(kind.plain for kind in bundle.amounts):
        return bundle
    capabilities = framework.capabilities
    return Bundle(
        {
            kind: amount
            for kind, amount in bundle.amounts.items()
            if (not kind.sample.revocable or FrameworkCapability.REVOCABLE_RESOURCES in capabilities)
            and (not kind.sample.shared or FrameworkCapability.SHARED_RESOURCES in capabilities)
            and (len(kind.sample.reservations) <= 1 or FrameworkCapability.RESERVATION_REFINEMENT in capabilities)
        }
    )


def visit(agent: AllocatorAgent, run: Run) -> list[Portion]:
    """Grant what is free on one agent, in the order before the visit (Mesos sorts once per agent)."""
    if not agent.active or (agent.barren_at == run.openings and run.now_ns < agent.wake_ns):
        return []
    portions: list[Portion] = []
    if agent.free:
        for role in run.roles.order():
            portions.extend(_serve(agent, role, run))
            if not agent.free:
                break
    if portions:
        for portion in portions:
            framework_id, path = portion.holder
            run.roles.charge(path, framework_id, portion.bundle.scalars)
    else:
        agent.mark_barren(run.openings)
    return portions


def _serve(agent: AllocatorAgent, role: Role, run: Run) -> list[Portion]:
    """The frameworks of one role, in order, until nothing is left that the role may have."""
    candidate = agent.free_for(role.line)
    if not allocatable(candidate, run.settings.minimum):
        return []
    portions: list[Portion] = []
    for client in role.frameworks.order():
        framework = run.frameworks[FrameworkId(client)]
        if is_hidden(agent, framework, run.settings):
            continue
        offer = presentable(candidate, framework)
        if offer is not candidate and not allocatable(offer, run.settings.minimum):
            continue
        holder = (framework.framework_id, role.path)
        if agent.filters and agent.is_refused(holder, offer, now_ns=run.now_ns, batch_count=run.batch_count):
            continue
        agent.give(holder, offer)
        portions.append(Portion(holder=holder, agent=agent, bundle=offer))
        candidate = NOTHING if offer is candidate else agent.free_for(role.line)
        if not allocatable(candidate, run.settings.minimum):
            break
    return portions
