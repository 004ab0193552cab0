"""cgroups/mem on this machine's cgroups: limits in force, resizes in an order that the kernel takes, OOM kills told."""

import errno
import select
import sys
from collections.abc import Iterator

import pytest
from cgroupspy.controllers import MemoryController
from cgroupspy.nodes import Node

from isolators.cgroups.mem import MIB, MemoryIsolator
from isolators.cgroups_below import CHILDREN_COUNT
from isolators.contract import IsolatorSettings
from paddock.kernel.errors import KernelError
from paddock.model.container import ContainerConfig
from paddock.model.errors import ContainerizerError
from paddock.model.resources import Resources
from paddock.model.task import ResourceLimits
from tests.kernel.isolators.live_cgroup import TIME_SCALE, LiveCgroup, live_cgroup, real_host, wait_until, watched

TAKE = "import time; held = bytearray({} << 20); print('held', flush=True); time.sleep(600)"


@pytest.fixture
def isolator() -> MemoryIsolator:
    return MemoryIsolator(real_host("mem"), IsolatorSettings())


@pytest.fixture
def cgroup(isolator: MemoryIsolator, container: ContainerConfig) -> Iterator[LiveCgroup]:
    with live_cgroup(isolator.host, container.container_id, isolator.prepare(container)) as made:
        yield made
    isolator.cleanup(container.container_id)


def mem(mib: int) -> Resources:
    return Resources.scalars({"mem": mib * 1000})


