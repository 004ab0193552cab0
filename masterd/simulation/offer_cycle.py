"""An allocator alone, in virtual time: for whoever writes one, and for tests."""

from __future__ import annotations

from collections.abc import Sequence

from masterd.allocator.conversions import converted, left_over
from masterd.allocator.interface import Allocator, Conversion, Grant, Shuffler
from masterd.simulation.timeline import NS_PER_S
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.resources import Resources


class OfferCycle:
    """Runs the allocator when a master would, and answers offers as a master does. Grants wait in it until they are taken."""

    def __init__(
        self, allocator: Allocator, shuffler: Shuffler, *, interval_ns: int = NS_PER_S, now_ns: int = 0
    ) -> None:
        self.allocator = allocator
        self.now_ns = now_ns
        self._shuffler = shuffler
        self._interval_ns = interval_ns
        self._grants: list[Grant] = []

    def take(self) -> list[Grant]:
        """Those of the runs since the last call."""
        taken, self._grants = self._grants, []
        return taken

    def _run(self, *, batch: bool) -> None:
        self._grants += self.allocator.run(now_ns=self.now_ns, shuffler=self._shuffler, batch=batch)

    def settle(self) -> None:
        """The run that what has happened asks for, if it does. Several events before it make one run."""
        if self.allocator.wants_run:
            self._run(batch=False)

    def advance(self, duration_ns: int) -> None:
        """With the timer's run at each multiple of the interval, the last moment included."""
        end_ns, interval_ns = self.now_ns + duration_ns, self._interval_ns
        for now_ns in range((self.now_ns // interval_ns + 1) * interval_ns, end_ns + 1, interval_ns):
            self.now_ns = now_ns
            self._run(batch=True)
        self.now_ns = end_ns

    def give_back(
        self,
        framework_id: FrameworkId,
        role: str,
        agent_id: AgentId,
        resources: Resources,
        refuse_ms: int | None = None,
        *,
        in_use: bool = False,
    ) -> None:
        """An offer is declined, or (`in_use`) a task has ended."""
        self.allocator.recover(
            framework_id, role, agent_id, resources, refuse_ms=refuse_ms, now_ns=self.now_ns, in_use=in_use
        )

    def accept(
        self,
        framework_id: FrameworkId,
        role: str,
        agent_id: AgentId,
        offered: Resources,
        conversions: Sequence[Conversion],
        launched: Resources,
        refuse_ms: int | None = None,
    ) -> None:
        """Some of what was offered becomes something else, some is used, the rest comes back."""
        rest = left_over(converted(offered, conversions), launched)
        self.allocator.convert(framework_id, role, agent_id, conversions)
        self.allocator.use(framework_id, role, agent_id, launched)
        self.give_back(framework_id, role, agent_id, rest, refuse_ms)
