"""cgroups/mem: a limit that holds, memory+swap as large as memory unless asked otherwise, and every OOM kill counted."""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from isolators import cgroups_below
from isolators.cgroup_isolator import CgroupIsolator
from isolators.contract import CgroupEvent, CgroupPlace, HostFacts, Inotify, IsolatorSettings, Watch
from isolators.counters import Names, byte_limit, integer, read_counters, recorded
from paddock.model.errors import ContainerizerError, InvalidRequest
from paddock.model.ids import ContainerId
from paddock.model.launch_plan import CgroupRead, CgroupWrite, LaunchPlan
from paddock.model.resource_text import format_scalar
from paddock.model.resources import MILLI, Resources
from paddock.model.statistics import Limitation, ResourceStatistics
from paddock.model.task import Evidence, MemoryEvidence, Reason, ResourceLimits

MIB = 1_048_576
MEMORY_MIN_BYTES = 32 * MIB
"""Below it hardly a program starts (Mesos' minimum too)."""

MEMORY_MAX_BYTES = 2**63 - MIB
NO_LIMIT = -1

_V1_OOM = CgroupRead(controller="memory", file="memory.oom_control")
_V2_OOM = CgroupRead(controller="memory", file="memory.events")
_V1_FINAL = (
    _V1_OOM,
    CgroupRead(controller="memory", file="memory.max_usage_in_bytes"),
    CgroupRead(controller="memory", file="memory.limit_in_bytes"),
)
_V2_FINAL = (
    _V2_OOM,
    CgroupRead(controller="memory", file="memory.peak"),  # since Linux 5.19
    CgroupRead(controller="memory", file="memory.max"),
)
_V1_USAGE = (
    _V1_OOM,
    CgroupRead(controller="memory", file="memory.max_usage_in_bytes"),
    CgroupRead(controller="memory", file="memory.usage_in_bytes"),
    CgroupRead(controller="memory", file="memory.stat"),
)
_OOM_KILLS = Names.of("oom_kill")
_V1_STAT = Names.of("total_rss", "total_cache", "total_inactive_file", "total_swap", "hierarchical_memory_limit")
"""The `total_` figures count what is below the container's cgroup too; the limit is the least of its own and those above."""

