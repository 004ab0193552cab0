"""An agent's state as samples: pure functions, called when somebody asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agentd.core.state import AgentState
from agentd.docker.state import EngineState
from agentd.gc.collector import Collected
from agentd.metrics import families
from agentd.metrics.meters import IsolatorMeters, LoopMeters
from paddock.metrics.families import Sample
from paddock.metrics.histogram import Histogram
from paddock.model.container import ContainerState
from paddock.model.resources import MILLI
from paddock.model.task import TaskState

_NS_PER_S = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheFigures:
    """Of the fetcher. `used_bytes` None: it could not be counted."""

    used_bytes: int | None
    limit_bytes: int
    hit_count: int
    miss_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one scrape looks at. `problems`: why the agent is not ready."""

    version: str
    hostname: str
    cgroups: str
    state: AgentState
    loop: LoopMeters
    isolators: IsolatorMeters
    checkpoint_s: Histogram
    checkpoint_bytes: int
    is_blocked: bool
    isolation_waiting_count: int
    isolation_slow_count: int
    collected: Collected
    cache: CacheFigures
    engines: Mapping[str, EngineState]
    problems: Sequence[str]


def samples(look: Look) -> Iterator[Sample]:
    """All but those of containers, which are made of what was measured alone."""
    yield families.BUILD.sample(1, look.version)
    yield families.AGENT.sample(1, look.state.agent_id, look.hostname, look.cgroups)
    yield families.READY.sample(int(not look.problems))
    yield from _of_loop(look.loop)
    yield families.MASTER_CONNECTED.sample(int(look.state.connected))
    yield from _of_state(look.state)
    yield from _of_isolation(look)
    yield families.CHECKPOINT.sample(look.checkpoint_s)
    yield families.CHECKPOINT_BYTES.sample(look.checkpoint_bytes)
    yield families.CHECKPOINT_BLOCKED.sample(int(look.is_blocked))
    yield from _of_disk(look.collected, look.cache)
    yield from of_engines(look.engines)


def _of_loop(loop: LoopMeters) -> Iterator[Sample]:
    yield families.LOOP_LAG.sample(loop.loop_lag_s)
    yield families.MASTER_SINCE.sample(loop.link_changed_ns / _NS_PER_S)
    yield families.MASTER_LOST.sample(loop.link_lost_count)
    for kind, count in loop.events.items():
        yield families.EVENTS.sample(count, kind.__name__)
    for (state, reason), count in loop.ended.items():
        yield families.ENDED.sample(count, state.name.lower(), reason.name.lower() if reason is not None else "unknown")
    for stage, histogram in loop.launches.stages.items():
        yield families.LAUNCH.sample(histogram, stage)


def _of_state(state: AgentState) -> Iterator[Sample]:
    """States that nothing is in are told as 0: an alert can then tell none from unknown."""
    for part, resources in (("total", state.total), ("free", state.free)):
        yield from _amounts(part, resources.quantities_milli())
    tasks = Counter(task.state for task in state.tasks.values())
    for task_state in TaskState:
        if task_state in tasks or not task_state.is_terminal:
            yield families.TASKS.sample(tasks[task_state], task_state.name.lower())
    yield families.UNACKNOWLEDGED.sample(sum(len(task.stream.pending) for task in state.tasks.values()))
    counts = Counter(entry.state for entry in state.containers.values())
    for container_state in ContainerState:
        yield families.CONTAINERS.sample(counts[container_state], container_state.value)
    told = (entry.health_told for entry in state.containers.values() if not entry.is_ended)
    yield families.UNHEALTHY.sample(sum(health is not None and health.healthy is False for health in told))


def _amounts(part: str, milli: Mapping[str, int]) -> Iterator[Sample]:
    for resource, amount in milli.items():
        yield families.RESOURCES.sample(amount / MILLI, resource, part)


def _of_isolation(look: Look) -> Iterator[Sample]:
    for (isolator, operation), histogram in look.isolators.times.items():
        yield families.ISOLATOR.sample(histogram, isolator, operation)
    # Copied at one go: the isolation thread may add one just now.
    for (isolator, operation), count in dict(look.isolators.errors).items():
        yield families.ISOLATOR_ERRORS.sample(count, isolator, operation)
    yield families.ISOLATION_QUEUE.sample(look.isolation_waiting_count)
    yield families.ISOLATION_SLOW.sample(look.isolation_slow_count)


def of_engines(engines: Mapping[str, EngineState]) -> Iterator[Sample]:
    """What others run containers with."""
    for name, engine in engines.items():
        yield families.ENGINE_REACHABLE.sample(int(engine.reachable), name)
        yield families.ENGINE_SINCE.sample(engine.since_wall_ns / _NS_PER_S, name)
        if engine.facts is not None:
            yield families.ENGINE.sample(1, name, engine.facts.version)


def _of_disk(collected: Collected, cache: CacheFigures) -> Iterator[Sample]:
    yield families.GC_SANDBOXES.sample(collected.sandbox_count)
    yield families.GC_BYTES.sample(collected.removed_bytes)
    yield families.GC_FAILURES.sample(collected.failure_count)
    yield families.FETCH_CACHE_LIMIT.sample(cache.limit_bytes)
    yield families.FETCH_CACHE.sample(cache.hit_count, "hit")
    yield families.FETCH_CACHE.sample(cache.miss_count, "miss")
    if cache.used_bytes is not None:
        yield families.FETCH_CACHE_BYTES.sample(cache.used_bytes)
