"""Planned maintenance: who has something on an agent that will not be available is asked, once, to leave it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from masterd.allocator.agents import AllocatorAgent
from masterd.allocator.frameworks import AllocatorFramework
from masterd.allocator.interface import InverseGrant
from paddock.model.ids import FrameworkId


class Maintenance:
    """Collects inverse grants until they are taken."""

    def __init__(self) -> None:
        self._waiting: list[InverseGrant] = []

    def ask_back(self, agents: Iterable[AllocatorAgent], frameworks: Mapping[FrameworkId, AllocatorFramework]) -> None:
        """One for each active framework with something on the agent; frameworks that are not known are passed over."""
        for agent in agents:
            if agent.unavailable_at_ns is None:
                continue
            for framework_id in sorted({framework_id for framework_id, _ in agent.held}):
                framework = frameworks.get(framework_id)
                if framework is None or not framework.active or framework_id in agent.asked_back:
                    continue
                agent.asked_back.add(framework_id)
                self._waiting.append(
                    InverseGrant(
                        framework_id=framework_id, agent_id=agent.agent_id, unavailable_at_ns=agent.unavailable_at_ns
                    )
                )

    def take(self) -> tuple[InverseGrant, ...]:
        """Those that were not taken yet."""
        waiting, self._waiting = self._waiting, []
        return tuple(waiting)
