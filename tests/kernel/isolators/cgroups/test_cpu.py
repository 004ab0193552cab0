"""cgroups/cpu on this machine's cgroups: what is written is in force, throttles, and is counted."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from cgroupspy.controllers import CpuController
from cgroupspy.nodes import Node

from isolators.cgroups.cpu import CpuIsolator
from isolators.contract import IsolatorSettings
from paddock.model.container import ContainerConfig
from paddock.model.resources import Resources
from paddock.model.statistics import ResourceStatistics
from paddock.model.task import ResourceLimits
from tests.descriptors import descriptors_of
from tests.kernel.isolators.live_cgroup import TIME_SCALE, LiveCgroup, live_cgroup, real_host

# By its own time: a machine that stands still takes none of the periods in which it is throttled.
BUSY = "import time\nwhile time.process_time() < {}: pass"
HALF = Resources.scalars({"cpus": 500})


@pytest.fixture
def isolator() -> CpuIsolator:
    return CpuIsolator(real_host("cpu"), IsolatorSettings())


@pytest.fixture
def cgroup(isolator: CpuIsolator, container: ContainerConfig) -> Iterator[LiveCgroup]:
    with live_cgroup(isolator.host, container.container_id, isolator.prepare(container)) as made:
        yield made
    isolator.cleanup(container.container_id)


def in_force(cgroup: LiveCgroup) -> tuple[str, str]:
    if cgroup.is_v2:
        return cgroup.read("cpu", "cpu.weight"), cgroup.read("cpu", "cpu.max")
    return cgroup.read("cpu", "cpu.shares"), cgroup.read("cpu", "cpu.cfs_quota_us")


def test_shares_are_in_force_and_no_quota(
    isolator: CpuIsolator, container: ContainerConfig, cgroup: LiveCgroup
) -> None:
    assert in_force(cgroup) == (("25", "max 100000") if cgroup.is_v2 else ("256", "-1"))
    (limit,) = isolator.limits(container.container_id)
    assert (limit.resource, limit.asked, limit.planned) == ("cpus", "0.25", limit.in_force)
    assert limit.remark == ""


def test_a_resize_gives_and_takes_a_quota(
    isolator: CpuIsolator, container: ContainerConfig, cgroup: LiveCgroup
) -> None:
    for _ in range(2):
        cgroup.write(isolator.update(container.container_id, HALF, ResourceLimits(cpus_milli=750)))
        assert in_force(cgroup) == (("50", "75000 100000") if cgroup.is_v2 else ("512", "75000"))
        assert {limit.remark for limit in isolator.limits(container.container_id)} == {""}
    cgroup.write(isolator.update(container.container_id, HALF, ResourceLimits()))
    assert in_force(cgroup) == (("50", "max 100000") if cgroup.is_v2 else ("512", "-1"))


def test_the_kernel_takes_the_smallest_and_the_largest(
    isolator: CpuIsolator, container: ContainerConfig, cgroup: LiveCgroup
) -> None:
    for milli in (0, 1, 128_000, 10**15):
        limits = ResourceLimits(cpus_milli=max(milli, 1))
        cgroup.write(isolator.update(container.container_id, Resources.scalars({"cpus": milli}), limits))
        assert {limit.remark for limit in isolator.limits(container.container_id)} == {""}


def test_a_quota_throttles_and_is_counted(
    isolator: CpuIsolator, container: ContainerConfig, cgroup: LiveCgroup
) -> None:
    tenth = Resources.scalars({"cpus": 100})
    cgroup.write(isolator.update(container.container_id, tenth, ResourceLimits(cpus_milli=100)))
    # By its own weight others on a busy machine leave it less than its quota.
    cgroup.path("cpu", "cpu.weight" if cgroup.is_v2 else "cpu.shares").write_text("10000", encoding="ascii")
    with cgroup.start(sys.executable, "-S", "-c", BUSY.format(0.08 * TIME_SCALE)) as process:
        assert process.wait(timeout=30 * TIME_SCALE) == 0
    used = isolator.usage(container.container_id)
    assert used.missing == ()
    assert used.timestamp_ns > 0
    assert used.cpu_usage_us is not None
    assert 20_000 < used.cpu_usage_us < 0.6 * 1e6 * TIME_SCALE
    assert used.cpu_user_us is not None
    assert used.cpu_throttled_count
    assert used.cpu_throttled_us
    counters = {f"{r.controller}/{r.file}": cgroup.read(r.controller, r.file) for r in isolator.final_reads()}
    found = isolator.evidence(container.container_id, counters).cpu
    assert found is not None
    assert found.throttled_count == used.cpu_throttled_count
    assert found.usage_us == used.cpu_usage_us


def test_a_limit_changed_behind_our_back_is_shown(
    isolator: CpuIsolator, container: ContainerConfig, cgroup: LiveCgroup
) -> None:
    file = "cpu.weight" if cgroup.is_v2 else "cpu.shares"
    cgroup.path("cpu", file).write_text("77", encoding="ascii")
    (limit,) = isolator.limits(container.container_id)
    assert (limit.in_force, limit.remark) == ("77", "differs from what was planned")


@pytest.mark.parametrize("read_before_count", [0, 2])
def test_a_vanished_cgroup_is_named(
    isolator: CpuIsolator, container: ContainerConfig, cgroup: LiveCgroup, read_before_count: int
) -> None:
    for _ in range(read_before_count):  # its files are kept open then, and must not answer for it
        assert isolator.usage(container.container_id).missing == ()
    cgroup.remove()
    used = isolator.usage(container.container_id)
    ((name, why),) = used.missing
    assert name == "cgroups/cpu"
    assert str(container.container_id) in why
    assert used == ResourceStatistics(missing=used.missing)


def test_statistics_keep_their_files_open_until_cleanup(
    isolator: CpuIsolator, container: ContainerConfig, cgroup: LiveCgroup
) -> None:
    def open_files() -> list[str]:
        return [target for target in descriptors_of(os.getpid()).values() if isolator.host.agent_id in target]

    for _ in range(3):
        assert isolator.usage(container.container_id).missing == ()
    assert len(open_files()) == len(isolator.usage_reads())
    isolator.prepare(container)
    assert open_files() == []
    isolator.usage(container.container_id)
    isolator.cleanup(container.container_id)
    assert open_files() == []


@pytest.mark.v1_only
def test_cgroupspy_sees_the_same(isolator: CpuIsolator, container: ContainerConfig, cgroup: LiveCgroup) -> None:
    cgroup.write(isolator.update(container.container_id, HALF, ResourceLimits(cpus_milli=500)))
    witness = CpuController(Node(str(cgroup.place.directory("cpu"))))
    seen = [witness.get_content(key) for key in ("shares", "cfs_quota_us", "cfs_period_us")]
    assert seen == [512, 50_000, 100_000]


def test_quotas_by_the_operators_flag(container: ContainerConfig) -> None:
    isolator = CpuIsolator(real_host("cfs"), IsolatorSettings(cgroups_enable_cfs=True))
    config = replace(container, resources=HALF)
    with live_cgroup(isolator.host, config.container_id, isolator.prepare(config)) as cgroup:
        assert in_force(cgroup) == (("50", "50000 100000") if cgroup.is_v2 else ("512", "50000"))
