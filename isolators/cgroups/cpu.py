"""cgroups/cpu: a share of the processors when they are scarce, and on request a quota that holds even when they are not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import ClassVar

from isolators.cgroup_isolator import CgroupIsolator
from isolators.contract import CgroupPlace
from isolators.counters import Names, integer, recorded
from paddock.model.errors import InvalidRequest
from paddock.model.ids import ContainerId
from paddock.model.launch_plan import CgroupRead, CgroupWrite
from paddock.model.resource_text import format_scalar
from paddock.model.resources import MILLI, Resources
from paddock.model.statistics import ResourceStatistics
from paddock.model.task import CpuEvidence, Evidence, ResourceLimits

SHARES_PER_CPU = 1024
SHARES_MIN = 2
SHARES_MAX = 262_144
"""The kernel's own bounds: it would cut to them silently."""

WEIGHT_PER_CPU = 100
WEIGHT_MIN = 1
WEIGHT_MAX = 10_000
"""v2 answers ERANGE beyond them."""

PERIOD_US = 100_000
QUOTA_MIN_US = 1_000
QUOTA_MAX_US = 2**44 - 1
"""The kernel's largest quota (EINVAL beyond): 176 million CPUs."""

NO_LIMIT = -1
_US_PER_TICK = 1_000_000 // os.sysconf("SC_CLK_TCK")

_V1_READS = (
    CgroupRead(controller="cpuacct", file="cpuacct.usage"),
    CgroupRead(controller="cpuacct", file="cpuacct.stat"),
    CgroupRead(controller="cpu", file="cpu.stat"),
)
_V1_TICKS = Names.of("user", "system")
_STAT = Names.of("nr_periods", "nr_throttled", "throttled_time")
_V2_STAT = Names.of("usage_usec", "user_usec", "system_usec", "throttled_usec")
_V2_READS = (CgroupRead(controller="cpu", file="cpu.stat"),)


