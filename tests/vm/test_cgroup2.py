"""The kernel tests that run on this host's cgroups run once more on cgroup v2, under systemd, in a virtual machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.vm.machine import Machine, show
from tests.vm.suite import SuiteResult, run_suite

# A busy host may need three times what a quiet one does.
SUITE_TIMEOUT_S = 2100.0

# From nothing: a minute for the image, ten seconds for the boot.
pytestmark = pytest.mark.timeout(SUITE_TIMEOUT_S + 180)


def test_the_machine_has_cgroup_v2_and_nothing_else(machine: Machine) -> None:
    assert machine.run(["stat", "-f", "-c", "%T", "/sys/fs/cgroup"]).checked() == "cgroup2fs\n"
    assert machine.run(["findmnt", "-n", "-t", "cgroup"]).output == ""
    enabled = machine.run(["cat", "/sys/fs/cgroup/cgroup.subtree_control"]).checked().split()
    assert {"cpu", "io", "memory", "pids"} <= set(enabled)
    assert machine.run(["systemctl", "is-system-running", "--wait"]).checked() == "running\n"


def assert_passed(result: SuiteResult) -> None:
    if not result.all_passed():
        pytest.fail(result.told(), pytrace=False)


def test_the_kernel_tests_pass_on_cgroup_v2(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print()
        result = run_suite(machine, "tests/kernel", timeout_s=SUITE_TIMEOUT_S, on_output=show)
    assert_passed(result)


@pytest.mark.parametrize("inside", ["inside_scope", "inside_service"])
def test_containers_in_a_delegated_scope_of_systemd(
    machine: Machine, capsys: pytest.CaptureFixture[str], inside: str
) -> None:
    """The launcher alone in its scope; then agentd as a service, which makes the scope and joins it."""
    with capsys.disabled():
        print()
        result = run_suite(machine, f"tests/vm/{inside}.py", timeout_s=SUITE_TIMEOUT_S, on_output=show)
    assert_passed(result)


def test_a_failure_and_a_skip_inside_are_seen_outside(machine: Machine) -> None:
    body = b"""import pytest
def test_a(): pass
def test_b():
    print("much " * 1000)
    assert 1 + 1 == 3, "no" * 1000
def test_c(): pytest.skip('not today')
@pytest.fixture
def ends():
    yield
    raise RuntimeError("left behind")
def test_d(ends): pass
"""
    machine.run(["sh", "-c", "mkdir /run/suite && cat > /run/suite/test_inner.py"], stdin=body).checked()
    result = run_suite(machine, "/run/suite", timeout_s=120.0, on_output=len)
    assert (result.test_count, result.failed_count, result.skipped_count, result.exit_code) == (4, 2, 1, 1), result
    with pytest.raises(pytest.fail.Exception) as raised:
        assert_passed(result)
    told = str(raised.value)
    for word in (
        "test_b (failure)",
        "assert (1 + 1) == 3",
        "test_inner.py:5: ",
        "test_c (skipped)",
        "not today",
        "left behind",
    ):
        assert word in told
    assert len(told) < 2000


def test_only_a_suite_in_which_something_ran_and_all_passed_counts() -> None:
    passed = SuiteResult(test_count=1, failed_count=0, skipped_count=0, exit_code=0, output="")
    assert passed.all_passed()
    assert not replace(passed, test_count=0).all_passed()
    assert not replace(passed, failed_count=1).all_passed()
    assert not replace(passed, skipped_count=1).all_passed()
    assert not replace(passed, exit_code=1).all_passed()
