"""What is true of a master between any two events. `World.do` asks after each step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from masterd.core.state import MasterState
from masterd.core.views import AgentState, FrameworkState
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.resources import Resources


class Books(Protocol):
    """The part of an allocator that can be audited."""

    def held(self, agent_id: AgentId) -> Mapping[tuple[FrameworkId, str], Resources]:
        """Who has what of the agent."""
        ...

    def free(self, agent_id: AgentId) -> Resources:
        """What is left of it."""
        ...

    def shortage(self, agent_id: AgentId) -> Resources:
        """What was given away beyond its whole."""
        ...


def violations(state: MasterState, books: Books) -> Iterator[str]:
    """Every broken invariant, in words; nothing when all is well."""
    yield from _availability_violations(state)
    yield from _offer_violations(state)
    yield from _agent_task_violations(state)
    yield from _framework_task_violations(state)
    yield from _connection_violations(state)
    yield from _tally_violations(state)
    for agent_id, agent in state.agents.items():
        if agent.state in {AgentState.CONNECTED, AgentState.DISCONNECTED}:
            yield from _conservation_violations(state, books, agent_id)


def _tally_violations(state: MasterState) -> Iterator[str]:
    tally = state.tally
    outstanding_count = tally.offers_made_count - sum(tally.offers_ended.values())
    if outstanding_count != len(state.offers):
        yield f"{outstanding_count} offers were counted as made and not as ended; there are {len(state.offers)}"
    wanted = sorted(
        role
        for framework in state.frameworks.values()
        if framework.state is FrameworkState.SUBSCRIBED
        for role in framework.info.roles
        if role not in framework.suppressed_roles
    )
    counted = sorted(role for role, _ in tally.wishes())
    if wanted != counted:
        yield f"offers are wanted in {wanted}; counted were {counted}"
    if not tally.offered_ns.keys() <= set(wanted):
        yield f"when there was an offer is remembered of {set(tally.offered_ns) - set(wanted)}, where nobody wants one"
    if sum(tally.tasks_ended.values()) > sum(tally.statuses.values()):
        yield "more ends than statuses were counted"


def _availability_violations(state: MasterState) -> Iterator[str]:
    for offer_id, entry in state.offers.items():
        if entry.offer.agent_id in state.deactivated_agent_ids:
            yield f"offer {offer_id} is of an agent that is out of use"
        if state.maintenance.get(entry.offer.hostname) != entry.offer.unavailability:
            yield f"offer {offer_id} does not tell of the maintenance that is planned"
        if entry.offer.hostname in state.begun_hostnames:
            yield f"offer {offer_id} is of a host under maintenance"


def _offer_violations(state: MasterState) -> Iterator[str]:
    for offer_id, entry in state.offers.items():
        agent = state.agents.get(entry.offer.agent_id)
        framework = state.frameworks.get(entry.offer.framework_id)
        if agent is None or offer_id not in agent.offers or agent.state is not AgentState.CONNECTED:
            yield f"offer {offer_id} is of an agent that is not connected or does not know it"
        elif agent.drain is not None:
            yield f"offer {offer_id} is of an agent that is drained"
        if framework is None or offer_id not in framework.offers or framework.state is not FrameworkState.SUBSCRIBED:
            yield f"offer {offer_id} is held by a framework that is not subscribed or does not know it"
        elif entry.offer.role not in framework.info.roles:
            yield f"offer {offer_id} is of role {entry.offer.role}, which its framework does not have"
    for agent in state.agents.values():
        if agent.offers.keys() - state.offers.keys():
            yield f"agent {agent.info.agent_id} has offers that are over"
    for framework in state.frameworks.values():
        if framework.offers.keys() - state.offers.keys():
            yield f"framework {framework.info.framework_id} has offers that are over"


def _agent_task_violations(state: MasterState) -> Iterator[str]:
    for agent_id, agent in state.agents.items():
        if agent.tasks and agent.state in {AgentState.RECOVERED, AgentState.UNREACHABLE}:
            yield f"agent {agent_id} is {agent.state.value} and has tasks"
        for key, task in agent.tasks.items():
            if state.framework(key[0]) is None:
                yield f"task {key} is of a framework that nobody remembers"
            if task.agent_id != agent_id:
                yield f"task {key} is listed on {agent_id} but says {task.agent_id}"
            if task.state.is_terminal and not task.released:
                yield f"task {key} has ended and still holds resources"


def _framework_task_violations(state: MasterState) -> Iterator[str]:
    for framework_id, framework in state.frameworks.items():
        for task_id, task in framework.tasks.items():
            if state.agents[task.agent_id].tasks.get((framework_id, task_id)) is not task:
                yield f"task {task_id} of {framework_id} is not known on its agent {task.agent_id}"
        if framework.tasks.keys() & framework.unreachable.keys():
            yield f"framework {framework_id} has a task both reachable and not"
        for task_id, task in framework.unreachable.items():
            if not task.released:
                yield f"unreachable task {task_id} of {framework_id} still holds resources"


def _connection_violations(state: MasterState) -> Iterator[str]:
    for agent_id, agent in state.agents.items():
        if (agent.state is AgentState.CONNECTED) != (agent.stream is not None):
            yield f"agent {agent_id} is {agent.state.value} with stream {agent.stream}"
        if agent.stream is not None and state.agent_of_stream.get(agent.stream) != agent_id:
            yield f"agent {agent_id}'s stream is not known as its"
    for framework_id, framework in state.frameworks.items():
        if (framework.state is FrameworkState.SUBSCRIBED) != (framework.stream is not None):
            yield f"framework {framework_id} is {framework.state.value} with stream {framework.stream}"
        if framework.state is FrameworkState.COMPLETED or framework_id in state.refused_framework_ids:
            yield f"framework {framework_id} has ended and is still among the living"
    if len(state.agent_of_stream) != sum(agent.stream is not None for agent in state.agents.values()):
        yield "a stream is known of an agent that has none"
    if len(state.framework_of_stream) != sum(each.stream is not None for each in state.frameworks.values()):
        yield "a stream is known of a framework that has none"


def _conservation_violations(state: MasterState, books: Books, agent_id: AgentId) -> Iterator[str]:
    """Offered + in use = held, and held + free + standalone = the whole, to the last thousandth."""
    agent = state.agents[agent_id]
    expected: dict[tuple[FrameworkId, str], Resources] = {}
    for offer_id in agent.offers:
        entry = state.offers[offer_id]
        holder = (entry.offer.framework_id, entry.offer.role)
        expected[holder] = expected.get(holder, Resources()) + entry.resources
    for task in agent.tasks.values():
        if task.released:
            continue
        holder = (task.framework_id, task.role)
        expected[holder] = expected.get(holder, Resources()) + task.held
    held = books.held(agent_id)
    if dict(held) != expected:
        yield f"agent {agent_id}: the allocator counts {dict(held)}, offers and tasks make {expected}"
    if not books.shortage(agent_id):
        whole = books.free(agent_id) + agent.standalone
        for resources in held.values():
            whole += resources
        if whole != agent.info.resources:
            yield f"agent {agent_id}: its parts make {whole}, it has {agent.info.resources}"
