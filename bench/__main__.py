"""`python -m bench [--only NAME]`: measures, prints one table, writes build/bench.json.

NAME is a part (allocator, docker, launch, memory, thousand, statistics, recovery, master, loop_lag) or one figure's name, which
runs the part that has it.
Exit code 0 when everything could be measured, whether or not the goals are reached; 1 otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench import allocator, docker, launch, loop_lag, master, memory, recovery, statistics, thousand
from bench.agent import Agent, LaunchError
from bench.cluster import running_agent
from bench.limits import UnfairError
from bench.master import MasterBenchError
from bench.peer_process import PeerError
from bench.peers import TREE, Peers, running_peers
from bench.statistics import NotMeasurableError
from bench.table import Figure, render, write_json
from paddock.model.errors import PaddockError

REPORT = TREE / "build" / "bench.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Figures that are measured together, by their fixed names."""

    name: str
    figures: tuple[str, ...]
    measure: Callable[[Agent, Peers], Awaitable[list[Figure]]]


PARTS = (
    Part(
        name="launch",
        figures=("launch_spaced_vs_crun", "launch_tight_vs_crun", "launch_rate_vs_crun"),
        measure=launch.measure,
    ),
    Part(name="memory", figures=("shim_pss_kib",), measure=memory.measure),
    Part(name="thousand", figures=("thousand_up_s", "thousand_down_s"), measure=thousand.measure),
    Part(
        name="statistics",
        figures=("stats_vs_cgroupspy",),
        measure=lambda agent, _peers: statistics.measure(agent),
    ),
    Part(
        name="allocator",
        figures=(
            "cycle_1k_100_s",
            "cycle_10k_1k_s",
            "cycle_vs_naive",
            "cycle_50k_1k_s",
            "cycle_exponent",
            "cycle_filtered_ms",
            "cycle_filtered_first_ms",
            "event_p99_ms",
            "cycle_quota_s",
            "cycle_quota_idle_ms",
        ),
        measure=lambda _agent, _peers: allocator.measure_beside(),
    ),
    Part(
        name="recovery",
        figures=("recover_250_s", "recover_500_s", "recover_1000_s", "checkpoint_ms"),
        measure=lambda _agent, _peers: recovery.measure(),
    ),
    Part(
        name="master",
        figures=(
            "master_tasks_per_s",
            "master_bare_tasks_per_s",
            "master_task_cpu_ms",
            "master_bare_task_cpu_ms",
            "master_agent_pss_kib",
            "master_offer_p50_ms",
            "master_offer_p99_ms",
            "master_bare_offer_p50_ms",
            "master_bare_offer_p99_ms",
            "master_start_10k_s",
            "master_start_offer_10k_s",
            "master_start_empty_s",
            "master_start_offer_empty_s",
        ),
        measure=lambda _agent, _peers: master.measure(),
    ),
    Part(
        name="docker",
        figures=("docker_overhead_ms", "native_vs_docker_run"),
        measure=lambda _agent, _peers: docker.measure(),
    ),
    Part(name="loop_lag", figures=("loop_lag_ratio",), measure=lambda agent, _peers: loop_lag.measure(agent)),
)


def main() -> int:
    """The command."""
    arguments = argparse.ArgumentParser(prog="python -m bench", description="Measures Paddock against its peers.")
    arguments.add_argument("--only", metavar="NAME", help="a part or a figure: " + ", ".join(_names()))
    only = arguments.parse_args().only
    chosen = [part for part in PARTS if only in (None, part.name, *part.figures)]
    if not chosen:
        arguments.error(f"there is no part or figure {only!r}; there are {', '.join(_names())}")
    if os.geteuid() != 0:
        print("bench: it makes cgroups and namespaces, so it has to run as root: use sudo", file=sys.stderr)
        return 1
    try:
        figures = asyncio.run(_measure(chosen))
    except (PaddockError, LaunchError, MasterBenchError, NotMeasurableError, PeerError, UnfairError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(render(figures))
    write_json(figures, REPORT)
    print(f"written: {REPORT.relative_to(TREE)}", file=sys.stderr)
    return 0


async def _measure(parts: list[Part]) -> list[Figure]:
    """Each part with an agent of its own: what one leaves in memory is not the next one's figure."""
    figures: list[Figure] = []
    async with running_peers() as peers:
        for part in parts:
            print(f"measuring {part.name} …", end="", file=sys.stderr, flush=True)
            begin_s = time.monotonic()
            async with running_agent() as agent:
                figures += await part.measure(agent, peers)
            print(f" {time.monotonic() - begin_s:.0f} s", file=sys.stderr)
    return figures


def _names() -> list[str]:
    return [name for part in PARTS for name in (part.name, *part.figures)]


if __name__ == "__main__":
    sys.exit(main())
