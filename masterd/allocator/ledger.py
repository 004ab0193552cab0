"""Who has what: agents, the frameworks that hold parts of them, and what follows from it for roles and quotas.

Every movement of resources goes through here, once; shares, accounts and totals follow it, to the last thousandth.
"""

from __future__ import annotations

from collections.abc import Sequence

from masterd.allocator.accounts import Accounts
from masterd.allocator.agents import AllocatorAgent, Holder
from masterd.allocator.bundle import NOTHING, Bundle, Kinds
from masterd.allocator.frameworks import AllocatorFramework
from masterd.allocator.interface import AllocatorSettings, Conversion, Held
from masterd.allocator.roles import Roles, SorterMaker
from masterd.allocator.shares import ClusterTotals
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.resources import DEFAULT_ROLE, Resources


class Ledger:
    """`held_on`: on which agents a framework has something in a role. `openings`: see `AllocatorAgent.barren_at`."""

    def __init__(self, settings: AllocatorSettings, make_sorter: SorterMaker) -> None:
        self.settings = settings
        self.kinds = Kinds()
        self.totals = ClusterTotals(settings.excluded_from_shares)
        self.accounts = Accounts(nested=settings.nested_quota, minimum=settings.minimum)
        self.roles = Roles(self.totals, self.accounts, make_sorter)
        self.agents: dict[AgentId, AllocatorAgent] = {}
        self.frameworks: dict[FrameworkId, AllocatorFramework] = {}
        self.held_on: dict[Holder, set[AgentId]] = {}
        self.openings = 0

    # --- an agent's whole ---

    def enter(self, agent: AllocatorAgent) -> None:
        """A new agent, of which nobody has anything yet."""
        self.agents[agent.agent_id] = agent
        self._count(agent.total, NOTHING)

    def leave(self, agent: AllocatorAgent) -> None:
        """It is gone; nobody is charged for what was there."""
        for holder in list(agent.filters):
            self.forget_refusals(agent, holder)
        for holder, bundle in list(agent.held.items()):
            self.take_back(agent, holder, bundle, in_use=holder in agent.in_use)
        self.withhold(agent, NOTHING)
        self._count(NOTHING, agent.total)
        del self.agents[agent.agent_id]

    def resize(self, agent: AllocatorAgent, total: Bundle) -> bool:
        """Its whole is another now; whether it differs."""
        before = agent.total
        if total == before:
            return False
        agent.set_total(total)
        self._count(total, before)
        return True

    def _count(self, added: Bundle, removed: Bundle) -> None:
        self.totals.change(added=added.quantities_of_scalars, removed=removed.quantities_of_scalars)
        self.accounts.change_plain(added.charged, 1)
        self.accounts.change_plain(removed.charged, -1)
        for bundle, sign in ((added, 1), (removed, -1)):
            for role, part in bundle.parts.items():
                if role != DEFAULT_ROLE:
                    self.accounts.reserve(role, part.quantities_of_scalars, sign)
        self._quota_may_open()

    def withhold(self, agent: AllocatorAgent, bundle: Bundle) -> bool:
        """What nobody may be offered of it; whether that differs."""
        if bundle == agent.withheld:
            return False
        self.accounts.change_plain(agent.withheld.charged, 1)
        self.accounts.change_plain(bundle.charged, -1)
        agent.withheld = bundle
        agent.touch()
        self._quota_may_open()
        return True

    def _quota_may_open(self) -> None:
        """With quotas, what comes back on one agent may let a role take something of another."""
        self.roles.place_turned()
        if self.accounts.limit_count or self.accounts.guarantee_count:
            self.openings += 1

    # --- movements ---

    def hold(self, agent: AllocatorAgent, holder: Holder, bundle: Bundle) -> None:
        """The holder has it already, and uses it."""
        agent.give(holder, bundle)
        self.note_holder(agent, holder)
        self.roles.hold(holder[1], holder[0], agent.agent_id, bundle)
        self.use(agent, holder, bundle)
        self.roles.place_turned()

    def hold_all(self, agent: AllocatorAgent, held: Held) -> None:
        """All that an agent says of its holders."""
        for holder, resources in held.items():
            bundle = self.kinds.bundle(resources)
            if bundle:
                self.hold(agent, holder, bundle)

    def note_holder(self, agent: AllocatorAgent, holder: Holder) -> None:
        """It has something there now."""
        agents = self.held_on.get(holder)
        if agents is None:
            self.held_on[holder] = {agent.agent_id}
        else:
            agents.add(agent.agent_id)

    def take_back(self, agent: AllocatorAgent, holder: Holder, bundle: Bundle, *, in_use: bool) -> None:
        """ValueError when the holder does not have it. `in_use`: it was not only offered, as far as it was used."""
        agent.take_back(holder, bundle)
        ended = agent.end_use(holder, bundle) if in_use else NOTHING
        if ended:
            self.roles.use(holder[1], ended, -1)
        agents = self.held_on[holder]
        if holder not in agent.held:
            agents.discard(agent.agent_id)
        if not agents:
            del self.held_on[holder]
        self.roles.give_back(holder[1], holder[0], agent.agent_id, bundle, last=not agents)
        self._quota_may_open()

    def use(self, agent: AllocatorAgent, holder: Holder, bundle: Bundle) -> None:
        """What the holder was offered is used now."""
        agent.use(holder, bundle)
        self.roles.use(holder[1], bundle, 1)

    def add_copies(self, agent: AllocatorAgent, holder: Holder, bundle: Bundle) -> None:
        """More copies of shared resources than the holder has: they are never used up."""
        spare = agent.held.get(holder, NOTHING).minus(agent.in_use.get(holder, NOTHING))
        missing = bundle.only(bundle.shared).minus(spare)
        if missing:
            agent.give(holder, missing)
            self.roles.hold(holder[1], holder[0], agent.agent_id, missing)

    def convert(self, agent: AllocatorAgent, holder: Holder, conversions: Sequence[Conversion]) -> None:
        """What the holder has becomes something else. ValueError, and nothing changed, when it does not have it."""
        before = agent.held.get(holder, NOTHING)
        held, total = self._converted(before, agent.total, conversions)
        gone, came = before.minus(held), held.minus(before)
        agent.held[holder] = held
        if not held:
            del agent.held[holder]
        self.roles.exchange(holder[1], holder[0], agent.agent_id, gone=gone, came=came)
        agent.touch()
        self.resize(agent, total)

    def convert_free(self, agent: AllocatorAgent, conversions: Sequence[Conversion]) -> None:
        """What nobody has becomes something else. ValueError, and nothing changed, when somebody has it."""
        _, total = self._converted(agent.free, agent.total, conversions)
        self.resize(agent, total)

    def _converted(self, part: Bundle, total: Bundle, conversions: Sequence[Conversion]) -> tuple[Bundle, Bundle]:
        for conversion in conversions:
            consumed, converted = self.kinds.bundle(conversion.consumed), self.kinds.bundle(conversion.converted)
            if not part.contains(consumed):
                raise ValueError(f"{consumed.resources()} is not in {part.resources()}")
            part = part.minus(consumed).plus(converted)
            total = total.minus(consumed).plus(converted)
        return part, self.kinds.bundle(total.resources())

    # --- refusals ---

    def forget_refusals(self, agent: AllocatorAgent, holder: Holder) -> None:
        """Of one holder on one agent."""
        agent.forget_refusals(holder)
        framework = self.frameworks.get(holder[0])
        if framework is not None and holder[1] in framework.refused_agents:
            framework.refused_agents[holder[1]].discard(agent.agent_id)

    def forget_refusals_in(self, framework: AllocatorFramework, role: str) -> None:
        """Of one holder on all agents."""
        for agent_id in framework.refused_agents.pop(role, ()):
            agent = self.agents.get(agent_id)
            if agent is not None:
                agent.forget_refusals((framework.framework_id, role))

    def uncover(self, framework: AllocatorFramework, role: str) -> None:
        """It wants no offers in the role for now: nowhere may its refusals be counted among those that do."""
        for agent_id in framework.refused_agents.get(role, ()):
            agent = self.agents.get(agent_id)  # gone, when the refusal was over before it went
            if agent is not None:
                agent.covered.discard((framework.framework_id, role))

    def bundle_of(self, agent: AllocatorAgent, holder: Holder, resources: Resources) -> Bundle:
        """The resources as a bundle; without any work when they are just what the holder was granted there."""
        held = agent.held.get(holder)
        return held if held is not None and held.is_of(resources) else self.kinds.bundle(resources)
