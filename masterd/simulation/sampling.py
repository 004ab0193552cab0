"""One look at a simulated cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from masterd.core.state import MasterState
from masterd.core.views import AgentState
from masterd.simulation.behaviour import Behaviour
from masterd.simulation.measures import ClusterSample, FrameworkSample, Measures, jain
from masterd.simulation.timeline import Timeline
from paddock.model.ids import FrameworkId
from paddock.model.resources import Resources

WEIGHT_ONE_MILLI = 1_000


class Sampled(Protocol):
    """The part of a world that is looked at."""

    time: Timeline
    state: MasterState
    behaviours: dict[FrameworkId, Behaviour]


def sample(measures: Measures, world: Sampled) -> None:
    """Of the agents that are connected, as it is now."""
    state = world.state
    total = _sum(each.info.resources for each in state.agents.values() if each.state is AgentState.CONNECTED)
    used_by = {each: _sum(task.wanted.resources for task in each.launched.values()) for each in _present(world)}
    role_shares: dict[str, float] = {}
    waiting_roles = set[str]()
    for behaviour, used in used_by.items():
        role = behaviour.spec.role
        share, weight = _share(used, total), state.weights_milli.get(role, WEIGHT_ONE_MILLI) / WEIGHT_ONE_MILLI
        role_shares[role] = role_shares.get(role, 0.0) + share / weight
        if behaviour.waiting:
            waiting_roles.add(role)
        measures.frameworks.append(
            FrameworkSample(
                time_s=world.time.now_s,
                framework=behaviour.spec.name,
                role=role,
                share=share,
                weighted_share=share / weight,
                running=len(behaviour.launched),
                waiting=len(behaviour.waiting),
            )
        )
    offered = _sum(entry.resources for entry in state.offers.values())
    measures.cluster.append(
        ClusterSample(
            time_s=world.time.now_s,
            used=_parts(_added(used_by.values()), total),
            offered=_parts(offered, total),
            fairness=jain([role_shares[role] for role in sorted(waiting_roles)]),
        )
    )


def _present(world: Sampled) -> list[Behaviour]:
    return [each for each in world.behaviours.values() if each.present or each.launched]


def _sum(each: Iterable[Resources]) -> dict[str, int]:
    return _added(resources.quantities_milli() for resources in each)


def _added(each: Iterable[Mapping[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for amounts in each:
        for name, milli in amounts.items():
            sums[name] = sums.get(name, 0) + milli
    return sums


def _share(used: Mapping[str, int], total: Mapping[str, int]) -> float:
    return max((milli / total[name] for name, milli in used.items() if total.get(name)), default=0.0)


def _parts(amounts: Mapping[str, int], total: Mapping[str, int]) -> dict[str, float]:
    return {name: amounts.get(name, 0) / milli for name, milli in sorted(total.items()) if milli}
