"""Why frameworks are not offered agents, as operators ask for it: which of them are meant, and the answer for one of them."""

from __future__ import annotations

from dataclasses import dataclass

from masterd.allocator.books import Books
from masterd.allocator.explain import Finding, explain, of_inactivity
from masterd.allocator.reservations import is_strict_subrole
from masterd.core.availability import inactivity
from masterd.core.state import MasterState
from masterd.core.views import AgentState, Drain
from paddock.model.errors import NotFound, Unsupported
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.offer import Unavailability

Key = tuple[FrameworkId, str, AgentId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """No findings: an offer is out, or the next cycle makes one. Of the agent, what the allocator does not know: how it is
    drained, how many tasks are left there, and the maintenance of its host.
    """

    framework_id: FrameworkId
    role: str
    agent_id: AgentId
    hostname: str
    findings: tuple[Finding, ...]
    drain: Drain | None = None
    task_count: int = 0
    unavailability: Unavailability | None = None


def explanation_keys(
    state: MasterState, *, framework_id: FrameworkId | None, role: str | None, agent_id: AgentId | None
) -> list[Key]:
    """None: any. A framework and a role that are both named are looked at also when they do not belong together.

    Raises NotFound for a framework or an agent that is not there, or is only remembered.
    """
    if framework_id is not None and framework_id not in state.frameworks:
        raise NotFound("framework", framework_id, "`paddock frameworks` lists them")
    if agent_id is not None and agent_id not in state.agents:
        raise NotFound("agent", agent_id)
    agents = list(state.agents) if agent_id is None else [agent_id]
    return [
        (each_id, path, agent)
        for each_id in (state.frameworks if framework_id is None else (framework_id,))
        for path in _roles(state, each_id, role, named=framework_id is not None)
        for agent in agents
    ]


def _roles(state: MasterState, framework_id: FrameworkId, role: str | None, *, named: bool) -> list[str]:
    """A role means those below it too."""
    subscribed = state.frameworks[framework_id].info.roles
    if role is None:
        return list(subscribed)
    found = [each for each in subscribed if each == role or is_strict_subrole(each, role)]
    return found or ([role] if named else [])


def explanation(state: MasterState, key: Key, *, now_ns: int, wall_ns: int) -> Explanation | None:
    """None when the framework or the agent is gone by now. Unsupported for an allocator that keeps no books like ours."""
    framework_id, role, agent_id = key
    books = state.allocator
    if not isinstance(books, Books):
        raise Unsupported("explain", "only the built-in allocator drf can say why")
    agent = state.agents.get(agent_id)
    if agent is None or framework_id not in state.frameworks:
        return None
    if agent.state in {AgentState.CONNECTED, AgentState.DISCONNECTED}:
        findings = explain(books, framework_id=framework_id, role=role, agent_id=agent_id, now_ns=now_ns)
    else:
        # The allocator does not know it: neither it nor what it has.
        findings = tuple(of_inactivity(inactivity(state, agent, wall_ns)))
    return Explanation(
        framework_id=framework_id,
        role=role,
        agent_id=agent_id,
        hostname=agent.info.hostname,
        findings=findings,
        drain=agent.drain,
        task_count=agent.living_task_count,
        unavailability=state.maintenance.get(agent.info.hostname),
    )
