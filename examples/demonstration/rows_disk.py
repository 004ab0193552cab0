"""Row 5: a task that fills its disk."""

from __future__ import annotations

from examples.demonstration.row import Row, Seen, judge
from examples.demonstration.session import Session, Wish
from paddock.model.task import DiskEvidence, Reason, TaskState

MIB = 1 << 20
LIMIT_MIB = 16
MARGIN_MS = 2_000
"""For the kill, the last flush and the status: what comes after du has counted, on a machine that has time for it."""

# 20 MiB/s: 2 MiB each tenth of a second. The task tells itself when it begins to write what reaches the limit: with the
# directories it is passed then, and what is told after the write may come too late on a busy machine.
_WRITER = f"""
import os, time
os.mkdir("big"); os.mkdir("small"); begin = time.monotonic()
for piece in range(80):
    if (piece + 1) * 2 == {LIMIT_MIB}:
        print(time.time_ns(), flush=True)
    with open(f"{{'small' if piece % 5 == 4 else 'big'}}/{{piece}}", "wb") as file:
        file.write(os.urandom({2 * MIB}))
    time.sleep(max(begin + (piece + 1) / 10 - time.monotonic(), 0))
"""
MEM_MIB = 224
"""Where the sandbox stands on a tmpfs, all that is written counts as memory: that bound must not be the one that is met."""


async def act(session: Session) -> Seen:
    """The time from passing the limit to the end, against the interval and du's own time."""
    late_before_ms = session.late_ms
    arguments = ("python3", "-c", _WRITER)
    task = await session.launch(
        Wish(name="writes", arguments=arguments, cpus_milli=200, mem_mib=MEM_MIB, disk_mib=LIMIT_MIB)
    )
    status = await task.ended()
    passed = (await task.read_all("stdout")).split()
    ended_ns = await task.ended_ns()
    disk = (status.evidence.disk if status.evidence else None) or DiskEvidence(limit_bytes=0, used_bytes=0)
    took_ms = (ended_ns - int(passed[0])) // 1_000_000 if passed else None
    allowed_ms = disk.interval_ms + disk.du_duration_ms + MARGIN_MS + session.late_ms - late_before_ms
    names = [directory.path for directory in disk.largest]
    holds, failed = judge(
        {
            "TASK_FAILED": status.state is TaskState.FAILED,
            "the disk reason": status.reason == Reason.CONTAINER_LIMITATION_DISK,
            "interval of 1 s": disk.interval_ms == 1000,
            "ended in time": took_ms is not None and took_ms <= allowed_ms,
            "largest directories named": any("big" in name for name in names),
        }
    )
    when = "before it reached the limit" if took_ms is None else f"{took_ms} ms after passing the limit"
    text = (
        f"{status.state.name} {when} (interval {disk.interval_ms} ms, du "
        f"{disk.du_duration_ms} ms): "
        f"{disk.used_bytes / MIB:.1f} of {disk.limit_bytes // MIB} MiB, largest {', '.join(names[:3]) or 'not named'}"
    )
    return Seen(text=text + failed, as_expected=holds)


ROWS = (
    Row(
        number=5,
        title="more disk than asked",
        asked=f"disk {LIMIT_MIB} MiB; 20 MiB/s written; accounting each second",
        expected="ended within one interval plus du's own time, largest directories named",
        act=act,
    ),
)
