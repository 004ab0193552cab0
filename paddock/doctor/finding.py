"""What doctor says of one thing, and what gc would do with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """`waits`: agentd settles it by itself, or it is too young to be judged. `foreign`: not provably ours."""

    FINE = "fine"
    WAITS = "waits"
    WRONG = "wrong"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepContainer:
    """End what is left of it, write its record when there was a note, remove cgroups and socket."""

    container_id: str
    record: str
    socket: str
    cgroup_mode: str
    cgroups: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveCgroup:
    """An empty directory."""

    path: str


Removal = SweepContainer | RemoveCgroup


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing: what it is, and what is to be done when it is out of place."""

    agent_id: str
    kind: str
    name: str
    verdict: Verdict
    why: str
    remedy: str = ""
    removal: Removal | None = None
