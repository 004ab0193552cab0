"""An agent's pages over HTTP."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agentd.checkpoint_writer import CheckpointWriter
from agentd.config import VERSION, Settings
from agentd.containerizer.contract import Containerizer
from agentd.fetcher.cache import FetchCache
from agentd.gc.collector import Collected
from agentd.isolation_thread import IsolationThread
from agentd.metrics import cgroup_files, containers, mesos
from agentd.metrics.cgroup_files import Unified
from agentd.metrics.containers import Measured
from agentd.metrics.families import FAMILIES
from agentd.metrics.meters import IsolatorMeters
from agentd.metrics.samples import CacheFigures, Look, samples
from agentd.shell import Shell
from isolators.contract import HostFacts
from paddock.http.answers import HttpAnswer, Page, healthz, readyz
from paddock.metrics.families import Sample
from paddock.metrics.mesos import answer
from paddock.metrics.pages import Fresh, metrics_page
from paddock.model.container import Container
from paddock.model.ids import ContainerId

_NS_PER_S = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where an agent's figures are. For the event loop's thread."""

    settings: Settings
    host: HostFacts
    shell: Shell
    containerizer: Containerizer
    writer: CheckpointWriter
    thread: IsolationThread
    isolators: IsolatorMeters
    cache: FetchCache
    collected: Collected = field(default_factory=Collected)


class Pages:
    """Reads the state between two events."""

    def __init__(self, sources: Sources) -> None:
        """Nothing is read before somebody asks."""
        self._sources = sources
        self._begun_s = asyncio.get_running_loop().time()
        self._snapshot = Fresh(self._make_snapshot)
        self._statistics = Fresh(self._make_statistics)

    @property
    def by_path(self) -> Mapping[str, Page]:
        """All of them."""
        return {
            "/metrics": metrics_page(FAMILIES, self._samples),
            "/healthz": healthz,
            "/readyz": readyz(self.problems),
            "/metrics/snapshot": lambda _accept: self._snapshot.get(),
            "/monitor/statistics": lambda _accept: self._statistics.get(),
            "/monitor/statistics.json": lambda _accept: self._statistics.get(),
        }

    def problems(self) -> list[str]:
        """Why it does not do all of its work."""
        state, shell = self._sources.shell.state, self._sources.shell
        found = []
        if not state.recovered:
            found.append("recovering: it looks for the containers of its earlier life")
        if shell.problem:
            found.append(f"no new work is taken: {shell.problem}")
        if self._sources.settings.master and not state.connected:
            found.append(f"not registered with a master: {', '.join(self._sources.settings.master)}")
        return found

    async def _samples(self) -> Iterable[Sample]:
        """The state is read now. What was measured of a thousand containers is made into samples where the text is written."""
        measured = await self._measure(self._sources.settings.metrics_container_limit_count)
        return itertools.chain(list(samples(await self._look())), containers.samples(measured))

    async def _make_snapshot(self) -> HttpAnswer:
        uptime_s = asyncio.get_running_loop().time() - self._begun_s
        return answer(mesos.snapshot(await self._look(), uptime_s=uptime_s))

    async def _make_statistics(self) -> HttpAnswer:
        return await asyncio.to_thread(mesos.statistics, await self._measure(0))

    async def _look(self) -> Look:
        sources = self._sources
        shell, cache = sources.shell, sources.cache
        used_bytes = await asyncio.to_thread(_used_bytes, cache)
        return Look(
            version=VERSION,
            hostname=sources.settings.hostname or socket.gethostname(),
            cgroups=sources.host.cgroup_mode,
            state=shell.state,
            loop=shell.meters,
            isolators=sources.isolators,
            checkpoint_s=sources.writer.sync_s,
            checkpoint_bytes=sources.writer.size_bytes,
            is_blocked=bool(shell.problem),
            isolation_waiting_count=sources.thread.waiting_count,
            isolation_slow_count=sources.thread.slow_count,
            collected=sources.collected,
            cache=CacheFigures(
                used_bytes=used_bytes,
                limit_bytes=sources.settings.fetcher_cache_size_bytes,
                hit_count=cache.hit_count,
                miss_count=cache.miss_count,
            ),
            engines=sources.containerizer.engines(),
            problems=self.problems(),
        )

    async def _measure(self, own_count: int) -> Measured:
        """The newest first: who looks at a launch wants to see it, and what is old enough to be summed is known."""
        sources = self._sources
        known = sources.shell.state.containers
        running = [
            view
            for container_id, view in sources.shell.views.items()
            if view.pid and view.termination is None and container_id in known
        ]
        running.sort(key=lambda container: container.created_ns, reverse=True)
        usages = await sources.containerizer.usage([container.config.container_id for container in running])
        unified: dict[ContainerId, Unified] = {}
        if sources.host.cgroup_mode == "v2":
            unified = await asyncio.to_thread(_read_unified, running[:own_count])
        return Measured(containers=running, usages=usages, unified=unified, own_count=own_count)


def _read_unified(running: Sequence[Container]) -> dict[ContainerId, Unified]:
    return {
        container.config.container_id: cgroup_files.read(container.cgroup_paths[0])
        for container in running
        if container.cgroup_paths
    }


def _used_bytes(cache: FetchCache) -> int | None:
    try:
        return cache.used_bytes()
    except OSError:  # a file went just now
        return None
