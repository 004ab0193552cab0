"""Runs a part of the test suite inside the virtual machine and counts what came of it, from pytest's own report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from tests.vm.machine import Machine

REPORT = "/run/paddock-tests.xml"
TEST_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """What pytest counted, its exit code, and everything that it printed."""

    test_count: int
    failed_count: int
    skipped_count: int
    exit_code: int
    output: str

    def all_passed(self) -> bool:
        """Something ran, nothing failed, nothing was skipped, and pytest itself agrees."""
        return self.test_count > 0 and (self.failed_count, self.skipped_count, self.exit_code) == (0, 0, 0)


def run_suite(machine: Machine, path: str, *, timeout_s: float, on_output: Callable[[str], object]) -> SuiteResult:
    """Run the tests below ``path`` that are neither long, nor cgroup v1's own, nor without any cgroup."""
    command = ["python3", "-m", "pytest", path, "-m", "not long and not v1_only and not no_cgroups", "-v", "--color=no"]
    command += ["-p", "no:cacheprovider", f"--timeout={TEST_TIMEOUT_S}", f"--junitxml={REPORT}"]
    machine.run(["rm", "-f", REPORT]).checked()
    finished = machine.run(command, timeout_s=timeout_s, on_output=on_output)
    suites = list(ET.fromstring(machine.run(["cat", REPORT]).checked()).iter("testsuite"))
    return SuiteResult(
        test_count=_count(suites, "tests"),
        failed_count=_count(suites, "failures") + _count(suites, "errors"),
        skipped_count=_count(suites, "skipped"),
        exit_code=finished.exit_code,
        output=finished.output,
    )


def _count(suites: list[ET.Element], name: str) -> int:
    return sum(int(suite.attrib[name]) for suite in suites)
