"""A master's state as samples: pure functions, called when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from masterd.allocator.books import Books
from masterd.allocator.interface import Inactivity
from masterd.core.events import Event
from masterd.core.state import MasterState
from masterd.core.summary import Amounts, Summary
from masterd.core.tally import StatusKind, Tally
from masterd.core.views import AgentState, FrameworkState
from masterd.metrics import families, roles
from masterd.metrics.meters import Meters
from paddock.metrics.families import Family, Sample
from paddock.model.resources import MILLI
from paddock.model.task import TaskState

LIVE_STATES = tuple(state for state in TaskState if not state.is_terminal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one scrape looks at. `summary` was counted just before; `problems`: why the master is not ready."""

    state: MasterState
    summary: Summary
    meters: Meters
    now_ns: int
    problems: Sequence[str]
    is_blocked: bool
    role_limit_count: int


def samples(look: Look) -> Iterator[Sample]:
    """All of them."""
    master = look.state.master
    yield families.BUILD.sample(1, master.version)
    yield families.MASTER.sample(1, master.master_id, str(master.epoch))
    yield families.READY.sample(int(not look.problems))
    yield families.BLOCKED.sample(int(look.is_blocked))
    yield families.RECOVERING.sample(int(is_recovering(look.state)))
    yield from _of_meters(look.meters)
    yield from _of_tally(look.state.tally)
    yield families.OFFERS.sample(len(look.state.offers))
    yield from _of_summary(look.summary)
    yield from roles.samples(look.state, now_ns=look.now_ns, limit_count=look.role_limit_count)


def is_recovering(state: MasterState) -> bool:
    """Whether the allocator waits for agents that are expected back."""
    return isinstance(state.allocator, Books) and state.allocator.agenda.is_paused


def _of_meters(meters: Meters) -> Iterator[Sample]:
    yield families.CYCLE.sample(meters.cycle_s)
    yield families.REGISTRY.sample(meters.registry_s)
    yield families.LOOP_LAG.sample(meters.loop_lag_s)
    yield families.REGISTRY_RECORDS.sample(meters.records_written_count)
    yield from _of_events(families.EVENTS, meters.events)
    yield from _of_events(families.EVENTS_REFUSED, meters.refused_events)


def _of_events(family: Family, counts: Mapping[type[Event], int]) -> Iterator[Sample]:
    for kind, count in counts.items():
        yield family.sample(count, kind.__name__)


def _of_tally(tally: Tally) -> Iterator[Sample]:
    yield families.OFFERS_MADE.sample(tally.offers_made_count)
    yield families.TASKS_LAUNCHED.sample(tally.tasks_launched_count)
    for how, count in tally.offers_ended.items():
        yield families.OFFERS_ENDED.sample(count, how.value)
    yield from _of_statuses(families.TASKS_ENDED, tally.tasks_ended)
    yield from _of_statuses(families.STATUSES, tally.statuses)


def _of_statuses(family: Family, counts: Mapping[StatusKind, int]) -> Iterator[Sample]:
    for (state, reason, source), count in counts.items():
        words = reason.name.lower() if reason is not None else "unknown"
        yield family.sample(count, state.name.lower(), words, source.name.lower())


def _of_summary(summary: Summary) -> Iterator[Sample]:
    """States that nothing is in are told as 0: an alert can then tell none from unknown."""
    for agent_state in AgentState:
        yield families.AGENTS.sample(summary.agents.get(agent_state, 0), agent_state.value)
    for why in Inactivity:
        yield families.AGENTS_INACTIVE.sample(summary.inactive.get(why, 0), why.name.lower())
    yield families.AGENTS_PROBLEM.sample(summary.problem_count)
    for framework_state in FrameworkState:
        yield families.FRAMEWORKS.sample(summary.frameworks.get(framework_state, 0), framework_state.value)
    for state in LIVE_STATES:
        yield families.TASKS.sample(summary.tasks.get(state, 0), state.name.lower())
    yield families.UNACKNOWLEDGED.sample(summary.unacknowledged_count)
    for part, amounts in parts_of(summary.amounts):
        for resource, milli in amounts.items():
            yield families.CLUSTER.sample(milli / MILLI, resource, part)


def parts_of(amounts: Amounts) -> tuple[tuple[str, dict[str, int]], ...]:
    """By name."""
    return (
        ("total", amounts.total),
        ("used", amounts.used),
        ("standalone", amounts.standalone),
        ("offered", amounts.offered),
        ("free", amounts.free),
        ("reserved", amounts.reserved),
    )
