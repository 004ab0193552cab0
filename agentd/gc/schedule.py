"""Which sandboxes go now: by age, and the fuller the disk the younger. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from paddock.model.ids import ContainerId

_NS_PER_S = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """One that is on the disk. `idle_since_ns`: the newest change that its directory and its logs show."""

    path: str
    container_id: ContainerId
    idle_since_ns: int


def max_age_s(delay_s: float, *, headroom: float, usage: float) -> float:
    """Mesos' rule: the whole delay on an empty disk less the headroom, nothing once the disk is full but for the headroom."""
    return delay_s * max(0.0, 1.0 - headroom - usage)


def due(
    sandboxes: Iterable[Sandbox],
    ended_ns: dict[ContainerId, int],
    pinned: Collection[ContainerId],
    *,
    now_ns: int,
    age_s: float,
) -> list[Sandbox]:
    """The oldest first. The agent's own word about an end counts more than what the disk shows, which the task may touch."""
    dated = [(ended_ns.get(each.container_id, each.idle_since_ns), each) for each in sandboxes]
    oldest_ns = now_ns - round(age_s * _NS_PER_S)
    wanted = [pair for pair in dated if pair[0] <= oldest_ns and pair[1].container_id not in pinned]
    return [each for _, each in sorted(wanted, key=lambda pair: (pair[0], pair[1].path))]
