"""When there is something to do: which agents a run should look at, and whether runs wait for agents to come back."""

from __future__ import annotations

from fractions import Fraction

from paddock.model.ids import AgentId


class Agenda:
    """While paused nothing is noted: the timer's first run afterwards looks at everything anyway."""

    def __init__(self) -> None:
        self.is_paused = False
        self.run_count = 0
        self.batch_count = 0
        self._candidates: set[AgentId] = set()
        self._all_are_candidates = False
        self._expected_agent_count: int | None = None
        self._deadline_ns = 0

    @property
    def wants_run(self) -> bool:
        """Something happened that may lead to new grants."""
        return not self.is_paused and (self._all_are_candidates or bool(self._candidates))

    def consider(self, agent_id: AgentId) -> None:
        """Something happened to the agent."""
        self._candidates.add(agent_id)

    def consider_all(self) -> None:
        """Something happened that concerns every agent."""
        self._all_are_candidates = True

    def forget(self, agent_id: AgentId) -> None:
        """The agent is gone."""
        self._candidates.discard(agent_id)

    def take(self, *, batch: bool) -> list[AgentId] | None:
        """The agents to look at, sorted, and none of them again for what happened before; None: all."""
        named = None if batch or self._all_are_candidates else sorted(self._candidates)
        self._candidates.clear()
        self._all_are_candidates = False
        return named

    def pause(self) -> None:
        """No runs; what would have led to one is forgotten."""
        self.is_paused = True

    def resume(self) -> None:
        """Runs again, with the timer's next one."""
        self.is_paused = False
        self._expected_agent_count = None
        self._candidates.clear()
        self._all_are_candidates = False

    def wait_for(self, agent_count: int, share: Fraction, deadline_ns: int) -> None:
        """Pause until that share of the agents is here, or the time is up. No agents: no pause."""
        expected = int(agent_count * share)
        if expected:
            self._expected_agent_count = expected
            self._deadline_ns = deadline_ns
            self.pause()

    def note_agent_count(self, agent_count: int) -> None:
        """So many are here."""
        if self._expected_agent_count is not None and agent_count >= self._expected_agent_count:
            self.resume()

    def note_time(self, now_ns: int) -> None:
        """It is that late."""
        if self._expected_agent_count is not None and now_ns >= self._deadline_ns:
            self.resume()
