"""The rules of a test session: the parts in order and their times, nothing skipped, nothing left behind."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from testbed.engine import remains
from tests import leftovers

# From what is cheap and says most to what is dear: the first failure is the one to read.
PARTS = ("architecture", "unit", "contract", "conformance", "kernel", "engine", "cluster", "faults", "testbed", "vm")


class SessionRules:
    """A pytest plugin; `root` is the directory whose first level are the parts. What is left has `grace_s` to go."""

    def __init__(self, *, root: Path, leftovers_fail: bool, grace_s: float) -> None:
        self._root = root
        self._leftovers_fail = leftovers_fail
        # Where others are at work, what is theirs is not waited for.
        self._grace_s = grace_s if leftovers_fail else min(grace_s, 5)
        self._before: frozenset[str] = frozenset()
        self._left: list[str] = []
        self._not_run: list[str] = []
        self._durations_s: defaultdict[str, float] = defaultdict(float)
        self._counts: Counter[str] = Counter()

    def pytest_sessionstart(self) -> None:
        """Remove the engines of sessions that died; remember what else is here already: that is not ours to judge."""
        remains.sweep()
        self._before = leftovers.snapshot()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Run the parts in their order; within one, the order of the files stays."""
        items.sort(key=lambda item: PARTS.index(self._part(item.path)))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that skips itself is a skip too."""
        if report.skipped:
            self._not_run.append(f"{report.nodeid}: skipped")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test's time, its fixtures' included, and notice one that was not really run."""
        part = self._part(self._root.parent / report.nodeid.split("::")[0])
        self._durations_s[part] += report.duration
        self._counts[part] += report.when == "call"
        if report.skipped:
            self._not_run.append(f"{report.nodeid}: {'xfailed' if hasattr(report, 'wasxfail') else 'skipped'}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Look at the machine after the last fixture is gone; what is wrong makes the session fail."""
        if session.config.option.collectonly:
            return
        self._left = leftovers.remaining(self._before, grace_s=self._grace_s)
        if session.exitstatus == pytest.ExitCode.OK and (self._not_run or (self._left and self._leftovers_fail)):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print it all; pytest's own line with the numbers stays the last, and counts each broken rule as an error."""
        self._print(terminalreporter, "not run: a test that is skipped shows nothing", self._not_run, fails=True)
        self._print(terminalreporter, "left behind on this machine", self._left, fails=self._leftovers_fail)
        if self._durations_s:
            terminalreporter.section("time of each part")
            for part in sorted(self._durations_s, key=PARTS.index):
                terminalreporter.line(f"{part:<14}{self._durations_s[part]:8.1f} s{self._counts[part]:7} tests")

    def _print(self, terminal: pytest.TerminalReporter, title: str, lines: list[str], *, fails: bool) -> None:
        if not lines:
            return
        terminal.section(title, red=fails, yellow=not fails)
        for line in lines:
            terminal.line(line)
        if fails:
            report = pytest.CollectReport(nodeid=title, outcome="failed", longrepr="\n".join(lines), result=[])
            terminal.stats.setdefault("error", []).append(report)

    def _part(self, path: Path) -> str:
        part = path.relative_to(self._root).parts[0]
        if part not in PARTS:
            raise pytest.UsageError(f"{path} is in no part of the suite: put it below one of {', '.join(PARTS)}")
        return part
