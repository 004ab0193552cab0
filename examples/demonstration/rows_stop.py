"""Row 8: a task that does not want to stop."""

from __future__ import annotations

import asyncio
import signal

from examples.demonstration.row import Row, Seen, judge
from examples.demonstration.session import Session, Wish
from paddock.model.task import KillPolicy, Reason, StopEvidence, TaskState

GRACE_MS = 1_000
MARGIN_MS = 2_000


async def act(session: Session) -> Seen:
    """Ask it to stop once it certainly ignores SIGTERM; the status must tell how the stop went."""
    command = "trap '' TERM; echo deaf; while :; do sleep 0.2; done"
    task = await session.launch(Wish(name="ignores-sigterm", shell=command, cpus_milli=100, mem_mib=32))
    async for _ in task.follow("stdout"):
        break
    loop = asyncio.get_running_loop()
    asked_s, late_before_ms = loop.time(), session.late_ms
    await task.kill(KillPolicy(signal=signal.SIGTERM, grace_period_ms=GRACE_MS))
    status = await task.ended()
    took_ms = round((loop.time() - asked_s) * 1000)
    longest_ms = GRACE_MS + MARGIN_MS + session.late_ms - late_before_ms
    stop = status.evidence.stop if status.evidence else None
    last = status.evidence.signal if status.evidence else None
    if stop is None:
        return Seen(text=f"{status.state.name} after {took_ms} ms, without a word about the stop", as_expected=False)
    holds, failed = judge(
        {
            "TASK_KILLED": status.state is TaskState.KILLED,
            "the grace reason": status.reason == Reason.KILL_GRACE_EXPIRED,
            "what was asked": (stop.signal, stop.grace_period_ms) == (signal.SIGTERM, GRACE_MS),
            "after the grace period": GRACE_MS <= stop.took_ms <= longest_ms,
            "by SIGKILL": stop.escalated and last == signal.SIGKILL,
        }
    )
    return Seen(text=f"{status.state.name}: {_text(stop)}{failed}", as_expected=holds)


def _text(stop: StopEvidence) -> str:
    escalated = ", then SIGKILL to everything in its container" if stop.escalated else ""
    return f"{signal.Signals(stop.signal).name}, grace {stop.grace_period_ms} ms, took {stop.took_ms} ms{escalated}"


ROWS = (
    Row(
        number=8,
        title="SIGTERM is ignored",
        asked=f"kill: SIGTERM, grace {GRACE_MS} ms",
        expected="killed after its grace period; the status tells signal, grace and how long it took",
        act=act,
    ),
)
