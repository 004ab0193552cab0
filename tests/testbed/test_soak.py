"""Random trouble on three hosts, one thing after another, while tasks come and go: none lost, none twice, none left behind."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

import pytest

from testbed.three_hosts import AGENTS, MASTER, OUTSIDE, Testbed
from tests.testbed.launcher import kill_launcher
from tests.testbed.load import Load, ends, is_lost
from tests.testbed.patience import until

SEED = "PADDOCK_TESTBED_SEED"
_LONGEST_TROUBLE_S = 6.0
_QUIET_S = 2.0


class Trouble:
    """One thing after another. Each kind comes once before any comes again; which, where and how long is the seed's."""

    def __init__(self, testbed: Testbed, random: Random) -> None:
        """Nothing has happened yet."""
        self.testbed = testbed
        self.random = random
        self.done: Counter[str] = Counter()
        self.crashed_agents: set[str] = set()
        self._kinds: tuple[Callable[[str], None], ...] = (
            self.agent_crashes,
            self.agent_hangs,
            self.agent_and_master_apart,
            self.one_way,
            self.agent_and_framework_apart,
            self.master_and_framework_apart,
            self.slow,
            self.agentd_killed,
            self.masterd_killed,
            self.launcher_killed,
            self.masterd_restarted,
            self.master_crashes,
        )

    def next_ones(self) -> Iterator[Callable[[str], None]]:
        """For ever."""
        for _ in itertools.count():
            yield from self.random.sample(self._kinds, len(self._kinds))

    def happen(self, kind: Callable[[str], None]) -> None:
        """It lasts some seconds, then all is well again."""
        agent = self.random.choice(AGENTS)
        kind(agent)
        self.done[kind.__name__] += 1
        time.sleep(self.random.uniform(0.5, _LONGEST_TROUBLE_S))
        self.testbed.heal()
        self.testbed.await_ready()
        time.sleep(_QUIET_S)

    def agent_crashes(self, agent: str) -> None:
        self.crashed_agents.add(agent)
        self.testbed.crash(agent)

    def master_crashes(self, _: str) -> None:
        self.testbed.crash(MASTER)

    def agent_hangs(self, agent: str) -> None:
        self.testbed.freeze(agent)

    def agent_and_master_apart(self, agent: str) -> None:
        self.testbed.partition(agent, MASTER)

    def one_way(self, agent: str) -> None:
        ends = self.random.sample((agent, MASTER), 2)
        self.testbed.partition(*ends, one_way=True)

    def agent_and_framework_apart(self, agent: str) -> None:
        self.testbed.partition(agent, OUTSIDE)

    def master_and_framework_apart(self, _: str) -> None:
        self.testbed.partition(MASTER, OUTSIDE, one_way=self.random.random() < 0.5)

    def slow(self, agent: str) -> None:
        self.testbed.slow(agent, 64)

    def agentd_killed(self, agent: str) -> None:
        self.testbed.exec(agent, "systemctl", "kill", "-s", "KILL", "agentd")

    def masterd_killed(self, _: str) -> None:
        self.testbed.exec(MASTER, "systemctl", "kill", "-s", "KILL", "masterd")

    def masterd_restarted(self, _: str) -> None:
        self.testbed.exec(MASTER, "systemctl", "restart", "masterd")

    def launcher_killed(self, agent: str) -> None:
        kill_launcher(self.testbed, agent)


def soak(testbed: Testbed, duration_s: float, capsys: pytest.CaptureFixture[str]) -> None:
    seed = os.environ.get(SEED) or str(Random().getrandbits(32))
    trouble = Trouble(testbed, Random(seed))
    with capsys.disabled():
        print(f"\nthree hosts: {duration_s:g} s of trouble, {SEED}={seed}")
    end_s = time.monotonic() + duration_s
    with Load(testbed, f"soak{duration_s:.0f}") as load:
        for kind in trouble.next_ones():
            trouble.happen(kind)
            if time.monotonic() > end_s:
                break
        verdict = load.verdict(frozenset(trouble.crashed_agents))
    with capsys.disabled():
        print(f"  {dict(trouble.done)}\n  {verdict}")
    assert not verdict.faults, "\n".join(verdict.faults)
    assert verdict.told["FINISHED"] > 10
    until(lambda: running(testbed) == [], lambda: str(running(testbed)))


def running(testbed: Testbed) -> list[str]:
    """As the master tells it."""
    return [each["task"]["task_id"] for each in json.loads(testbed.exec(MASTER, "paddock", "ps", "-o", "json").stdout)]


@pytest.mark.parametrize(
    ("states", "begun", "ended", "on_crashed_host", "lost"),
    [
        (["RUNNING", "FINISHED"], 1, 1, False, False),
        (["RUNNING", "UNREACHABLE", "RUNNING", "FINISHED"], 1, 1, False, False),
        (["DROPPED"], 0, 0, False, False),
        (["GONE"], 1, 0, True, False),
        (["RUNNING", "FINISHED"], 0, 0, False, True),
        (["RUNNING", "FINISHED"], 1, 0, False, True),
        (["RUNNING", "GONE"], 1, 1, False, True),
        (["DROPPED"], 1, 1, False, True),
    ],
)
def test_what_is_lost_is_seen(states: list[str], begun: int, ended: int, on_crashed_host: bool, lost: bool) -> None:
    heard = [(state, "", "") for state in states]
    assert is_lost(heard, begun, ended, on_crashed_host=on_crashed_host) is lost


def test_two_ends_are_seen() -> None:
    assert len(ends([("FINISHED", "aa", ""), ("FINISHED", "aa", ""), ("GONE", "", "")])) == 1
    assert len(ends([("FINISHED", "aa", ""), ("FAILED", "bb", "")])) == 2


@pytest.mark.timeout(900)
def test_a_minute_of_random_trouble_loses_doubles_and_leaves_nothing(
    whole: Testbed, capsys: pytest.CaptureFixture[str]
) -> None:
    soak(whole, 60, capsys)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_twenty_minutes_of_random_trouble_lose_double_and_leave_nothing(
    whole: Testbed, capsys: pytest.CaptureFixture[str]
) -> None:
    soak(whole, float(os.environ.get("PADDOCK_TESTBED_SOAK_S") or 1200), capsys)
