"""Row 2: two busy tasks share one CPU as they asked."""

from __future__ import annotations

import asyncio
import os

from examples.demonstration.row import Row, Seen, judge
from examples.demonstration.session import RunningTask, Session, Wish

ENOUGH_US = 2_000_000
"""CPU time of both together that makes a ratio sure; a machine that is busy with other things needs longer for it."""

LONGEST_S = 15.0
LEAST_US = 300_000
TOLERANCE_POINTS = 3.0
_BUSY = "taskset -c {cpu} sh -c 'while :; do :; done'"


async def act(session: Session) -> Seen:
    """Compare the kernel's CPU time of both over one window: other programs on that CPU slow both, not their ratio."""
    cpu = max(os.sched_getaffinity(0))
    quarter, rest = [
        await session.launch(Wish(name=f"busy-{milli}", shell=_BUSY.format(cpu=cpu), cpus_milli=milli, mem_mib=32))
        for milli in (250, 750)
    ]
    await asyncio.gather(quarter.running(), rest.running())
    await asyncio.sleep(0.5)
    before = await _cpu_times_us(quarter, rest)
    if before is None:
        return Seen(text="the agent measures no CPU time of the tasks", as_expected=False)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    used_us = [0, 0]
    while sum(used_us) < ENOUGH_US and loop.time() - began_s < LONGEST_S:
        await asyncio.sleep(0.5)
        after = await _cpu_times_us(quarter, rest) or before
        used_us = [late - early for early, late in zip(before, after, strict=True)]
    took_s = loop.time() - began_s
    share = 100 * used_us[0] / max(sum(used_us), 1)
    holds, failed = judge(
        {
            f"within {TOLERANCE_POINTS:.0f} points": abs(share - 25) <= TOLERANCE_POINTS,
            "enough was measured": sum(used_us) >= LEAST_US,
        }
    )
    text = f"{share:.1f} % / {100 - share:.1f} % of {sum(used_us) / 1e6:.2f} s CPU time in {took_s:.1f} s on CPU {cpu}"
    return Seen(text=text + failed, as_expected=holds)


async def _cpu_times_us(*tasks: RunningTask) -> list[int] | None:
    """Asked for together: between two answers a machine that stands still would make one of them older."""
    ids = tuple([await task.running() for task in tasks])
    views = await tasks[0].agent.list_statistics(ids)
    times = {view.container_id: view.statistics.cpu_usage_us for view in views}
    known = [time for container_id in ids if (time := times.get(container_id)) is not None]
    return known if len(known) == len(ids) else None


ROWS = (
    Row(
        number=2,
        title="two busy tasks on one CPU",
        asked="cpus 0.25 and 0.75, both pinned to one CPU",
        expected=f"CPU time split 25 % / 75 % (± {TOLERANCE_POINTS:.0f} points)",
        act=act,
    ),
)
