"""What a simulation measures: shares, use and fairness at each sample, waiting times at each start of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameworkSample:
    """One framework at one moment. `share`: the largest part of the cluster that its running tasks have of anything."""

    time_s: float
    framework: str
    role: str
    share: float
    weighted_share: float
    running: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSample:
    """The cluster at one moment: by resource, which part of it tasks use and which is offered; and how even it is."""

    time_s: float
    used: Mapping[str, float]
    offered: Mapping[str, float]
    fairness: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A task that began: when it was wanted, and when it ran."""

    framework: str
    wanted_s: float
    started_s: float

    @property
    def seconds(self) -> float:
        """How long it waited."""
        return self.started_s - self.wanted_s


@dataclass(slots=True, kw_only=True)
class Measures:
    """All of a run."""

    frameworks: list[FrameworkSample] = field(default_factory=list)
    cluster: list[ClusterSample] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)


def jain(values: Sequence[float]) -> float | None:
    """Jain's index of weighted shares: 1 when all are equal, 1/n when one has everything; None where nobody is compared."""
    total = sum(values)
    if not values or not total:
        return None
    return total * total / (len(values) * sum(value * value for value in values))


def quantile(ordered: Sequence[float], part: float) -> float:
    """Of sorted values, the one that so many are not above."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0
