"""Ten live tasks on a host with systemd go on, whatever dies, starts anew or reads its units; the scope's end is theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from testbed.three_hosts import Testbed
from tests.testbed.launcher import kill_launcher
from tests.testbed.patience import until
from tests.testbed.standing import STAY, Standing

pytestmark = pytest.mark.timeout(900)

HOST = "agent1"
SCOPE = "paddock-tasks.scope"
TEN = {f"ten{number}": 10 + number for number in range(10)}


@pytest.fixture
def standing(whole: Testbed) -> Iterator[Standing]:
    with Standing(whole, "scope") as tasks:
        yield tasks


def on_host(testbed: Testbed, *words: str) -> str:
    done = testbed.exec(HOST, *words, timeout_s=120)
    assert done.returncode == 0, (words, done.stdout, done.stderr, testbed.last_words())
    return done.stdout.strip()


def main_pid(testbed: Testbed) -> int:
    return int(on_host(testbed, "systemctl", "show", "--value", "-p", "MainPID", "agentd"))


def agentd_is_another(testbed: Testbed, before: int) -> None:
    until(lambda: main_pid(testbed) not in {0, before}, testbed.last_words)


def kill_agentd(testbed: Testbed) -> None:
    before = main_pid(testbed)
    on_host(testbed, "kill", "-KILL", str(before))
    agentd_is_another(testbed, before)


def kill_both(testbed: Testbed) -> None:
    before = main_pid(testbed)
    on_host(testbed, "kill", "-STOP", str(before))
    kill_launcher(testbed, HOST)
    on_host(testbed, "kill", "-KILL", str(before))
    agentd_is_another(testbed, before)


TROUBLES: tuple[tuple[str, Callable[[Testbed], object]], ...] = (
    ("kill-9-launcher", lambda testbed: kill_launcher(testbed, HOST)),
    ("kill-9-agentd", kill_agentd),
    ("kill-9-both", kill_both),
    ("restart", lambda testbed: on_host(testbed, "systemctl", "restart", "agentd")),
    ("daemon-reload", lambda testbed: on_host(testbed, "systemctl", "daemon-reload")),
    ("daemon-reexec", lambda testbed: on_host(testbed, "systemctl", "daemon-reexec")),
)


def cgroups(standing: Standing) -> dict[str, str]:
    """Of the process of each task: in every hierarchy its place."""
    # The oldest: what it has forked bears its words, until it is another program.
    script = 'pid=$(pgrep -o -f "$1") && echo "$pid" && cat /proc/$pid/cgroup'
    return {
        task: on_host(standing.testbed, "sh", "-c", script, "sh", f"^/bin/sh -c .*{standing.id(task)}$") for task in TEN
    }


def test_ten_tasks_go_on_through_every_end_and_start_of_what_is_above_them(standing: Standing) -> None:
    testbed = standing.testbed
    for task, code in TEN.items():
        standing.launch(task, HOST, f"{STAY}{code}")
    for task in TEN:
        standing.becomes(task, "RUNNING")
    places = cgroups(standing)
    assert all(SCOPE in place and "/paddock-" in place for place in places.values()), places
    for name, happen in TROUBLES:
        happen(testbed)
        testbed.await_ready()
        # The next launch: on the same host, by the launcher that is there now.
        assert standing.run(name, HOST, "exit 7")["exit_code"] == 7, name
        assert cgroups(standing) == places, name
        assert on_host(testbed, "systemctl", "is-active", SCOPE) == "active"
    standing.let_go(HOST)
    for task, code in TEN.items():
        standing.becomes(task, "FAILED")
        assert standing.heard(task)[-1]["exit_code"] == code
        # Where a start takes longer than the master waits here, it may have said so meanwhile.
        assert set(standing.states(task)) <= {"STARTING", "RUNNING", "UNREACHABLE", "FAILED"}
    lines = standing.stayed(HOST)
    assert sorted(lines) == sorted(f"{standing.id(task)} {what}" for task in TEN for what in ("begin", "end"))


def test_stopping_the_scope_ends_the_tasks_and_each_end_is_told_as_it_was(standing: Standing) -> None:
    testbed = standing.testbed
    lines = {"plain": "exec sleep 1000", "trapping": "trap 'exit 23' TERM; echo; while :; do sleep 0.2; done"}
    for task, line in lines.items():
        standing.launch(task, HOST, line)
    for task in lines:
        standing.becomes(task, "RUNNING")
    on_host(testbed, "systemctl", "stop", SCOPE)
    until(lambda: all(map(standing.is_over, lines)), standing.words)
    told = {task: standing.heard(task)[-1] for task in lines}
    assert told["plain"]["signal"] == 15, told
    assert told["trapping"]["exit_code"] == 23, told
    assert standing.run("next", HOST, "exit 7")["exit_code"] == 7
    assert on_host(testbed, "systemctl", "is-active", SCOPE) == "active"


@pytest.fixture
def impatient(whole: Testbed) -> Iterator[Testbed]:
    """systemd gives the scope's processes ten seconds, not ninety."""
    place = f"/run/systemd/system/{SCOPE}.d"
    write = f"mkdir -p {place} && printf '[Scope]\\nTimeoutStopSec=10s\\n' >{place}/impatient.conf && systemctl daemon-reload"
    on_host(whole, "sh", "-c", write)
    yield whole
    on_host(whole, "sh", "-c", f"rm -r {place} && systemctl daemon-reload")


def test_an_agent_that_was_away_tells_who_ended_with_the_scope_and_whose_shim_was_killed(
    impatient: Testbed, standing: Standing
) -> None:
    for task, line in (("heeds", "exec sleep 1000"), ("deaf", "trap '' TERM; while :; do sleep 0.2; done")):
        standing.launch(task, HOST, line)
        standing.becomes(task, "RUNNING")
    on_host(impatient, "systemctl", "stop", "agentd")
    impatient.exec(HOST, "systemctl", "stop", SCOPE)
    until(lambda: impatient.exec(HOST, "systemctl", "is-active", SCOPE).stdout != "active\n", impatient.last_words)
    on_host(impatient, "systemctl", "start", "agentd")
    for task in ("heeds", "deaf"):
        standing.becomes(task, "FAILED")
    assert standing.heard("heeds")[-1]["signal"] == 15, standing.words()
    assert standing.heard("deaf")[-1]["reason"] == "SUPERVISOR_LOST", standing.words()
    assert standing.run("next", HOST, "exit 7")["exit_code"] == 7
