"""Hosts' clocks jump by an hour, forward and back: nothing lasts longer or shorter for it, each time is said as its host's."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from testbed.three_hosts import ADDRESSES, MASTER, Testbed
from tests.testbed.own_clock import OwnClock
from tests.testbed.patience import until
from tests.testbed.standing import STAY, Standing

pytestmark = pytest.mark.timeout(900)

HOST, OTHER = "agent1", "agent2"
HOUR_S = 3600
GRACE_S = 4
REFUSE_S = 6.0
# What a busy machine may put between an event and a look at it; far from an hour.
VAGUE_S = 300
_PINGS = 's/^agent_ping_timeout = "{}"/agent_ping_timeout = "{}"/'


@pytest.fixture
def patient(whole: Testbed) -> Iterator[Testbed]:
    """Its master gives an agent a minute: a slow machine is not taken for a clock that is."""
    settings = "/etc/paddock/masterd.toml"
    assert whole.exec(MASTER, "sed", "-i", _PINGS.format("1s", "15s"), settings).returncode == 0
    yield whole
    assert whole.exec(MASTER, "sed", "-i", _PINGS.format("15s", "1s"), settings).returncode == 0
    assert whole.exec(MASTER, "systemctl", "restart", "masterd").returncode == 0


def killed_with_grace(standing: Standing, task: str, clocks: dict[OwnClock, int]) -> float:
    """How long a task that does not heed its signal lived on, while the clocks were turned."""
    standing.launch(task, HOST, "trap '' TERM; while :; do sleep 0.2; done")
    standing.becomes(task, "RUNNING")
    began_s = time.monotonic()
    kill = ["paddock", "kill", standing.id(task), f"--grace={GRACE_S}s"]
    assert standing.testbed.exec(MASTER, *kill).returncode == 0
    for clock, ahead_s in clocks.items():
        clock.turn(ahead_s)
    standing.becomes(task, "KILLED")
    return time.monotonic() - began_s


def doctor_says(testbed: Testbed, ahead_s: dict[str, int]) -> None:
    """On a host whose own clock is right. `ahead_s`: by who is asked; who does not answer in time is asked again."""
    lines: list[str] = []

    def all_answer() -> bool:
        done = testbed.exec(OTHER, "paddock", "doctor", "--no-headers")
        lines[:] = [" ".join(line.split()) for line in done.stdout.splitlines()]
        return done.returncode == 1 and all(any(f" clock {name} " in line for line in lines) for name in ahead_s)

    until(all_answer, lambda: str(lines))
    for name, seconds in ahead_s.items():
        (line,) = [line for line in lines if f" clock {name} " in line]
        assert line.startswith("wrong "), line
        assert ("s ahead of this host's" if seconds > 0 else "s behind this host's") in line
        assert "chrony" in line


def test_nothing_lasts_longer_or_shorter_and_the_time_is_said_as_the_agents(patient: Testbed) -> None:
    with ExitStack() as stack:
        agents, masters = (stack.enter_context(OwnClock(patient, host)) for host in (HOST, MASTER))
        standing = stack.enter_context(Standing(patient, "clock"))
        refusing = stack.enter_context(Standing(patient, "refusing", refuse_s=REFUSE_S))
        standing.launch("stays", HOST, f"{STAY}3")
        standing.becomes("stays", "RUNNING")
        for ahead_s in (HOUR_S, -HOUR_S):
            until(lambda: bool(refusing.offered_s(OTHER)), refusing.words)
            seen_count = len(refusing.offered_s(OTHER))
            assert killed_with_grace(standing, f"grace{ahead_s}", {agents: ahead_s, masters: -ahead_s}) >= GRACE_S
            told = standing.run(f"told{ahead_s}", HOST, "exit 7")
            assert abs(told["timestamp_ns"] / 1e9 - time.time() - ahead_s) < VAGUE_S
            doctor_says(
                patient,
                {f"agent {ADDRESSES[HOST]}:5051": ahead_s, f"master {ADDRESSES[MASTER]}:5050": -ahead_s},
            )
            until(lambda seen=seen_count: len(refusing.offered_s(OTHER)) > seen, refusing.words)  # type: ignore[misc]
        # Of the host on which nothing runs: more that is free would be offered at once.
        at_s = refusing.offered_s(OTHER)
        assert min(later - sooner for sooner, later in itertools.pairwise(at_s)) >= REFUSE_S, at_s
        # Nobody was taken for lost, neither the agent nor a framework.
        assert standing.states("stays") == ["RUNNING"], standing.words()
        standing.let_go(HOST)
        until(lambda: standing.is_over("stays"), standing.words)
        assert standing.heard("stays")[-1]["exit_code"] == 3
