"""The master's state in numbers, counted agent by agent and framework by framework: whoever counts can pause between two."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from masterd.allocator.interface import Inactivity
from masterd.core import inspection
from masterd.core.availability import inactivity
from masterd.core.state import AgentEntry, FrameworkEntry, MasterState
from masterd.core.views import AgentState, FrameworkState
from paddock.model.resources import DEFAULT_ROLE, Resources
from paddock.model.task import TaskState

Counted = TypeVar("Counted", bound=Enum)

KNOWN_TO_ALLOCATOR = frozenset({AgentState.CONNECTED, AgentState.DISCONNECTED})
"""Only what these have belongs to the cluster: of the others nobody knows what is still there."""


@dataclass(slots=True, kw_only=True)
class Amounts:
    """By resource name, in thousandths; ranges and sets count 1000 for each of theirs."""

    total: dict[str, int] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    standalone: dict[str, int] = field(default_factory=dict)
    offered: dict[str, int] = field(default_factory=dict)
    free: dict[str, int] = field(default_factory=dict)
    reserved: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Summary:
    """`inactive`: agents by what keeps them from being offered; one may have several. `tasks`: remembered ones, too.

    `unacknowledged_count`: tasks that ended and whose framework has not acknowledged it.
    """

    agents: dict[AgentState, int] = field(default_factory=dict)
    inactive: dict[Inactivity, int] = field(default_factory=dict)
    drained_count: int = 0
    problem_count: int = 0
    unacknowledged_count: int = 0
    frameworks: dict[FrameworkState, int] = field(default_factory=dict)
    tasks: dict[TaskState, int] = field(default_factory=dict)
    amounts: Amounts = field(default_factory=Amounts)

    def count_agent(self, state: MasterState, agent: AgentEntry, *, wall_ns: int) -> None:
        """What it is, has and gives."""
        _count(self.agents, agent.state)
        for why in inactivity(state, agent, wall_ns):
            _count(self.inactive, why)
        self.drained_count += agent.drain is not None and agent.drain.is_done
        self.problem_count += bool(agent.problem)
        self.unacknowledged_count += sum(task.state.is_terminal for task in agent.tasks.values())
        if agent.state not in KNOWN_TO_ALLOCATOR:
            return
        view, whole = inspection.agent_view(state, agent), agent.info.resources
        reserved = Resources(tuple(each for each in whole if each.reserved_role != DEFAULT_ROLE))
        for sums, part in (
            (self.amounts.total, whole),
            (self.amounts.used, view.used),
            (self.amounts.standalone, view.standalone),
            (self.amounts.offered, view.offered),
            (self.amounts.free, state.allocator.free(agent.info.agent_id)),
            (self.amounts.reserved, reserved),
        ):
            for name, milli in part.quantities_milli().items():
                sums[name] = sums.get(name, 0) + milli

    def count_framework(self, framework: FrameworkEntry) -> None:
        """With its tasks, wherever they are kept."""
        _count(self.frameworks, framework.state)
        for tasks in (framework.tasks, framework.unreachable, framework.completed):
            for task in tasks.values():
                _count(self.tasks, task.state)


def _count(counts: dict[Counted, int], kind: Counted) -> None:
    counts[kind] = counts.get(kind, 0) + 1
