"""A master's pages over HTTP."""

from __future__ import annotations

from collections.abc import Mapping

from masterd.metrics import mesos
from masterd.metrics.families import FAMILIES
from masterd.metrics.samples import Look, is_recovering, samples
from masterd.rpc.summaries import counted
from masterd.shell import MasterShell
from paddock.http.answers import HttpAnswer, Page, healthz, readyz
from paddock.metrics.families import Sample
from paddock.metrics.mesos import answer
from paddock.metrics.pages import Fresh, metrics_page

_NS_PER_S = 1e9


class Pages:
    """Reads the core's state between two events."""

    def __init__(self, shell: MasterShell, *, role_limit_count: int) -> None:
        """`role_limit_count`: so many roles have series of their own."""
        self._shell = shell
        self._role_limit_count = role_limit_count
        self._begun_ns = shell.now_ns()
        self._snapshot = Fresh(self._make_snapshot)

    @property
    def by_path(self) -> Mapping[str, Page]:
        """All of them."""
        return {
            "/metrics": metrics_page(FAMILIES, self._samples),
            "/healthz": healthz,
            "/readyz": readyz(self.problems),
            "/metrics/snapshot": self._mesos,
        }

    def problems(self) -> list[str]:
        """Why it does not do all of its work."""
        found = []
        if self._shell.problem:
            found.append(f"nothing can be made durable: {self._shell.problem}")
        if is_recovering(self._shell.machine.state):
            found.append("recovering: there are quotas, so no offers are made before most of the known agents are back")
        return found

    async def _look(self) -> Look:
        summary = await counted(self._shell)
        return Look(
            state=self._shell.machine.state,
            summary=summary,
            meters=self._shell.meters,
            now_ns=self._shell.now_ns(),
            problems=self.problems(),
            is_blocked=bool(self._shell.problem),
            role_limit_count=self._role_limit_count,
        )

    async def _samples(self) -> list[Sample]:
        return list(samples(await self._look()))

    async def _make_snapshot(self) -> HttpAnswer:
        look = await self._look()
        return answer(mesos.snapshot(look, uptime_s=(look.now_ns - self._begun_ns) / _NS_PER_S))

    async def _mesos(self, _accept: str) -> HttpAnswer:
        return await self._snapshot.get()
