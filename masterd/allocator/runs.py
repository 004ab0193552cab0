"""Runs: which agents are looked at, in which order, what comes of it; and when there are none."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from masterd.allocator.agents import AllocatorAgent, Holder
from masterd.allocator.books import Books
from masterd.allocator.cycle import Portion, Run
from masterd.allocator.interface import AllocatorSettings, Grant, InverseGrant, Shuffler
from masterd.allocator.maintenance import Maintenance
from masterd.allocator.sweep import share_all
from paddock.model.ids import AgentId


class Runs(Books):
    """What an allocator does by itself."""

    def __init__(self, settings: AllocatorSettings) -> None:
        super().__init__(settings)
        self._maintenance = Maintenance()
        self._choosy_count = 0

    # --- runs ---

    @property
    def wants_run(self) -> bool:
        """Something happened that may lead to new grants."""
        return self.agenda.wants_run

    def run(self, *, now_ns: int, shuffler: Shuffler, batch: bool) -> tuple[Grant, ...]:
        """Visit the candidates in random order: once for what is owed, once for the rest."""
        agenda = self.agenda
        agenda.note_time(now_ns)
        agents = self._take_candidates(batch=batch)
        if agenda.is_paused:
            agenda.batch_count += batch
            return ()
        agenda.run_count += 1
        run = self._new_run(now_ns)
        has_two_stages = bool(self.ledger.accounts.root.children_need)
        if has_two_stages:
            for agent in shuffler.sample(agents, len(agents)):
                run.honour(agent)
        share_all(run, shuffler.sample(agents, len(agents)))
        grants = self._grants(_together(run.portions) if has_two_stages else run.portions)
        self._maintenance.ask_back(agents, self.ledger.frameworks)
        if batch:
            agenda.batch_count += 1
            self._end_round()
        return grants

    def _new_run(self, now_ns: int) -> Run:
        ledger = self.ledger
        return Run(
            kinds=ledger.kinds,
            totals=ledger.totals,
            roles=ledger.roles,
            accounts=ledger.accounts,
            frameworks=ledger.frameworks,
            settings=self.settings,
            now_ns=now_ns,
            batch_count=self.agenda.batch_count,
            openings=ledger.openings,
            choosy=self._choosy_count > 0,
        )

    def _take_candidates(self, *, batch: bool) -> list[AllocatorAgent]:
        known, named = self.ledger.agents, self.agenda.take(batch=batch)
        agents = known.values() if named is None else [known[agent_id] for agent_id in named if agent_id in known]
        return [agent for agent in agents if agent.active and agent.allowed]

    def _grants(self, portions: list[Portion]) -> tuple[Grant, ...]:
        """One for each framework, role and agent. The portions are used up: each grant takes the memory of one."""
        # A named tuple's own constructor is a Python function.
        held_on, new = self.ledger.held_on, tuple.__new__
        grants: list[Grant] = []
        served: dict[Holder, set[AgentId]] = {}
        portions.reverse()
        while portions:
            role, framework, agent, bundle = portions.pop()
            path, agent_id = role.path, agent.agent_id
            holder = framework.holders[path]
            agents = served.get(holder)
            if agents is None:
                agents = served[holder] = held_on.setdefault(holder, set())
                framework.offered_roles.add(path)
            agents.add(agent_id)
            resources, allocated = bundle.marked.get(path) or bundle.resources_for(path)
            grants.append(new(Grant, (holder[0], path, agent_id, resources, allocated)))
        return tuple(grants)

    def _end_round(self) -> None:
        if not self.settings.decline_backoff:
            return
        for framework in self.ledger.frameworks.values():
            for role in framework.offered_roles:
                framework.idle_rounds[role] = framework.idle_rounds.get(role, 0) + 1
            framework.offered_roles.clear()

    def take_inverse_grants(self) -> tuple[InverseGrant, ...]:
        """Those of the runs since the last call."""
        return self._maintenance.take()

    def request_run(self, agent_ids: Collection[AgentId] | None = None) -> None:
        """Somebody wants a run over these agents, or over all."""
        if agent_ids is None:
            self.agenda.consider_all()
        for agent_id in agent_ids or ():
            self.agenda.consider(agent_id)

    def _consider_if_prompt(self, agent_id: AgentId) -> None:
        """What Mesos leaves to the timer."""
        if self.settings.run_on_recovery:
            self.agenda.consider(agent_id)

    def _open(self) -> None:
        """Somebody may now take what nobody took before, on any agent."""
        self.ledger.openings += 1
        self.agenda.consider_all()

    # --- waiting for agents ---

    def pause(self) -> None:
        """No runs; what would have led to one is forgotten."""
        self.agenda.pause()

    def resume(self) -> None:
        """Runs again, with the timer's next one."""
        self.agenda.resume()


def _together(portions: Sequence[Portion]) -> list[Portion]:
    """What both stages gave to one framework in one role on one agent makes one offer."""
    sums: dict[tuple[str, Holder], Portion] = {}
    for role, framework, agent, bundle in portions:
        key = (agent.agent_id, (framework.framework_id, role.path))
        earlier = sums.get(key)
        sums[key] = (role, framework, agent, bundle if earlier is None else earlier[3].plus(bundle))
    return list(sums.values())
