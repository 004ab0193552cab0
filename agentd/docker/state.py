"""What agents, tasks and people are told about the Docker engine, and the limits of its patience."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from agentd.docker.answers import EngineFacts
from agentd.docker.breaker import BreakerPolicy
from agentd.docker.lane import LaneLimits

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    """`since_wall_ns`: of being reachable, or of not being it. `facts`: the last known; None: it never answered.

    `last_error` is empty while all is well.
    """

    reachable: bool
    since_wall_ns: int
    last_error: str = ""
    facts: EngineFacts | None = None

    @property
    def words(self) -> str:
        """One line, for statuses and for `doctor`."""
        since = datetime.fromtimestamp(self.since_wall_ns // _NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if self.reachable and self.facts is not None:
            return f"docker engine {self.facts.version} answers since {since}"
        return f"docker engine unresponsive since {since}: {self.last_error}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """Deadlines. `look_s`: of what only asks; `change_s`: of create, start, remove and the like, on a busy host.

    `update_s`: of new limits; two of these in a row end before whoever asked has waited for its 30 s. A pull may take `pull_s`
    as a whole, and bring nothing for `pull_silence_s`; so many go on at once from one registry.
    """

    ping_s: float = 5
    ping_every_s: float = 5
    look_s: float = 15
    change_s: float = 60
    update_s: float = 12
    pull_s: float = 900
    pull_silence_s: float = 60
    pulls_per_registry_count: int = 4
    looks: LaneLimits = LaneLimits(threads_count=3, waiting_count=1024, waiting_s=30)
    changes: LaneLimits = LaneLimits(threads_count=6, waiting_count=1024, waiting_s=120)
    breaker: BreakerPolicy = BreakerPolicy()
