"""Short tasks that come and go on the three hosts while something happens to them, and what is true of them afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed.three_hosts import ADDRESSES, AGENTS, MASTER, MASTER_PORT, Testbed
from tests.testbed import load_framework

ENDS_TIMEOUT_S = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`told`: how many were told to have ended in each state. The rest are faults, one line each."""

    told: dict[str, int]
    lost: tuple[str, ...]
    duplicated: tuple[str, ...]
    left_behind: tuple[str, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """Empty when all is well."""
        return (*self.lost, *self.duplicated, *self.left_behind)

    def __str__(self) -> str:
        """The figures."""
        counts = f"{len(self.lost)} lost, {len(self.duplicated)} duplicated, {len(self.left_behind)} left behind"
        return f"{sum(self.told.values())} tasks, {counts}; told: {self.told}"


class Load:
    """Use it as `with`, let something happen inside, and ask for its `verdict` when all is well again."""

    def __init__(self, testbed: Testbed, name: str, in_flight_count: int = 6) -> None:
        """Nothing is started yet."""
        self._testbed = testbed
        self._name = name
        master = f"{ADDRESSES[MASTER]}:{MASTER_PORT}"
        words = [sys.executable, load_framework.__file__, master, name, str(in_flight_count)]
        self._command = testbed.outside(words)

    def __enter__(self) -> Self:
        """Under way."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing of it runs here."""
        self._process.kill()
        self._process.communicate()

    def begun_count(self) -> int:
        """How many tasks have begun on hosts that are up."""
        return sum(line.endswith(" begin") for agent in AGENTS for line in self._ran(agent))

    def verdict(self, crashed: frozenset[str] = frozenset()) -> Verdict:
        """Once every task has ended. `crashed`: hosts whose power was gone meanwhile, with what ran there."""
        out, _ = self._process.communicate(timeout=ENDS_TIMEOUT_S)
        told: dict[str, list[tuple[str, str, str]]] = json.loads(out)
        ran = Counter(line for agent in AGENTS for line in self._ran(agent))
        on_crashed = {line.split()[0] for agent in crashed for line in self._ran(agent)}
        return Verdict(
            told=dict(Counter(end(heard) for heard in told.values())),
            lost=tuple(
                f"{task}: {heard}, and it ran: {ran[f'{task} begin']}"
                for task, heard in told.items()
                if is_lost(heard, ran[f"{task} begin"], ran[f"{task} end"], on_crashed_host=task in on_crashed)
            ),
            duplicated=tuple(
                f"{task}: {heard}, and it ran: {ran[f'{task} begin']}"
                for task, heard in told.items()
                if ran[f"{task} begin"] > 1 or len(ends(heard)) > 1
            ),
            left_behind=tuple(left for agent in AGENTS for left in self._left(agent)),
        )

    def _ran(self, agent: str) -> list[str]:
        path = Path(self._testbed.hosts[agent].upper, "var/tmp/ran")
        lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
        return [line for line in lines if line.startswith(f"{self._name}-")]

    def _left(self, agent: str) -> list[str]:
        """Processes of the tasks, and containers' cgroups."""
        found = self._testbed.exec(agent, "pgrep", "-a", "-f", f"/var/tmp/ran; .*{self._name}-").stdout.splitlines()
        agents = r"'.*/paddock-[0-9a-f]{12}/[^/]+'"
        find = f"find /sys/fs/cgroup -regextype posix-extended -type d -regex {agents} ! -name launcher"
        return [
            f"{agent}: {line}" for line in (*found, *self._testbed.exec(agent, "sh", "-c", find).stdout.splitlines())
        ]


def ends(heard: list[tuple[str, str, str]]) -> set[tuple[str, str]]:
    """What its agent told as its end: more than one is a lie."""
    return {
        (state, uuid) for state, uuid, _ in heard if uuid and state in {"FINISHED", "FAILED", "KILLED", "ERROR", "LOST"}
    }


def end(heard: list[tuple[str, str, str]]) -> str:
    """The state that it was last told to be in."""
    return heard[-1][0] if heard else "nothing"


def is_lost(heard: list[tuple[str, str, str]], begun: int, ended: int, *, on_crashed_host: bool) -> bool:
    """Not told as it was: one that has begun came to its end and is told so, unless its host took it along; one that never
    began is told to have failed to begin.
    """
    if end(heard) == "FINISHED":
        return ended != 1
    return begun > 0 and not on_crashed_host
