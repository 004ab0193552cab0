"""Row 6: a fork bomb."""

from __future__ import annotations

import asyncio
import statistics

from examples.demonstration.row import Row, Seen, judge
from examples.demonstration.session import RunningTask, Session, Wish
from paddock.model.errors import PaddockError
from paddock.model.statistics import ResourceStatistics
from paddock.model.task import TaskState

LIMIT_COUNT = 64
LAUNCH_COUNT = 5

# Every process doubles, and tries again when it may not. Where nothing holds it, it stops at 2**8 processes: this is a show.
_BOMB = """
import os, time
for generation in range(8):
    while True:
        try:
            os.fork()
            break
        except OSError:
            time.sleep(0.02)
time.sleep(600)
"""


async def act(session: Session) -> Seen:
    """Launch something small before and during, and let the kernel count the bomb's refusals."""
    before_s = [await _launch_s(session) for _ in range(LAUNCH_COUNT)]
    bomb = await session.launch(
        Wish(name="fork-bomb", arguments=("python3", "-c", _BOMB), cpus_milli=200, mem_mib=512, pids_count=LIMIT_COUNT)
    )
    await bomb.running()
    counted = await _held(bomb)
    during_s = [await _launch_s(session) for _ in range(LAUNCH_COUNT)]
    later = await bomb.statistics()
    ratio = statistics.median(during_s) / statistics.median(before_s)
    most = max(counted.pids_count or 0, later.pids_count or 0)
    refused = later.pids_refused_count or 0
    holds, failed = judge(
        {
            "held at the limit": most == LIMIT_COUNT,
            "refusals counted": refused > 0,
        }
    )
    text = (
        f"{most} of {LIMIT_COUNT} processes, {refused} forks refused; {LAUNCH_COUNT} other launches succeeded meanwhile, "
        f"{statistics.median(during_s) * 1000:.0f} ms each = {ratio:.1f} × the time before"
    )
    return Seen(text=text + failed, as_expected=holds)


async def _held(bomb: RunningTask) -> ResourceStatistics:
    """The statistics once the bomb has met its limit, or after a while what there is."""
    counted = await bomb.statistics()
    for _ in range(200):
        if (counted.pids_refused_count or 0) > 0 or (counted.pids_count or 0) > LIMIT_COUNT:
            break
        await asyncio.sleep(0.1)
        counted = await bomb.statistics()
    return counted


async def _launch_s(session: Session) -> float:
    """From the accepted offer to the terminal status. A launch that fails is a failed row: the error names it."""
    task = await session.launch(Wish(name="small", arguments=("/bin/true",), cpus_milli=100, mem_mib=32))
    status = await task.ended()
    if status.state is not TaskState.FINISHED:
        raise PaddockError(f"the small task beside the bomb: {status.state.name}: {status.message}")
    return task.ended_at_s - task.accepted_at_s


ROWS = (
    Row(
        number=6,
        title="a fork bomb",
        asked=f"a limit of {LIMIT_COUNT} processes; every process forks again and again",
        expected="held at the limit, refusals counted; other launches succeed meanwhile",
        act=act,
    ),
)
