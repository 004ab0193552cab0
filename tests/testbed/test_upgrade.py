"""A rolling upgrade by pip of every daemon on the three hosts, while tasks come and go: none is lost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from setup.build_hook import UNITS
from testbed.distribution import PREFIX
from testbed.installation import install
from testbed.three_hosts import AGENTS, MASTER, Testbed
from tests.testbed.conftest import PREVIOUS_VERSION
from tests.testbed.launcher import LOG, launcher_pid
from tests.testbed.load import Load

pytestmark = pytest.mark.timeout(900)

PATIENCE_S = 120.0


def told(testbed: Testbed, host: str, *words: str) -> str:
    done = testbed.exec(host, *words, timeout_s=120)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def files(testbed: Testbed, host: str) -> str:
    """What an operator has written, and what the daemon keeps of itself."""
    return told(
        testbed, host, "sh", "-c", "cat /etc/paddock/*.toml; cat /var/lib/paddock/agentd/agent-id 2>/dev/null || true"
    )


def replace_launcher(testbed: Testbed, host: str) -> None:
    """As docs/operations/upgrade.md says it."""
    before = launcher_pid(testbed, host)
    told(testbed, host, "kill", before)
    deadline_s = time.monotonic() + PATIENCE_S
    while launcher_pid(testbed, host) == before:
        assert time.monotonic() < deadline_s, told(testbed, host, "cat", LOG)
        time.sleep(0.2)


def upgrade(testbed: Testbed, host: str, wheel: Path) -> None:
    """The steps of docs/operations/upgrade.md."""
    daemon = "masterd" if host == MASTER else "agentd"
    install(testbed, host, wheel)
    told(testbed, host, f"{PREFIX}/bin/{daemon}", "--check-config")
    told(testbed, host, "systemctl", "daemon-reload")
    told(testbed, host, "systemctl", "restart", daemon)
    if host != MASTER:
        replace_launcher(testbed, host)
    testbed.await_ready()


def test_every_daemon_is_upgraded_under_load_and_no_task_is_lost(
    whole: Testbed, wheel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert PREVIOUS_VERSION in told(whole, MASTER, "paddock", "--version")
    before = {host: files(whole, host) for host in whole.hosts}
    with Load(whole, "upgraded") as load:
        for host in (MASTER, *AGENTS):
            upgrade(whole, host, wheel)
            # New work on the new build, before the next host is touched.
            seen_count = load.begun_count()
            deadline_s = time.monotonic() + PATIENCE_S
            while load.begun_count() < seen_count + 5:
                assert time.monotonic() < deadline_s, whole.last_words()
                time.sleep(0.2)
        verdict = load.verdict()
    with capsys.disabled():
        print(f"\nupgrade under load: {verdict}")
    assert not verdict.faults, verdict.faults
    # What had begun ran to its end: no other end than its own.
    assert set(verdict.told) <= {"FINISHED", "DROPPED", "GONE"}, verdict
    for host in whole.hosts:
        assert files(whole, host) == before[host]
        assert PREVIOUS_VERSION not in told(whole, host, "paddock", "--version")
        unit = "masterd.service" if host == MASTER else "agentd.service"
        assert unit in UNITS
        assert told(whole, host, "systemctl", "is-active", unit) == "active\n"