def shares(cpus_milli: int) -> int:
    """v1 cpu.shares."""
    return min(max(SHARES_PER_CPU * cpus_milli // MILLI, SHARES_MIN), SHARES_MAX)


def weight(cpus_milli: int) -> int:
    """v2 cpu.weight; 1 CPU is the kernel's default of 100, as 1024 is v1's."""
    return min(max(WEIGHT_PER_CPU * cpus_milli // MILLI, WEIGHT_MIN), WEIGHT_MAX)


def quota_us(cpus_milli: int) -> int:
    """Microseconds of processor time in each period."""
    return min(max(PERIOD_US * cpus_milli // MILLI, QUOTA_MIN_US), QUOTA_MAX_US)


def limit_milli(resources: Resources, limits: ResourceLimits, *, enable_cfs: bool) -> int | None:
    """The quota's CPUs; None for no quota. A limit is the task's own, else the request when the operator wants quotas."""
    requested = resources.scalar_milli("cpus")
    if limits.cpus_milli is None:
        return requested if enable_cfs else None
    if limits.cpus_milli == NO_LIMIT:
        return None
    if limits.cpus_milli < max(requested, 1):
        raise InvalidRequest(
            "limits.cpus",
            format_scalar(limits.cpus_milli),
            f"use -1 or at least the {format_scalar(requested)} requested",
        )
    return limits.cpus_milli


def writes(
    resources: Resources, limits: ResourceLimits, *, v2: bool, enable_cfs: bool, resize: bool = False
) -> tuple[CgroupWrite, ...]:
    """The table. A fresh cgroup has no quota, so its absence is written at a resize only. Any order is right."""
    requested = resources.scalar_milli("cpus")
    limit = limit_milli(resources, limits, enable_cfs=enable_cfs)
    asked = format_scalar(requested)
    share_file, share = ("cpu.weight", weight(requested)) if v2 else ("cpu.shares", shares(requested))
    share_write = CgroupWrite(controller="cpu", file=share_file, value=str(share), resource="cpus", asked=asked)
    if limit is None:
        return (share_write, _no_quota(v2=v2)) if resize else (share_write,)
    asked_limit = format_scalar(limit)
    values = [("cpu.max", f"{quota_us(limit)} {PERIOD_US}")]
    if not v2:
        values = [("cpu.cfs_period_us", str(PERIOD_US)), ("cpu.cfs_quota_us", str(quota_us(limit)))]
    return (
        share_write,
        *(
            CgroupWrite(controller="cpu", file=file, value=value, resource="cpus limit", asked=asked_limit)
            for file, value in values
        ),
    )


def _no_quota(*, v2: bool) -> CgroupWrite:
    """Optional: where the kernel has no quotas there is none to take away."""
    file, value = ("cpu.max", f"max {PERIOD_US}") if v2 else ("cpu.cfs_quota_us", "-1")
    return CgroupWrite(controller="cpu", file=file, value=value, optional=True, resource="cpus limit", asked="none")


class CpuIsolator(CgroupIsolator):
    """Shares or weight always; quota when a limit is given or the operator wants quotas."""

    name: ClassVar[str] = "cgroups/cpu"
    ends_briefly: ClassVar[bool] = True
    v1_controllers: ClassVar[tuple[str, ...]] = ("cpu", "cpuacct")
    v2_controller: ClassVar[str] = "cpu"

    def launch_writes(self, resources: Resources, limits: ResourceLimits) -> tuple[CgroupWrite, ...]:
        """As the table says."""
        return writes(resources, limits, v2=self.is_v2, enable_cfs=self.settings.cgroups_enable_cfs)

    def resize_writes(
        self, container_id: ContainerId, place: CgroupPlace, resources: Resources, limits: ResourceLimits
    ) -> tuple[CgroupWrite, ...]:
        """With the quota's absence written too: a limit that goes away must not stay in force."""
        del container_id, place
        return writes(resources, limits, v2=self.is_v2, enable_cfs=self.settings.cgroups_enable_cfs, resize=True)

    def final_reads(self) -> tuple[CgroupRead, ...]:
        """Use and throttling."""
        return _V2_READS if self.is_v2 else _V1_READS

    def usage_reads(self) -> tuple[CgroupRead, ...]:
        """The same."""
        return self.final_reads()

    @staticmethod
    def fill(found: ResourceStatistics, counters: Mapping[str, bytes]) -> None:
        """v1's three files or v2's one; which it is, the fields say themselves."""
        stat = counters.get("cpu/cpu.stat")
        usage_ns = integer(counters.get("cpuacct/cpuacct.usage"))
        if usage_ns is None:
            found.cpu_usage_us, found.cpu_user_us, found.cpu_system_us, found.cpu_throttled_us = _V2_STAT.numbers(stat)
        else:
            user_ticks, system_ticks = _V1_TICKS.numbers(counters.get("cpuacct/cpuacct.stat"))
            found.cpu_usage_us = usage_ns // 1000
            found.cpu_user_us = None if user_ticks is None else user_ticks * _US_PER_TICK
            found.cpu_system_us = None if system_ticks is None else system_ticks * _US_PER_TICK
        found.cpu_period_count, found.cpu_throttled_count, throttled_ns = _STAT.numbers(stat)
        if throttled_ns is not None:
            found.cpu_throttled_us = throttled_ns // 1000

    def evidence(self, container_id: ContainerId, counters: Mapping[str, str]) -> Evidence:
        """The same counters, over the whole life."""
        del container_id
        found = ResourceStatistics()
        self.fill(found, recorded(counters))
        if found == ResourceStatistics():
            return Evidence()
        return Evidence(
            cpu=CpuEvidence(
                usage_us=found.cpu_usage_us,
                period_count=found.cpu_period_count,
                throttled_count=found.cpu_throttled_count,
                throttled_us=found.cpu_throttled_us,
            )
        )
