"""cgroups/mem: amounts, the order of writes, and what counters say."""

import mmap
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolators.cgroup_isolator import PLANS_KEPT_COUNT
from isolators.cgroups.mem import (
    MIB,
    MemoryIsolator,
    MemoryLimits,
    asked_text,
    memory_limits,
    requested_bytes,
    v1_writes,
    v2_writes,
)
from isolators.contract import CgroupEvent, Inotify, IsolatorSettings
from isolators.testing import sample_container, sample_host
from paddock.model.errors import ContainerizerError, InvalidRequest
from paddock.model.ids import ContainerId
from paddock.model.launch_plan import CgroupWrite
from paddock.model.resources import MILLI_LIMIT, Resources
from paddock.model.statistics import ResourceStatistics
from paddock.model.task import Reason, ResourceLimits

UNLIMITED = 2**63 - 4096


def mem(milli: int) -> Resources:
    return Resources.scalars({"mem": milli})


@pytest.mark.parametrize(
    ("mem_milli", "expected_bytes"),
    [
        (0, 32 * MIB),
        (1, 32 * MIB),
        (31_999, 32 * MIB),
        (32_000, 32 * MIB),
        (64_000, 64 * MIB),
        (64_001, 64 * MIB),  # 1048 bytes are less than a page
        (64_004, 64 * MIB + 4096),
        (10**6, 1000 * MIB),
    ],
)
def test_requests_are_whole_pages_and_at_least_32_mib(mem_milli: int, expected_bytes: int) -> None:
    assert requested_bytes(mem(mem_milli)) == expected_bytes // mmap.PAGESIZE * mmap.PAGESIZE


@given(mem_milli=st.integers(0, MILLI_LIMIT), swap=st.none() | st.integers(-1, 2**63 - 1), limit_swap=st.booleans())
def test_amounts_are_pages_within_what_the_kernel_takes(mem_milli: int, swap: int | None, limit_swap: bool) -> None:
    found = memory_limits(mem(mem_milli), ResourceLimits(swap_bytes=swap), limit_swap=limit_swap)
    assert found.hard_bytes is not None
    assert found.soft_bytes <= found.hard_bytes
    for amount in (found.soft_bytes, found.hard_bytes, found.memsw_bytes):
        assert amount is None or (0 < amount < 2**63 and amount % mmap.PAGESIZE == 0)
    assert found.memsw_bytes is None or found.hard_bytes <= found.memsw_bytes


