"""Launch figures: one whole life of /bin/true, against crun's of the same, spaced, tight and four at once."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.agent import Agent
from bench.limits import UnfairError, check_limits
from bench.pairing import Pairs, measure_pairs
from bench.peer_process import NAME_PREFIX
from bench.peers import CGROUP_ROOT, Peers
from bench.table import Figure, Goal

SPACE_S = 0.3
SPACED_PAIRS = 40
TIGHT_PAIRS = 150
BESIDE_PAIRS = 15
RATE_PAIRS = 7
RATE_LAUNCHES = 200
IN_FLIGHT = 4

SPACED_GOAL = Goal(at_most=0.38)
TIGHT_GOAL = Goal(at_most=0.85)
RATE_GOAL = Goal(at_least=1.3)


async def measure(agent: Agent, peers: Peers) -> list[Figure]:
    """All launch figures; first it is checked that both sides are asked for the same."""
    await check_fairness(agent, peers)
    spaced = await measure_pairs(agent.run_true, lambda: peers.run_one("crun"), count=SPACED_PAIRS, pause_s=SPACE_S)
    tight = await measure_pairs(agent.run_true, lambda: peers.run_one("crun"), count=TIGHT_PAIRS)
    figures = [
        _ratio("launch_spaced_vs_crun", spaced, SPACED_GOAL),
        *_milliseconds("launch_spaced", spaced),
        _ratio("launch_tight_vs_crun", tight, TIGHT_GOAL),
        *_milliseconds("launch_tight", tight),
    ]
    for peer in ("runc", "bwrap", "plain"):
        beside = await measure_pairs(agent.run_true, partial(peers.run_one, peer), count=BESIDE_PAIRS)
        value_ms = beside.their_median() * 1000
        name = f"launch_tight_{peer}_ms"
        figures.append(Figure(name=name, value=value_ms, unit="ms", peer=_PEER_TEXT[peer], runs=beside.count()))
    return [*figures, *await _rates(agent, peers)]


async def check_fairness(agent: Agent, peers: Peers) -> None:
    """Read the limits back from the kernel inside one launch of each kind, and see that nothing of ours stays."""
    container = await agent.start_sleeper()
    check_limits(container.pid, "Paddock")
    await agent.end(container)
    left = [path for path in container.cgroup_paths if Path(path).exists()]
    if left or not container.cgroup_paths:
        raise UnfairError(f"Paddock: the container ended, and its cgroups are there: {left}")
    for peer in ("crun", "runc"):
        await peers.up(peer, count=1, in_flight=1)
        pids = [
            text for path in CGROUP_ROOT.glob(f"**/{NAME_PREFIX}*/cgroup.procs") for text in path.read_text().split()
        ]
        for pid in {int(text) for text in pids}:
            check_limits(pid, peer)
        if not pids:
            raise UnfairError(f"{peer}: its container is in no cgroup")
        await peers.down(in_flight=1)


async def _rates(agent: Agent, peers: Peers) -> list[Figure]:
    async def ours() -> float:
        return RATE_LAUNCHES / await agent.run_many(count=RATE_LAUNCHES, in_flight=IN_FLIGHT)

    async def theirs() -> float:
        return RATE_LAUNCHES / await peers.run_many("crun", count=RATE_LAUNCHES, in_flight=IN_FLIGHT)

    rates = await measure_pairs(ours, theirs, count=RATE_PAIRS)
    unit, text = "launches/s", f"crun run, {IN_FLIGHT} in flight"
    return [
        _ratio("launch_rate_vs_crun", rates, RATE_GOAL, text),
        Figure(name="launch_rate", value=rates.our_median(), unit=unit, runs=rates.count()),
        Figure(name="launch_rate_crun", value=rates.their_median(), unit=unit, peer=text, runs=rates.count()),
    ]


_PEER_TEXT = {
    "crun": "crun run",
    "runc": "runc run",
    "bwrap": "bwrap, without limits",
    "plain": "posix_spawn, no container",
}


def _ratio(name: str, pairs: Pairs, goal: Goal, peer: str = _PEER_TEXT["crun"]) -> Figure:
    return Figure(name=name, value=pairs.ratio(), unit="ratio", peer=peer, goal=goal, runs=pairs.count())


def _milliseconds(name: str, pairs: Pairs) -> list[Figure]:
    ours, theirs = pairs.our_median() * 1000, pairs.their_median() * 1000
    return [
        Figure(name=f"{name}_ms", value=ours, unit="ms", runs=pairs.count()),
        Figure(name=f"{name}_crun_ms", value=theirs, unit="ms", peer=_PEER_TEXT["crun"], runs=pairs.count()),
    ]
