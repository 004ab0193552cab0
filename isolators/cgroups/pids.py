"""cgroups/pids: how many processes and threads a container may have at once; finite unless asked otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from isolators.cgroup_isolator import CgroupIsolator
from isolators.contract import CgroupPlace
from isolators.counters import Names, integer, recorded
from paddock.model.errors import InvalidRequest
from paddock.model.ids import ContainerId
from paddock.model.launch_plan import CgroupRead, CgroupWrite
from paddock.model.resources import Resources
from paddock.model.statistics import ResourceStatistics
from paddock.model.task import Evidence, PidsEvidence, ResourceLimits

NO_LIMIT = -1
PIDS_MAX = 4_194_304
"""The kernel's largest pid; pids.max refuses more (EINVAL)."""

_FINAL = (
    CgroupRead(controller="pids", file="pids.max"),
    CgroupRead(controller="pids", file="pids.events"),
    CgroupRead(controller="pids", file="pids.peak"),  # since Linux 6.1
)
_EVENTS = Names.of("max")
_USAGE = (*_FINAL, CgroupRead(controller="pids", file="pids.current"))


def writes(limits: ResourceLimits, *, default_count: int) -> tuple[CgroupWrite, ...]:
    """One file, the same on v1 and v2. Raises InvalidRequest for what the kernel would refuse."""
    count = default_count if limits.pids_count is None else limits.pids_count
    if count != NO_LIMIT and not 1 <= count <= PIDS_MAX:
        raise InvalidRequest("limits.pids", count, f"use -1 for no limit, or 1 to {PIDS_MAX}")
    return (
        CgroupWrite(
            controller="pids",
            file="pids.max",
            value="max" if count == NO_LIMIT else str(count),
            resource="pids limit",
            asked="default" if limits.pids_count is None else str(limits.pids_count),
        ),
    )


class PidsIsolator(CgroupIsolator):
    """A fork bomb meets the limit: fork answers EAGAIN, and each refusal is counted."""

    name: ClassVar[str] = "cgroups/pids"
    ends_briefly: ClassVar[bool] = True
    v1_controllers: ClassVar[tuple[str, ...]] = ("pids",)
    v2_controller: ClassVar[str] = "pids"

    def launch_writes(self, resources: Resources, limits: ResourceLimits) -> tuple[CgroupWrite, ...]:
        """As the table says."""
        del resources  # processes are limited, not allocated
        return writes(limits, default_count=self.settings.default_pids_limit_count)

    def resize_writes(
        self, container_id: ContainerId, place: CgroupPlace, resources: Resources, limits: ResourceLimits
    ) -> tuple[CgroupWrite, ...]:
        """A limit below what is there now is accepted: it refuses what would come, and ends nobody."""
        del container_id, place
        return self.launch_writes(resources, limits)

    def final_reads(self) -> tuple[CgroupRead, ...]:
        """Limit, refusals and peak."""
        return _FINAL

    def usage_reads(self) -> tuple[CgroupRead, ...]:
        """And how many there are now."""
        return _USAGE

    @staticmethod
    def fill(found: ResourceStatistics, counters: Mapping[str, bytes]) -> None:
        """The same files on v1 and v2; refusals are `max` in pids.events."""
        found.pids_count = integer(counters.get("pids/pids.current"))
        found.pids_limit_count = integer(counters.get("pids/pids.max"))
        (found.pids_refused_count,) = _EVENTS.numbers(counters.get("pids/pids.events"))
        found.pids_peak_count = integer(counters.get("pids/pids.peak"))

    def evidence(self, container_id: ContainerId, counters: Mapping[str, str]) -> Evidence:
        """The same counters, over the whole life."""
        del container_id
        found = ResourceStatistics()
        self.fill(found, recorded(counters))
        if found == ResourceStatistics():
            return Evidence()
        return Evidence(
            pids=PidsEvidence(
                limit_count=found.pids_limit_count,
                refused_count=found.pids_refused_count,
                peak_count=found.pids_peak_count,
            )
        )
