"""Three hosts with systemd, from the built package: each kind of trouble, and no task is lost and no word about it untrue."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.debian import ImageError
from testbed.three_hosts import AGENTS, MASTER, Testbed
from tests.testbed.patience import PATIENCE_S, until

pytestmark = pytest.mark.timeout(900)  # where nothing is in the cache yet

FRAMEWORK = (Path(__file__).parent / "counting_framework.py").read_text(encoding="utf-8")
COUNT = "n=0; while :; do n=$((n + 1)); echo $n; sleep 0.2; done"


class Counting:
    """A task that counts, and its framework on some host, which waits for it through everything."""

    def __init__(self, testbed: Testbed, name: str, framework_on: str) -> None:
        self.testbed = testbed
        self.name = name
        self.framework_on = framework_on
        words = ["/opt/paddock/bin/python", "-c", FRAMEWORK, "10.77.0.10:5050", name, COUNT]
        command = testbed.hosts[framework_on].command(words)
        self._heard = testbed.directory / f"{name}.heard"
        with self._heard.open("ab") as heard:
            self._run = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=heard, stderr=heard)
        until(lambda: self.state == "RUNNING", lambda: f"{name} does not run: {testbed.last_words()}")
        self.first = self.view

    @property
    def view(self) -> dict[str, Any]:
        """As the master tells it; empty while it tells nothing."""
        done = self.testbed.exec(MASTER, "paddock", "ps", "-a", "-o", "json")
        tasks = json.loads(done.stdout) if done.returncode == 0 else []
        return next((task for task in tasks if task["task"]["name"] == self.name), {})

    @property
    def state(self) -> str:
        return str(self.view.get("state", "")).removeprefix("TASK_")

    @property
    def host(self) -> str:
        return str(self.first["hostname"])

    @property
    def states(self) -> list[str]:
        """All that its framework heard, oldest first."""
        return self._heard.read_text(encoding="utf-8").split()

    def becomes(self, state: str) -> None:
        until(lambda: self.state == state, lambda: f"{self.view} is not {state}\n{self.testbed.last_words()}")

    def numbers(self) -> list[int]:
        """What it has written, read on its own host: one process and no gap."""
        find = f"cat $(find /var/lib/paddock/work -name stdout -path '*{self.task_id}*')"
        done = self.testbed.exec(self.host, "sh", "-c", find)
        assert done.returncode == 0, done.stderr
        return [int(line) for line in done.stdout.split()]

    @property
    def task_id(self) -> str:
        return str(self.first["task"]["task_id"])

    def goes_on_as_the_same(self) -> None:
        """The same container, the same process, counting without a gap."""
        before = self.numbers()
        until(lambda: len(self.numbers()) > len(before), lambda: f"it stands still: {self.view}")
        numbers = self.numbers()
        assert numbers == list(range(1, len(numbers) + 1))
        now = self.view
        assert (now["container_id"], now["agent_id"]) == (self.first["container_id"], self.first["agent_id"])

    def end(self) -> None:
        """Its end is its framework's."""
        if self._run.poll() is None and self.view["framework_id"]:
            self._end_task()
        self._run.wait(PATIENCE_S)

    def _end_task(self) -> None:
        self.testbed.exec(MASTER, "paddock", "kill", self.task_id, "--grace=0")
        until(lambda: self.state not in {"RUNNING", "UNREACHABLE", ""}, lambda: f"it does not end: {self.view}")


@pytest.fixture
def counting(whole: Testbed, request: pytest.FixtureRequest) -> Iterator[Counting]:
    """Its framework is on the master's host."""
    kind = request.node.callspec.id if hasattr(request.node, "callspec") else request.node.name[-30:].replace("_", "-")
    task = Counting(whole, f"counting-{kind}", MASTER)
    yield task
    whole.heal()
    whole.await_ready()
    task.end()


def test_a_task_runs_on_another_host_and_tells_its_host_and_journal(whole: Testbed) -> None:
    done = whole.exec(
        MASTER, "paddock", "run", "--name=greeting", "--", "sh", "-c", "hostname; echo trouble >&2; exit 7"
    )
    assert (done.returncode, done.stdout.strip() in AGENTS) == (7, True), done
    assert "trouble" in done.stderr
    host = done.stdout.strip()
    (task,) = [
        each
        for each in json.loads(whole.exec(MASTER, "paddock", "ps", "-a", "-o", "json").stdout)
        if each["task"]["name"] == "greeting"
    ]
    lines: list[dict[str, str]] = []
    deadline_s = time.monotonic() + 60
    # Whoever waits for the task is told before the journal is.
    while not lines or "container has ended" not in lines[-1]["MESSAGE"]:
        assert time.monotonic() < deadline_s, lines
        asked = whole.exec(host, "journalctl", "-o", "json", f"PADDOCK_TASK_ID={task['task']['task_id']}")
        lines = [json.loads(line) for line in asked.stdout.splitlines()]
    assert "container runs" in lines[0]["MESSAGE"]
    assert {line["PADDOCK_CONTAINER_ID"] for line in lines} == {task["container_id"]}
    assert {line["PADDOCK_FRAMEWORK_ID"] for line in lines} == {task["framework_id"]}
    assert {line["_SYSTEMD_UNIT"] for line in lines} == {"agentd.service"}


