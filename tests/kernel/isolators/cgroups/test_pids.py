"""cgroups/pids on this machine's cgroups: the limit refuses forks and the kernel counts the refusals."""

from collections.abc import Iterator

import pytest

from isolators.cgroups.pids import PIDS_MAX, PidsIsolator
from isolators.contract import IsolatorSettings
from paddock.model.container import ContainerConfig
from paddock.model.resources import Resources
from paddock.model.task import ResourceLimits
from tests.kernel.isolators.live_cgroup import TIME_SCALE, LiveCgroup, live_cgroup, real_host


@pytest.fixture
def isolator() -> PidsIsolator:
    return PidsIsolator(real_host("pids"), IsolatorSettings())


@pytest.fixture
def cgroup(isolator: PidsIsolator, container: ContainerConfig) -> Iterator[LiveCgroup]:
    with live_cgroup(isolator.host, container.container_id, isolator.prepare(container)) as made:
        yield made
    isolator.cleanup(container.container_id)


def test_the_default_and_each_limit_are_in_force(
    isolator: PidsIsolator, container: ContainerConfig, cgroup: LiveCgroup
) -> None:
    assert cgroup.read("pids", "pids.max") == "1024"
    for count, text in ((7, "7"), (PIDS_MAX, str(PIDS_MAX)), (-1, "max"), (None, "1024")):
        cgroup.write(isolator.update(container.container_id, Resources(), ResourceLimits(pids_count=count)))
        assert cgroup.read("pids", "pids.max") == text
        assert isolator.limits(container.container_id)[0].remark == ""


def test_refused_forks_are_counted(isolator: PidsIsolator, container: ContainerConfig, cgroup: LiveCgroup) -> None:
    cgroup.write(isolator.update(container.container_id, Resources(), ResourceLimits(pids_count=3)))
    many = "for number in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait"
    with cgroup.start("/bin/sh", "-c", many) as process:
        assert process.wait(timeout=20 * TIME_SCALE) != 0  # sh gives up: Cannot fork
    used = isolator.usage(container.container_id)
    assert used.missing == ()
    assert used.pids_limit_count == 3
    assert used.pids_refused_count is not None
    assert used.pids_refused_count >= 1
    assert used.pids_count is not None
    assert used.pids_count <= 3
    counters = {f"{r.controller}/{r.file}": cgroup.read(r.controller, r.file) for r in isolator.final_reads()[:2]}
    found = isolator.evidence(container.container_id, counters).pids
    assert found is not None
    assert (found.limit_count, found.refused_count) == (3, used.pids_refused_count)