def in_force_mib(cgroup: LiveCgroup) -> tuple[int | None, ...]:
    v1 = ("soft_limit_in_bytes", "limit_in_bytes", "memsw.limit_in_bytes")
    texts = [cgroup.read("memory", f"memory.{name}") for name in (("low", "max", "swap.max") if cgroup.is_v2 else v1)]
    amounts = [None if text == "max" or int(text) > 2**62 else int(text) // MIB for text in texts]
    if cgroup.is_v2 and amounts[1] is not None and amounts[2] is not None:
        amounts[2] += amounts[1]
    return tuple(amounts)


def test_limit_and_memory_plus_swap_are_in_force(
    isolator: MemoryIsolator, container: ContainerConfig, cgroup: LiveCgroup
) -> None:
    assert in_force_mib(cgroup) == (64, 64, 64)
    limits = isolator.limits(container.container_id)
    assert len(limits) == 3
    assert {limit.remark for limit in limits} == {""}
    assert limits[1].asked == "64MiB"


@pytest.mark.parametrize("steps", [(128, 256, 64, 32), (40, 512, 512, 48)])
def test_raising_and_lowering(
    isolator: MemoryIsolator, container: ContainerConfig, cgroup: LiveCgroup, steps: tuple[int, ...]
) -> None:
    for mib in steps:
        cgroup.write(isolator.update(container.container_id, mem(mib), ResourceLimits()))
        assert in_force_mib(cgroup) == (mib, mib, mib)


def test_swap_and_no_limit_come_and_go(
    isolator: MemoryIsolator, container: ContainerConfig, cgroup: LiveCgroup
) -> None:
    for limits, expected in (
        (ResourceLimits(swap_bytes=32 * MIB), (64, 64, 96)),
        (ResourceLimits(memory_bytes=128 * MIB), (64, 128, 128)),
        (ResourceLimits(memory_bytes=-1), (64, None, None)),
        (ResourceLimits(), (64, 64, 64)),
        (ResourceLimits(swap_bytes=-1), (64, 64, None)),
        (ResourceLimits(swap_bytes=0), (64, 64, 64)),
    ):
        cgroup.write(isolator.update(container.container_id, mem(64), limits))
        assert in_force_mib(cgroup) == expected


def test_lowering_below_what_is_used_is_refused_and_nothing_dies(
    isolator: MemoryIsolator, container: ContainerConfig, cgroup: LiveCgroup
) -> None:
    with cgroup.start(sys.executable, "-S", "-c", TAKE.format(45)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        if cgroup.is_v2:
            with pytest.raises(ContainerizerError, match="memory.max is not lowered"):
                isolator.update(container.container_id, mem(32), ResourceLimits())
        else:
            with pytest.raises(KernelError) as caught:
                cgroup.write(isolator.update(container.container_id, mem(32), ResourceLimits()))
            assert caught.value.errno == errno.EBUSY
        assert in_force_mib(cgroup)[1:] == (64, 64)
        assert process.poll() is None
        process.kill()


def test_an_oom_kill_wakes_and_is_told(
    isolator: MemoryIsolator, container: ContainerConfig, cgroup: LiveCgroup
) -> None:
    (watch,) = isolator.watches(container.container_id)
    with watched(watch) as fd:
        assert isolator.limitation(container.container_id) is None
        assert select.select([fd], [], [], 0)[0] == []
        with cgroup.start(sys.executable, "-S", "-c", TAKE.format(200)) as process:
            assert process.wait(timeout=20 * TIME_SCALE) == -9
        assert select.select([fd], [], [], 10 * TIME_SCALE)[0] == [fd]
    found = isolator.limitation(container.container_id)
    assert found is not None
    assert not found.fatal
    assert found.memory is not None
    assert (found.memory.oom_kill_count, found.memory.limit_bytes) == (1, 64 * MIB)
    assert isolator.limitation(container.container_id) is None
    counters = {f"{r.controller}/{r.file}": cgroup.read(r.controller, r.file) for r in isolator.final_reads()}
    evidence = isolator.evidence(container.container_id, counters).memory
    assert evidence is not None
    assert evidence.oom_kill_count == 1
    assert evidence.peak_bytes is not None
    assert 60 * MIB < evidence.peak_bytes <= 64 * MIB


def test_usage_tells_memory_from_page_cache(
    isolator: MemoryIsolator, container: ContainerConfig, cgroup: LiveCgroup
) -> None:
    with cgroup.start(sys.executable, "-S", "-c", TAKE.format(30)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        wait_until(
            ((isolator.usage(container.container_id).memory_anon_bytes or 0) > 30 * MIB for _ in iter(int, 1)), "anon"
        )
        used = isolator.usage(container.container_id)
        process.kill()
    assert used.missing == ()
    assert used.memory_limit_bytes == 64 * MIB
    assert used.memory_usage_bytes is not None
    assert used.memory_working_set_bytes is not None
    assert 30 * MIB < used.memory_working_set_bytes <= used.memory_usage_bytes <= 64 * MIB
    assert (used.memory_oom_kill_count, used.memory_swap_bytes) == (0, 0)


@pytest.mark.v1_only
def test_an_oom_kill_in_an_engines_cgroup_below_wakes_and_is_told(
    isolator: MemoryIsolator, container: ContainerConfig, cgroup: LiveCgroup
) -> None:
    """v1 wakes and counts only there."""
    below = cgroup.path("memory", "engines")
    below.mkdir()
    (below / "memory.limit_in_bytes").write_text(str(48 * MIB), encoding="ascii")
    watches = isolator.watches(container.container_id)
    assert len(watches) == 2
    join = f"echo $$ > {below}/tasks; exec {sys.executable} -S -c '{TAKE.format(200)}'"
    with watched(watches[0]) as ours, watched(watches[1]) as engines:
        with cgroup.start("/bin/sh", "-c", join) as process:
            assert process.wait(timeout=20 * TIME_SCALE) == -9
        assert select.select([ours, engines], [], [], 10 * TIME_SCALE)[0] == [engines]
    found = isolator.limitation(container.container_id)
    assert found is not None
    assert found.memory is not None
    assert (found.memory.oom_kill_count, found.memory.limit_bytes) == (1, 64 * MIB)
    assert isolator.usage(container.container_id).memory_oom_kill_count == 1
    below.rmdir()
    assert isolator.limitation(container.container_id) is None
    assert isolator.usage(container.container_id).memory_oom_kill_count == 1


@pytest.mark.v1_only
def test_of_many_cgroups_below_some_are_looked_at(
    isolator: MemoryIsolator, container: ContainerConfig, cgroup: LiveCgroup
) -> None:
    made = [cgroup.path("memory", f"below-{number}") for number in range(CHILDREN_COUNT + 3)]
    for each in made:
        each.mkdir()
    assert len(isolator.watches(container.container_id)) == 1 + CHILDREN_COUNT
    for each in made:
        each.rmdir()


@pytest.mark.v1_only
def test_a_lower_limit_above_the_container_is_the_one_it_has(
    isolator: MemoryIsolator, container: ContainerConfig, cgroup: LiveCgroup
) -> None:
    above = cgroup.path("memory", "").parent / "memory.limit_in_bytes"
    for limit, shown in ((48 * MIB, 48 * MIB), (-1, 64 * MIB)):
        above.write_text(str(limit), encoding="ascii")
        assert isolator.usage(container.container_id).memory_limit_bytes == shown


@pytest.mark.v1_only
def test_cgroupspy_sees_the_same(isolator: MemoryIsolator, container: ContainerConfig, cgroup: LiveCgroup) -> None:
    cgroup.write(isolator.update(container.container_id, mem(96), ResourceLimits(swap_bytes=32 * MIB)))
    witness = MemoryController(Node(str(cgroup.place.directory("memory"))))
    keys = ("soft_limit_in_bytes", "limit_in_bytes", "memsw_limit_in_bytes")
    assert [witness.get_content(key) // MIB for key in keys] == [96, 96, 128]


@pytest.mark.v1_only
def test_the_wrong_order_is_what_the_kernel_refuses(
    isolator: MemoryIsolator, container: ContainerConfig, cgroup: LiveCgroup
) -> None:
    soft, first, second = isolator.update(container.container_id, mem(128), ResourceLimits())
    with pytest.raises(KernelError) as caught:
        cgroup.write((soft, second, first))
    assert caught.value.errno == errno.EINVAL
    assert caught.value.value == str(128 * MIB)