_V2_STAT = Names.of("anon", "file", "inactive_file")
_V2_FILES = Names.of("inactive_file", "active_file")
_V2_USAGE = (
    *_V2_FINAL,
    *(CgroupRead(controller="memory", file=file) for file in ("memory.current", "memory.stat", "memory.swap.current")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLimits:
    """In bytes, whole pages, as the kernel keeps them. None: no limit. `memsw_bytes` is memory and swap together."""

    soft_bytes: int
    hard_bytes: int | None
    memsw_bytes: int | None
    is_swap_asked: bool

    @property
    def swap_bytes(self) -> int | None:
        """v2 counts swap apart."""
        if self.hard_bytes is None or self.memsw_bytes is None:
            return None
        return self.memsw_bytes - self.hard_bytes


def _pages(amount_bytes: int) -> int:
    """Rounded down to a page, as the kernel does; so that what is planned equals what is in force."""
    return min(amount_bytes, MEMORY_MAX_BYTES) // mmap.PAGESIZE * mmap.PAGESIZE


def requested_bytes(resources: Resources) -> int:
    """The request, never below the minimum."""
    return max(_pages(resources.scalar_milli("mem") * MIB // MILLI), MEMORY_MIN_BYTES)


def memory_limits(resources: Resources, limits: ResourceLimits, *, limit_swap: bool) -> MemoryLimits:
    """What is to be in force. Raises InvalidRequest for a limit below the request, or one that is no amount."""
    soft = requested_bytes(resources)
    asked, swap = limits.memory_bytes, limits.swap_bytes
    if asked is not None and asked != NO_LIMIT and asked < max(resources.scalar_milli("mem") * MIB // MILLI, 1):
        raise InvalidRequest("limits.memory", asked, "use -1, or bytes that are not below the mem requested")
    if swap is not None and swap < NO_LIMIT:
        raise InvalidRequest("limits.swap", swap, "use -1, or bytes on top of memory from 0")
    if asked == NO_LIMIT and swap not in {None, NO_LIMIT}:
        raise InvalidRequest(
            "limits.swap", swap, "a swap limit is on top of a memory limit: give one, or ask for neither"
        )
    hard = None if asked == NO_LIMIT else max(_pages(soft if asked is None else asked), soft)
    is_free = hard is None or swap == NO_LIMIT or (swap is None and not limit_swap)
    return MemoryLimits(
        soft_bytes=soft,
        hard_bytes=hard,
        memsw_bytes=None if is_free or hard is None else _pages(hard + (swap or 0)),
        is_swap_asked=swap is not None and swap != NO_LIMIT,
    )


def v1_writes(
    wanted: MemoryLimits, asked: tuple[str, str], *, is_fresh: bool, current_memsw_bytes: int | None = None
) -> tuple[CgroupWrite, ...]:
    """The v1 column. At every moment limit ≤ memsw must hold, else EINVAL: upwards memsw goes first, downwards the limit.

    `current_memsw_bytes` None: no limit is in force, as in a fresh cgroup.
    """
    soft = CgroupWrite(
        controller="memory",
        file="memory.soft_limit_in_bytes",
        value=str(wanted.soft_bytes),
        resource="mem",
        asked=asked[0],
    )
    hard = CgroupWrite(
        controller="memory",
        file="memory.limit_in_bytes",
        value="-1" if wanted.hard_bytes is None else str(wanted.hard_bytes),
        resource="mem limit",
        asked=asked[0] if wanted.hard_bytes is not None else "none",
    )
    memsw = CgroupWrite(
        controller="memory",
        file="memory.memsw.limit_in_bytes",
        value="-1" if wanted.memsw_bytes is None else str(wanted.memsw_bytes),
        optional=not wanted.is_swap_asked,
        resource="mem+swap limit",
        asked=asked[1],
    )
    if is_fresh:
        return (soft, hard, memsw) if wanted.memsw_bytes is not None else (soft, hard)
    is_lowered = wanted.memsw_bytes is not None and (
        current_memsw_bytes is None or wanted.memsw_bytes < current_memsw_bytes
    )
    return (soft, hard, memsw) if is_lowered else (soft, memsw, hard)


def v2_writes(wanted: MemoryLimits, asked: tuple[str, str], *, is_fresh: bool) -> tuple[CgroupWrite, ...]:
    """The v2 column. memory.low protects rather than limits; swap is counted apart, so no order can be wrong."""
    low = CgroupWrite(
        controller="memory", file="memory.low", value=str(wanted.soft_bytes), resource="mem", asked=asked[0]
    )
    hard = CgroupWrite(
        controller="memory",
        file="memory.max",
        value="max" if wanted.hard_bytes is None else str(wanted.hard_bytes),
        resource="mem limit",
        asked=asked[0] if wanted.hard_bytes is not None else "none",
    )
    swap = CgroupWrite(
        controller="memory",
        file="memory.swap.max",
        value="max" if wanted.swap_bytes is None else str(wanted.swap_bytes),
        optional=not wanted.is_swap_asked,
        resource="swap limit",
        asked=asked[1],
    )
    return (low, hard) if is_fresh and wanted.swap_bytes is None else (low, hard, swap)


def asked_text(resources: Resources, limits: ResourceLimits) -> tuple[str, str]:
    """What the task said about memory and swap, for people."""
    mem_milli = resources.scalar_milli("mem")
    memory = f"{format_scalar(mem_milli)}MiB"
    if mem_milli * MIB // MILLI < MEMORY_MIN_BYTES:
        memory = f"{memory}, {MEMORY_MIN_BYTES // MIB}MiB is the least"
    if limits.memory_bytes is not None and limits.memory_bytes != NO_LIMIT:
        memory = f"{memory}, limit {_mib(limits.memory_bytes)}"
    if limits.swap_bytes is None:
        return memory, "default"
    return memory, f"swap {'none' if limits.swap_bytes == NO_LIMIT else _mib(limits.swap_bytes)}"


def _mib(size_bytes: int) -> str:
    return f"{format_scalar(size_bytes * MILLI // MIB)}MiB"


class MemoryIsolator(CgroupIsolator):
    """Limits memory and swap; an OOM kill is reported, and fatal only if the command itself dies of it."""

    name: ClassVar[str] = "cgroups/mem"
    ends_briefly: ClassVar[bool] = True
    v1_controllers: ClassVar[tuple[str, ...]] = ("memory",)
    v2_controller: ClassVar[str] = "memory"

    def __init__(self, host: HostFacts, settings: IsolatorSettings) -> None:
        super().__init__(host, settings)
        self._reported_kill_count: dict[ContainerId, int] = {}
        self._oom = _V2_OOM if self.is_v2 else _V1_OOM

    def launch_writes(self, resources: Resources, limits: ResourceLimits) -> tuple[CgroupWrite, ...]:
        """As the tables say."""
        wanted = self._wanted(resources, limits)
        asked = asked_text(resources, limits)
        return v2_writes(wanted, asked, is_fresh=True) if self.is_v2 else v1_writes(wanted, asked, is_fresh=True)

    def _wanted(self, resources: Resources, limits: ResourceLimits) -> MemoryLimits:
        wanted = memory_limits(resources, limits, limit_swap=self.settings.cgroups_limit_swap)
        if wanted.is_swap_asked and not self.host.swap_accounting:
            remedy = "this host does not count swap: boot it with swapaccount=1, or ask for no swap limit"
            raise InvalidRequest("limits.swap", limits.swap_bytes, remedy)
        return wanted

    def resize_writes(
        self, container_id: ContainerId, place: CgroupPlace, resources: Resources, limits: ResourceLimits
    ) -> tuple[CgroupWrite, ...]:
        """In the order for what is in force now. Below what is used v1's kernel refuses (EBUSY); v2's kills, so we refuse."""
        wanted = self._wanted(resources, limits)
        asked = asked_text(resources, limits)
        if self.is_v2:
            self._refuse_killing(container_id, place, wanted)
            return v2_writes(wanted, asked, is_fresh=False)
        memsw = CgroupRead(controller="memory", file="memory.memsw.limit_in_bytes")
        counters, _ = read_counters(place, (memsw,))
        current = byte_limit(integer(counters.get(f"memory/{memsw.file}")))
        return v1_writes(wanted, asked, is_fresh=False, current_memsw_bytes=current)

    def _refuse_killing(self, container_id: ContainerId, place: CgroupPlace, wanted: MemoryLimits) -> None:
        counters, _ = read_counters(place, self.usage_reads())
        usage_bytes = integer(counters.get("memory/memory.current"))
        if wanted.hard_bytes is None or usage_bytes is None:
            return
        fixed = usage_bytes - sum(count or 0 for count in _V2_FILES.numbers(counters.get("memory/memory.stat")))
        if fixed > wanted.hard_bytes:
            path = f"{place.directory('memory')}/memory.max"
            raise ContainerizerError(
                container_id,
                "update",
                f"{path} is not lowered to {wanted.hard_bytes}: {fixed} bytes are in use and cannot be given back, the "
                "kernel would kill for them; the old limit stays. Ask for more, or try when the task uses less",
            )

    def launch_plan(self, resources: Resources, limits: ResourceLimits) -> LaunchPlan:
        """With where the OOM counter stands, so that the shim knows whether to look for victims."""
        return replace(super().launch_plan(resources, limits), oom_events=self._oom)

    def final_reads(self) -> tuple[CgroupRead, ...]:
        """OOM kills, peak and the limit that was in force."""
        return _V2_FINAL if self.is_v2 else _V1_FINAL

    def usage_reads(self) -> tuple[CgroupRead, ...]:
        """And what is used for what."""
        return _V2_USAGE if self.is_v2 else _V1_USAGE

    @staticmethod
    def fill(found: ResourceStatistics, counters: Mapping[str, bytes]) -> None:
        """v1's names first, then v2's."""
        stat = counters.get("memory/memory.stat")
        anon, file, inactive_file, swap, limit = _V1_STAT.numbers(stat)
        if anon is None:
            anon, file, inactive_file = _V2_STAT.numbers(stat)
            swap = integer(counters.get("memory/memory.swap.current"))
        usage = integer(counters.get("memory/memory.usage_in_bytes") or counters.get("memory/memory.current"))
        peak = counters.get("memory/memory.max_usage_in_bytes") or counters.get("memory/memory.peak")
        own_limit = integer(counters.get("memory/memory.limit_in_bytes") or counters.get("memory/memory.max"))
        found.memory_usage_bytes = usage
        found.memory_peak_bytes = integer(peak)
        found.memory_limit_bytes = byte_limit(limit if own_limit is None else own_limit)
        found.memory_anon_bytes = anon
        found.memory_file_bytes = file
        found.memory_swap_bytes = swap
        if usage is not None and inactive_file is not None:
            found.memory_working_set_bytes = max(usage - inactive_file, 0)
        oom_text = counters.get("memory/memory.oom_control", counters.get("memory/memory.events"))
        (found.memory_oom_kill_count,) = _OOM_KILLS.numbers(oom_text)

    def watches(self, container_id: ContainerId) -> Sequence[Watch]:
        """v1: the eventfd of memory.oom_control, here and in the engine's cgroup below, which has the same limit and meets it
        first; v2: memory.events is modified when a counter in it, or in one below, grows.
        """
        place = self.place_of(container_id)
        directory = place.directory("memory") if place else None
        if directory is None:
            return ()
        if self.is_v2:
            return (Inotify(path=f"{directory}/{self._oom.file}"),)
        return tuple(
            CgroupEvent(directory=each, control=self._oom.file)
            for each in (directory, *cgroups_below.children(directory))
        )

    def limitation(self, container_id: ContainerId) -> Limitation | None:
        """OOM kills that were not yet told. Never fatal: whether the command died of it is settled at its exit."""
        place = self.place_of(container_id)
        if place is None:
            return None
        counters, _ = read_counters(place, self.final_reads())
        found = ResourceStatistics()
        self.fill(found, counters)
        directory = place.directory("memory")
        below_count = 0 if self.is_v2 or directory is None else cgroups_below.oom_kill_count(directory, self._oom.file)
        count = found.memory_oom_kill_count = (found.memory_oom_kill_count or 0) + below_count
        if count <= self._reported_kill_count.get(container_id, 0):
            return None
        self._reported_kill_count[container_id] = count
        return Limitation(
            container_id=container_id,
            isolator=self.name,
            reason=Reason.CONTAINER_LIMITATION_MEMORY,
            message=(
                f"the kernel's OOM killer has ended {count} of the container's processes: memory limit "
                f"{_bytes_text(found.memory_limit_bytes)}, peak {_bytes_text(found.memory_peak_bytes)}"
            ),
            fatal=False,
            memory=_evidence(found),
        )

    def measure(self, container_id: ContainerId, found: ResourceStatistics) -> None:
        """With the kills below that were told: v1 counts each in the cgroup of its victim."""
        super().measure(container_id, found)
        if (told_count := self._reported_kill_count.get(container_id)) and found.memory_oom_kill_count is not None:
            found.memory_oom_kill_count = max(found.memory_oom_kill_count, told_count)

    def evidence(self, container_id: ContainerId, counters: Mapping[str, str]) -> Evidence:
        """Over the whole life; the victims are the shim's to name."""
        del container_id
        found = ResourceStatistics()
        self.fill(found, recorded(counters))
        if found == ResourceStatistics():
            return Evidence()
        return Evidence(memory=_evidence(found))

    def cleanup(self, container_id: ContainerId) -> None:
        """Nothing outlives the container."""
        super().cleanup(container_id)
        self._reported_kill_count.pop(container_id, None)


def _evidence(found: ResourceStatistics) -> MemoryEvidence:
    return MemoryEvidence(
        limit_bytes=found.memory_limit_bytes,
        peak_bytes=found.memory_peak_bytes,
        oom_kill_count=found.memory_oom_kill_count or 0,
        victims=None,
    )


def _bytes_text(amount_bytes: int | None) -> str:
    return "unknown" if amount_bytes is None else f"{amount_bytes / (1 << 20):.1f} MiB"