@pytest.mark.parametrize(
    ("limits", "limit_swap", "hard_mib", "memsw_mib"),
    [
        (ResourceLimits(), True, 64, 64),
        (ResourceLimits(), False, 64, None),
        (ResourceLimits(swap_bytes=0), False, 64, 64),
        (ResourceLimits(swap_bytes=16 * MIB), True, 64, 80),
        (ResourceLimits(swap_bytes=-1), True, 64, None),
        (ResourceLimits(memory_bytes=128 * MIB), True, 128, 128),
        (ResourceLimits(memory_bytes=-1), True, None, None),
    ],
)
def test_memory_and_swap(limits: ResourceLimits, limit_swap: bool, hard_mib: int | None, memsw_mib: int | None) -> None:
    found = memory_limits(mem(64_000), limits, limit_swap=limit_swap)
    assert found.hard_bytes == (None if hard_mib is None else hard_mib * MIB)
    assert found.memsw_bytes == (None if memsw_mib is None else memsw_mib * MIB)
    assert found.soft_bytes == 64 * MIB


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        (ResourceLimits(memory_bytes=0), "limits.memory"),
        (ResourceLimits(memory_bytes=-2), "limits.memory"),
        (ResourceLimits(memory_bytes=64 * MIB - 1), "limits.memory"),
        (ResourceLimits(swap_bytes=-2), "limits.swap"),
        (ResourceLimits(memory_bytes=-1, swap_bytes=0), "limits.swap"),
    ],
)
def test_what_cannot_be_is_refused_by_name(limits: ResourceLimits, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        memory_limits(mem(64_000), limits, limit_swap=True)
    assert caught.value.field == field


class KernelMemory:
    """The v1 kernel's rule, and nothing else of it: limit ≤ memsw at every moment."""

    def __init__(self, limit: int, memsw: int) -> None:
        self.values = {"memory.limit_in_bytes": limit, "memory.memsw.limit_in_bytes": memsw}

    def write(self, write: CgroupWrite) -> None:
        if write.file in self.values:
            self.values[write.file] = UNLIMITED if write.value == "-1" else int(write.value)
            assert self.values["memory.limit_in_bytes"] <= self.values["memory.memsw.limit_in_bytes"], "EINVAL"


AMOUNT = st.integers(8192, 2**34).map(lambda pages: pages * 4096) | st.none()


@given(old_hard=AMOUNT, old_swap=AMOUNT, hard=AMOUNT, swap=AMOUNT)
def test_no_order_of_writes_that_the_kernel_refuses(
    old_hard: int | None, old_swap: int | None, hard: int | None, swap: int | None
) -> None:
    def limits_of(memory: int | None, extra: int | None) -> MemoryLimits:
        memsw = None if memory is None or extra is None else memory + extra
        return MemoryLimits(soft_bytes=32 * MIB, hard_bytes=memory, memsw_bytes=memsw, is_swap_asked=False)

    kernel = KernelMemory(UNLIMITED, UNLIMITED)
    for write in v1_writes(limits_of(old_hard, old_swap), ("", ""), is_fresh=True):
        kernel.write(write)
    memsw = kernel.values["memory.memsw.limit_in_bytes"]
    wanted = limits_of(hard, swap)
    current = None if memsw == UNLIMITED else memsw
    for write in v1_writes(wanted, ("", ""), is_fresh=False, current_memsw_bytes=current):
        kernel.write(write)
    assert kernel.values == {
        "memory.limit_in_bytes": wanted.hard_bytes or UNLIMITED,
        "memory.memsw.limit_in_bytes": wanted.memsw_bytes or UNLIMITED,
    }


def order(found: tuple[CgroupWrite, ...]) -> list[str]:
    return [write.file.removeprefix("memory.") for write in found]


def test_upwards_memsw_goes_first_and_downwards_the_limit() -> None:
    wanted = memory_limits(mem(64_000), ResourceLimits(), limit_swap=True)
    limit_first = ["soft_limit_in_bytes", "limit_in_bytes", "memsw.limit_in_bytes"]
    memsw_first = ["soft_limit_in_bytes", "memsw.limit_in_bytes", "limit_in_bytes"]
    assert order(v1_writes(wanted, ("", ""), is_fresh=True)) == limit_first
    assert order(v1_writes(wanted, ("", ""), is_fresh=False, current_memsw_bytes=32 * MIB)) == memsw_first
    assert order(v1_writes(wanted, ("", ""), is_fresh=False, current_memsw_bytes=128 * MIB)) == limit_first
    assert order(v1_writes(wanted, ("", ""), is_fresh=False, current_memsw_bytes=None)) == limit_first


def test_only_the_default_of_swap_is_optional() -> None:
    for limits, optional in ((ResourceLimits(), ["swap.max"]), (ResourceLimits(swap_bytes=0), [])):
        wanted = memory_limits(mem(64_000), limits, limit_swap=True)
        v1 = v1_writes(wanted, ("", ""), is_fresh=True)
        assert order(tuple(w for w in v1 if w.optional)) == [
            name.replace("swap.max", "memsw.limit_in_bytes") for name in optional
        ]
        assert order(tuple(w for w in v2_writes(wanted, ("", ""), is_fresh=True) if w.optional)) == optional


def test_v2_counts_swap_apart() -> None:
    wanted = memory_limits(mem(64_000), ResourceLimits(swap_bytes=16 * MIB), limit_swap=True)
    values = {write.file: write.value for write in v2_writes(wanted, ("", ""), is_fresh=True)}
    assert values == {"memory.low": str(64 * MIB), "memory.max": str(64 * MIB), "memory.swap.max": str(16 * MIB)}
    free = memory_limits(mem(64_000), ResourceLimits(memory_bytes=-1), limit_swap=True)
    values = {write.file: write.value for write in v2_writes(free, ("", ""), is_fresh=False)}
    assert values == {"memory.low": str(64 * MIB), "memory.max": "max", "memory.swap.max": "max"}


@pytest.mark.parametrize(
    ("mem_milli", "limits", "expected"),
    [
        (64_000, ResourceLimits(), ("64MiB", "default")),
        (10_500, ResourceLimits(), ("10.5MiB, 32MiB is the least", "default")),
        (
            64_000,
            ResourceLimits(memory_bytes=128 * MIB, swap_bytes=10 * MIB),
            ("64MiB, limit 128MiB", "swap 10MiB"),
        ),
        (64_000, ResourceLimits(memory_bytes=-1, swap_bytes=-1), ("64MiB", "swap none")),
    ],
)
def test_what_was_asked_is_told_in_one_unit_and_why_more_is_in_force(
    mem_milli: int, limits: ResourceLimits, expected: tuple[str, str]
) -> None:
    assert asked_text(mem(mem_milli), limits) == expected


def test_an_asked_swap_limit_without_swap_accounting_is_refused(tmp_path: Path) -> None:
    host = sample_host(tmp_path, "v1")
    fields = {name: getattr(host, name) for name in host.__slots__}
    isolator = MemoryIsolator(type(host)(**{**fields, "swap_accounting": False}), IsolatorSettings())
    with pytest.raises(InvalidRequest, match="swapaccount=1"):
        isolator.launch_writes(mem(64_000), ResourceLimits(swap_bytes=0))
    assert isolator.launch_writes(mem(64_000), ResourceLimits())[-1].optional


def fill(directory: Path, **texts: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (directory / f"memory.{name}").write_text(text, encoding="ascii")


@pytest.fixture
def v2(tmp_path: Path) -> tuple[MemoryIsolator, Path, ContainerId]:
    """A temporary directory is a cgroup."""
    host = sample_host(tmp_path, "v2")
    container = sample_container(tmp_path / "sandbox")
    isolator = MemoryIsolator(host, IsolatorSettings())
    isolator.prepare(container)
    directory = host.place(container.container_id).directory("memory")
    assert directory is not None
    return isolator, Path(directory), container.container_id


def test_v2_is_not_lowered_below_what_cannot_be_given_back(v2: tuple[MemoryIsolator, Path, ContainerId]) -> None:
    isolator, directory, container_id = v2
    fill(directory, current=f"{60 * MIB}\n", stat=f"anon {50 * MIB}\ninactive_file {4 * MIB}\nactive_file {4 * MIB}\n")
    with pytest.raises(ContainerizerError, match=f"memory.max is not lowered to {48 * MIB}") as caught:
        isolator.update(container_id, mem(48_000), ResourceLimits())
    assert caught.value.stage == "update"
    assert [limit.planned for limit in isolator.limits(container_id)][1] == str(64 * MIB)
    assert isolator.update(container_id, mem(52_000), ResourceLimits())


def test_an_oom_kill_is_told_once_per_growth_and_is_not_fatal(v2: tuple[MemoryIsolator, Path, ContainerId]) -> None:
    isolator, directory, container_id = v2
    fill(directory, events="oom 0\noom_kill 0\n", peak=f"{64 * MIB}\n", max=f"{64 * MIB}\n")
    assert isolator.limitation(container_id) is None
    fill(directory, events="oom 1\noom_kill 2\n")
    found = isolator.limitation(container_id)
    assert found is not None
    assert (found.fatal, found.reason) == (False, Reason.CONTAINER_LIMITATION_MEMORY)
    assert found.memory is not None
    assert (found.memory.oom_kill_count, found.memory.peak_bytes, found.memory.limit_bytes) == (2, 64 * MIB, 64 * MIB)
    assert found.memory.victims is None
    assert found.message.endswith("2 of the container's processes: memory limit 64.0 MiB, peak 64.0 MiB")
    assert isolator.limitation(container_id) is None
    fill(directory, events="oom 2\noom_kill 3\n")
    assert isolator.limitation(container_id) is not None


def test_what_is_watched(v2: tuple[MemoryIsolator, Path, ContainerId], tmp_path: Path) -> None:
    isolator, directory, container_id = v2
    assert isolator.watches(container_id) == (Inotify(path=str(directory / "memory.events")),)
    host = sample_host(tmp_path, "v1")
    on_v1 = MemoryIsolator(host, IsolatorSettings())
    on_v1.prepare(sample_container(tmp_path / "sandbox"))
    expected = CgroupEvent(directory=str(host.place(container_id).directory("memory")), control="memory.oom_control")
    assert on_v1.watches(container_id) == (expected,)


def test_usage_on_v2(v2: tuple[MemoryIsolator, Path, ContainerId]) -> None:
    isolator, directory, container_id = v2
    stat = "anon 100\nfile 900\ninactive_file 300\nactive_file 600\n"
    fill(directory, current="1000\n", stat=stat, max="max\n", events="oom_kill 1\n", **{"swap.current": "7\n"})
    found = isolator.usage(container_id)
    assert (found.memory_usage_bytes, found.memory_working_set_bytes, found.memory_swap_bytes) == (1000, 700, 7)
    assert (found.memory_limit_bytes, found.memory_peak_bytes, found.memory_oom_kill_count) == (None, None, 1)
    assert found.missing == ()  # memory.peak is younger than this kernel: not a failure


def test_counters_of_v1() -> None:
    found = ResourceStatistics()
    MemoryIsolator.fill(
        found,
        {
            "memory/memory.oom_control": b"oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
            "memory/memory.max_usage_in_bytes": b"67108864\n",
            "memory/memory.limit_in_bytes": b"9223372036854771712\n",
            "memory/memory.stat": b"rss 1\ntotal_rss 10\ntotal_cache 20\ntotal_inactive_file 5\ntotal_swap 3\n",
        },
    )
    assert (found.memory_oom_kill_count, found.memory_peak_bytes, found.memory_limit_bytes) == (4, 64 * MIB, None)
    assert (found.memory_anon_bytes, found.memory_file_bytes, found.memory_swap_bytes) == (10, 20, 3)


def test_the_limit_of_live_statistics_on_v1_is_in_the_stat_file() -> None:
    for limit, shown in (("67108864", 64 * MIB), ("9223372036854771712", None)):
        found = ResourceStatistics()
        MemoryIsolator.fill(found, {"memory/memory.stat": f"hierarchical_memory_limit {limit}\ntotal_rss 1\n".encode()})
        assert (found.memory_limit_bytes, found.memory_anon_bytes) == (shown, 1)


def test_like_containers_share_one_plan_and_another_size_has_its_own(tmp_path: Path) -> None:
    isolator = MemoryIsolator(sample_host(tmp_path, "v1"), IsolatorSettings())
    first = sample_container(tmp_path / "sandbox")
    like = replace(first, container_id=ContainerId("like"))
    same_size = replace(first, resources=replace(first.resources))
    assert isolator.prepare(first) is isolator.prepare(like)
    assert isolator.prepare(same_size) == isolator.prepare(first)
    for count in range(2 * PLANS_KEPT_COUNT):
        limited = replace(first, limits=ResourceLimits(memory_bytes=(100 + count) << 20))
        values = [write.value for write in isolator.prepare(limited).writes if write.file == "memory.limit_in_bytes"]
        assert values == [str((100 + count) << 20)]
