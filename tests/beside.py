"""Runs one part of the suite in a pytest of its own, beside the others, and tells its reports where the part's turn comes.

The virtual machine needs as long as all other parts together, and one processor: in turn they would not fit CI's time.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

REPORTS_OPTION = "--reports"
_NICE = "5"  # the others' deadlines are those of a machine without it
_POLL_S = 0.2
_END_TIMEOUT_S = 60.0  # of a session that was told to end: its machine dies in a moment
_TOLD_LINES = 30


class ReportWriter:
    """A plugin of the session beside: each report becomes a line of JSON in `path`, as soon as there is one."""

    def __init__(self, path: Path, config: pytest.Config) -> None:
        self._config = config
        self._lines = path.open("w", encoding="utf-8")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write it down."""
        told = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._lines.write(json.dumps(told) + "\n")
        self._lines.flush()

    def pytest_unconfigure(self) -> None:
        """Close the file."""
        self._lines.close()


class Beside:
    """A plugin: the tests of `part` run in a session beside this one, if this one has others too.

    What that session prints goes to ``<directory>/<part>.log``.
    """

    def __init__(self, part: Path, directory: Path) -> None:
        self._part = part
        self._log = directory / f"{part.name}.log"
        self._reports = directory / f"{part.name}.reports"
        self._ids: frozenset[str] = frozenset()
        self._process: subprocess.Popen[bytes] | None = None
        self._seen_lines = 0
        self._seen: dict[str, list[pytest.TestReport]] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Start the session beside, where there are tests for both."""
        mine = [item.nodeid for item in session.items if item.path.is_relative_to(self._part)]
        if not mine or len(mine) == len(session.items) or session.config.option.collectonly:
            return
        self._log.parent.mkdir(exist_ok=True)
        self._reports.unlink(missing_ok=True)
        # setpriv: if this session dies without a word, the other one ends in order.
        command = ["setpriv", "--pdeathsig", "TERM", "nice", "-n", _NICE, sys.executable, "-m", "pytest"]
        command += [*mine, "-m", "", "--leftovers=report", f"{REPORTS_OPTION}={self._reports}"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=session.config.rootpath
            )
        self._ids = frozenset(mine)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Tell what the session beside says of this test, when it has said it all."""
        if item.nodeid not in self._ids:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in (*_ended_here(item), *self._told_of(item)):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """End it before anybody looks for leftovers."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(_END_TIMEOUT_S)
        self._reports.unlink(missing_ok=True)

    def _told_of(self, item: pytest.Item) -> list[pytest.TestReport]:
        assert self._process is not None
        while True:
            has_ended = self._process.poll() is not None
            for report in self._new_reports(item.config):
                self._seen.setdefault(report.nodeid, []).append(report)
            told = self._seen.get(item.nodeid, [])
            if told and told[-1].when == "teardown":
                return told
            if has_ended:
                return [*told, self._lost(item)]
            time.sleep(_POLL_S)

    def _new_reports(self, config: pytest.Config) -> Iterator[pytest.TestReport]:
        if not self._reports.exists():
            return
        lines = self._reports.read_text(encoding="utf-8").split("\n")[:-1]  # the last one may be half written
        for line in lines[self._seen_lines :]:
            told = json.loads(line)
            if isinstance(told["longrepr"], list):
                told["longrepr"] = tuple(told["longrepr"])  # a skip's: JSON has lists only
            report = config.hook.pytest_report_from_serializable(config=config, data=told)
            if isinstance(report, pytest.TestReport):
                yield report
        self._seen_lines = len(lines)

    def _lost(self, item: pytest.Item) -> pytest.TestReport:
        """The session beside is over and never told the end of this test."""
        assert self._process is not None
        tail = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TOLD_LINES:]
        words = "\n".join([f"the session beside ended with {self._process.returncode}; its last lines:", *tail])
        return pytest.TestReport(
            nodeid=item.nodeid,
            location=item.location,
            keywords={},
            outcome="failed",
            longrepr=words,
            when="call",
        )


def _ended_here(item: pytest.Item) -> Iterator[pytest.TestReport]:
    """What is still set up for the tests before is not waited with; says only what went wrong."""
    state = item.session._setupstate
    call = pytest.CallInfo.from_call(lambda: state.teardown_exact(None), "teardown")
    if call.excinfo is not None:
        yield item.ihook.pytest_runtest_makereport(item=item, call=call)
