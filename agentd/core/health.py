"""A task's health: one enum, one table, and when the next check is due. Pure: what a check found comes in as an argument."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from paddock.model.errors import InvalidTransition
from paddock.model.health import Check, HealthCheck
from paddock.model.ids import ContainerId

_NS_PER_MS = 1_000_000


class Health(Enum):
    """What the checks have said so far."""

    UNKNOWN = "unknown"
    """No check has said anything that counts."""
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    CONDEMNED = "condemned"
    """So many have failed in a row that the task is ended. The last word."""

    @property
    def is_healthy(self) -> bool | None:
        """As a status says it."""
        return None if self is Health.UNKNOWN else self is Health.HEALTHY


class HealthInput(Enum):
    """What a check can have found."""

    PASSED = "passed"
    EXCUSED = "excused"
    """It failed within the grace period, and none has passed yet."""
    FAILED = "failed"
    FAILED_TOO_OFTEN = "failed too often"


TABLE = MappingProxyType(
    {
        (Health.UNKNOWN, HealthInput.PASSED): Health.HEALTHY,
        (Health.UNKNOWN, HealthInput.EXCUSED): Health.UNKNOWN,
        (Health.UNKNOWN, HealthInput.FAILED): Health.UNHEALTHY,
        (Health.UNKNOWN, HealthInput.FAILED_TOO_OFTEN): Health.CONDEMNED,
        (Health.HEALTHY, HealthInput.PASSED): Health.HEALTHY,
        (Health.HEALTHY, HealthInput.FAILED): Health.UNHEALTHY,
        (Health.HEALTHY, HealthInput.FAILED_TOO_OFTEN): Health.CONDEMNED,
        (Health.UNHEALTHY, HealthInput.PASSED): Health.HEALTHY,
        (Health.UNHEALTHY, HealthInput.FAILED): Health.UNHEALTHY,
        (Health.UNHEALTHY, HealthInput.FAILED_TOO_OFTEN): Health.CONDEMNED,
    }
)


def next_health(container_id: ContainerId, health: Health, found: HealthInput) -> Health:
    """The table's answer. Raises InvalidTransition where it has none."""
    following = TABLE.get((health, found))
    if following is None:
        raise InvalidTransition(f"the health of container {container_id}", health.name, found.name)
    return following


@dataclass(slots=True, kw_only=True)
class HealthWatch:
    """The checks of one running container. Times are the clock's for durations."""

    check: HealthCheck
    due_ns: int
    grace_until_ns: int
    health: Health = Health.UNKNOWN
    failed_count: int = 0
    """In a row, up to the last check."""

    def heard(self, container_id: ContainerId, *, passed: bool, now_ns: int) -> bool:
        """A check's outcome; the next one is due an interval later. True: the health is another than before."""
        before = self.health
        self.health = next_health(container_id, before, self._kind(passed=passed, now_ns=now_ns))
        self.due_ns = now_ns + self.check.interval_ms * _NS_PER_MS
        return self.health is not before

    def _kind(self, *, passed: bool, now_ns: int) -> HealthInput:
        if passed:
            self.failed_count = 0
            return HealthInput.PASSED
        if self.health is Health.UNKNOWN and now_ns < self.grace_until_ns:
            return HealthInput.EXCUSED
        self.failed_count += 1
        # 0 acts as 1, as in Mesos.
        return HealthInput.FAILED_TOO_OFTEN if self.failed_count >= self.check.failure_count else HealthInput.FAILED


def first_due_ns(container_id: ContainerId, check: Check, *, now_ns: int, age_ns: int) -> int:
    """For a command that runs since `age_ns`."""
    delay_ns = check.delay_ms * _NS_PER_MS - age_ns
    if delay_ns < 0:  # not all of a restarted agent's tasks in one moment: each somewhere in its next interval
        delay_ns = zlib.crc32(container_id.encode()) % (check.interval_ms * _NS_PER_MS)
    return now_ns + delay_ns


def begin_watch(
    container_id: ContainerId, check: HealthCheck, *, now_ns: int, age_ns: int, healthy: bool | None
) -> HealthWatch:
    """For a command that runs since `age_ns`. `healthy`: what was last told of it, by an agent that went away maybe: how many
    had failed in a row died with that agent, and a row begins anew.
    """
    told = {None: Health.UNKNOWN, True: Health.HEALTHY, False: Health.UNHEALTHY}
    return HealthWatch(
        check=check,
        due_ns=first_due_ns(container_id, check, now_ns=now_ns, age_ns=age_ns),
        grace_until_ns=now_ns - age_ns + check.grace_ms * _NS_PER_MS,
        health=told[healthy],
    )
