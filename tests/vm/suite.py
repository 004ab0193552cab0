"""Runs a part of the test suite inside the virtual machine and counts what came of it, from pytest's own report."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from tests.vm.machine import Machine

REPORT = "/run/paddock-tests.xml"
TEST_TIMEOUT_S = 300
_LINES_OF_FAILURE = 12
_LINE_LENGTH = 300
_SAID = re.compile(r"E  |[ |]*\| [\w.]+: ")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """What pytest counted, its exit code, and everything that it printed. `failures`: each test's name and why it failed."""

    test_count: int
    failed_count: int
    skipped_count: int
    exit_code: int
    failures: tuple[str, ...] = ()
    output: str = field(repr=False)

    def all_passed(self) -> bool:
        """Something ran, nothing failed, nothing was skipped, and pytest itself agrees."""
        return self.test_count > 0 and (self.failed_count, self.skipped_count, self.exit_code) == (0, 0, 0)

    def told(self) -> str:
        """Short enough to stand whole at the end of a log, of which often nothing else is kept."""
        counts = f"{self.failed_count} failed and {self.skipped_count} skipped of {self.test_count}"
        return "\n".join([f"inside: {counts}, exit code {self.exit_code}", *self.failures])


def run_suite(machine: Machine, path: str, *, timeout_s: float, on_output: Callable[[str], object]) -> SuiteResult:
    """Run the tests below ``path`` that are neither long, nor cgroup v1's own, nor without any cgroup."""
    command = ["python3", "-m", "pytest", path, "-m", "not long and not v1_only and not no_cgroups", "--color=no"]
    command += ["-p", "no:cacheprovider", f"--timeout={TEST_TIMEOUT_S}", f"--junitxml={REPORT}"]
    machine.run(["rm", "-f", REPORT]).checked()
    finished = machine.run(command, timeout_s=timeout_s, on_output=on_output)
    suites = list(ET.fromstring(machine.run(["cat", REPORT]).checked()).iter("testsuite"))
    return SuiteResult(
        test_count=_count(suites, "tests"),
        failed_count=_count(suites, "failures") + _count(suites, "errors"),
        skipped_count=_count(suites, "skipped"),
        exit_code=finished.exit_code,
        failures=tuple(_failures(suites)),
        output=finished.output,
    )


def _failures(suites: list[ET.Element]) -> Iterator[str]:
    """What pytest marks with an E in each traceback, or Python with a bar in each of a group, and where that was."""
    for case in (case for suite in suites for case in suite.iter("testcase")):
        for found in (*case.iter("failure"), *case.iter("error"), *case.iter("skipped")):
            lines = (found.text or "").splitlines()
            said = [line for line in lines if _SAID.match(line)] or str(found.get("message")).splitlines()
            where = [line for line in lines if re.match(r"\S+\.py:\d+: ", line)]
            told = [*said[:_LINES_OF_FAILURE], *where[-1:]]
            name = f"{case.get('classname')}::{case.get('name')} ({found.tag})"
            yield "\n".join([name, *(f"  {line[:_LINE_LENGTH]}" for line in told)])


def _count(suites: list[ET.Element], name: str) -> int:
    return sum(int(suite.attrib[name]) for suite in suites)