def test_the_services_are_what_their_units_say(whole: Testbed) -> None:
    for host, unit in ((MASTER, "masterd"), *((agent, "agentd") for agent in AGENTS)):
        shown = whole.exec(host, "systemctl", "show", f"{unit}.service", "-p", "StatusText,WatchdogUSec,NRestarts,User")
        values = dict(line.split("=", 1) for line in shown.stdout.splitlines())
        assert values["StatusText"].startswith("master " if host == MASTER else "agent ")
        assert values["WatchdogUSec"] == "30s"
        assert values["User"] == ("paddock" if host == MASTER else "")
        assert whole.exec(host, "systemctl", "--failed", "--no-legend").stdout.strip() == ""
        assert "serves other machines without encryption" in whole.exec(host, "journalctl", "-u", unit).stdout


def test_restart_reload_and_a_hang_of_agentd_touch_no_task(counting: Counting) -> None:
    testbed, host = counting.testbed, counting.host
    for words in (["reload", "agentd"], ["restart", "agentd"], ["kill", "-s", "KILL", "agentd"]):
        assert testbed.exec(host, "systemctl", *words).returncode == 0
        testbed.await_ready()
    counting.goes_on_as_the_same()
    # Where a start takes longer than the master waits here, it may have said so meanwhile.
    assert set(counting.states) <= {"RUNNING", "UNREACHABLE"}
    counting.becomes("RUNNING")


def test_a_crashed_agent_host_is_told_and_its_tasks_end_is_told_when_it_is_back(counting: Counting) -> None:
    counting.testbed.crash(counting.host)
    counting.becomes("UNREACHABLE")
    counting.testbed.heal()
    counting.testbed.await_ready()
    until(lambda: counting.state not in {"UNREACHABLE", "RUNNING"}, lambda: str(counting.view))
    last = counting.view["statuses"][-1]
    assert counting.states[:2] == ["RUNNING", "UNREACHABLE"]
    assert "reboot" in (last["reason"] + last["message"]).lower(), last


@pytest.mark.parametrize(
    "kind",
    [
        "frozen",
        "agent-unheard",
        pytest.param("apart-both-ways", marks=pytest.mark.long),
        pytest.param("master-unheard", marks=pytest.mark.long),
    ],
)
def test_an_agent_out_of_reach_is_told_and_its_task_is_the_same_afterwards(counting: Counting, kind: str) -> None:
    testbed, host = counting.testbed, counting.host
    match kind:
        case "frozen":
            testbed.freeze(host)
        case "apart-both-ways":
            testbed.partition(host, MASTER)
        case "agent-unheard":
            testbed.partition(host, MASTER, one_way=True)
        case _:
            testbed.partition(MASTER, host, one_way=True)
    counting.becomes("UNREACHABLE")
    testbed.heal()
    counting.becomes("RUNNING")
    counting.goes_on_as_the_same()
    until(lambda: counting.states[1:][-1:] == ["RUNNING"], lambda: str(counting.states))
    # Where the machine itself stands still for seconds, it is out of reach once more.
    seen = counting.states
    assert seen[:3] == ["RUNNING", "UNREACHABLE", "RUNNING"]
    assert seen == (["RUNNING", "UNREACHABLE"] * len(seen))[: len(seen)]


def test_a_masters_host_that_crashes_and_comes_back_has_lost_no_task(whole: Testbed) -> None:
    """The framework is on an agent's host: it must outlive the master's."""
    task = Counting(whole, "outlives-the-master", AGENTS[0])
    whole.crash(MASTER)
    before = task.numbers()
    until(lambda: len(task.numbers()) > len(before) + 5, lambda: "it stands still without a master")
    whole.heal()
    until(lambda: whole.exec(MASTER, "paddock", "frameworks").returncode == 0, whole.last_words)
    answers_s = time.monotonic()
    whole.await_ready()
    task.becomes("RUNNING")
    # Two to three seconds, and twice that where the machine is busy; more than the longest wait of gRPC's own would be wrong.
    assert time.monotonic() - answers_s < 30
    task.goes_on_as_the_same()
    assert set(task.states) <= {"RUNNING", "UNREACHABLE"}
    task.end()


@pytest.mark.long
def test_a_slow_link_delays_and_loses_nothing(counting: Counting) -> None:
    counting.testbed.slow(counting.host, 256)
    done = counting.testbed.exec(MASTER, "paddock", "logs", counting.task_id)
    assert [int(line) for line in done.stdout.split()][:3] == [1, 2, 3], done.stderr
    counting.goes_on_as_the_same()
    assert counting.states == ["RUNNING"]


def test_the_verbs_work_from_another_process(whole: Testbed) -> None:
    def verb(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "testbed", "--directory", str(whole.directory), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)

    assert verb("exec", "agent1", "--", "sh", "-c", "hostname; exit 3").stdout == "agent1\n"
    assert verb("exec", "agent1", "false").returncode == 1
    assert verb("crash", "agent2").returncode == 0
    done = verb("exec", "agent2", "true")
    assert (done.returncode, done.stderr) == (1, "testbed: cannot exec on agent2: it is down; `heal` boots it\n")
    assert verb("heal").returncode == 0
    assert verb("partition", "agent1", "agent1").returncode == 2
    assert verb("slow", "agent1", "1").returncode == 2
    ours, theirs = whole.hosts["agent2"], Testbed.load(whole.directory).hosts["agent2"]
    assert theirs.is_up
    assert ours.child is not None
    ours.child.wait(30)
    ours.child, ours.nspawn, ours.leader = None, theirs.nspawn, theirs.leader


def test_a_second_one_in_its_place_and_none_at_all_are_said(whole: Testbed, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="`down` ends the testbed in it"):
        Testbed.up(whole.directory)
    with pytest.raises(ImageError, match="`up` makes one"):
        Testbed.load(tmp_path / "none")


def test_nothing_of_it_is_in_this_machines_network(whole: Testbed) -> None:
    assert not {"bridge", MASTER, *AGENTS} & set(os.listdir("/sys/class/net"))
