"""The lives of what does not end when it should: the kernel holds a process, a shim does not answer, the host starts anew."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from paddock.model.task import CommandInfo, Reason, TaskState
from paddock.wire.v1 import containers_pb2
from tests.faults.haste import HASTE
from tests.faults.stage import WAIT_S, is_alive, send
from tests.faults.stopping import ANSWER, LAUNCH
from tests.faults.stories import ESCALATED, FINISHED, KILLED, LONG_MS, STUBBORN, Act, Story

LOST = (TaskState.FAILED, int(Reason.SUPERVISOR_LOST))
KILLED_AND_LOST = (TaskState.KILLED, int(Reason.SUPERVISOR_LOST))
GONE = (TaskState.GONE, int(Reason.AGENT_REBOOTED))


@contextmanager
def _hanging(act: Act) -> Iterator[str]:
    """A path on which a process hangs until the end, and no signal ends it."""
    with act.held(HASTE):
        act.stage.hangs.hold()
        try:
            yield act.stage.hangs.held(act.task_id)
        finally:
            act.stage.hangs.release()


async def _has_time(act: Act) -> None:
    """Until somebody has come to the point; or nobody will, this time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(WAIT_S / 8):
            while os.path.exists(f"{act.agent.directory}/armed"):
                await asyncio.sleep(0.02)


async def _hangs_beside(act: Act, path: str) -> None:
    act.command = replace(act.command, value=f"stat {path} & {act.command.value}")
    await act.launch()
    await act.counts()
    await act.when(lambda: act.stage.hangs.has_callers or act.is_over)


async def _is_killed_while_it_hangs(act: Act) -> None:
    with _hanging(act) as path:
        await _hangs_beside(act, path)
        async with asyncio.TaskGroup() as group:
            group.create_task(act.killed(grace_ms=0))
            await act.until(containers_pb2.CONTAINER_STUCK)
            act.stage.hangs.release()


async def _hangs_for_long(act: Act) -> None:
    with _hanging(act) as path:
        await _hangs_beside(act, path)
        async with asyncio.TaskGroup() as group:
            group.create_task(act.killed(grace_ms=0))
            await act.until(containers_pb2.CONTAINER_STUCK)
            await _has_time(act)
            act.stage.hangs.release()


async def _loses_its_shim_while_it_hangs(act: Act) -> None:
    with _hanging(act) as path:
        await _hangs_beside(act, path)
        _end(act.agent.shims().values())
        await act.until(containers_pb2.CONTAINER_STUCK)
    await act.ended()


async def _is_killed_when_it_is_stuck(act: Act) -> None:
    with _hanging(act) as path:
        await _hangs_beside(act, path)
        _end(act.agent.shims().values())
        await act.until(containers_pb2.CONTAINER_STUCK)
        async with asyncio.TaskGroup() as group:
            group.create_task(act.killed())
            await _has_time(act)
            act.stage.hangs.release()


async def _is_lost_in_its_launch(act: Act) -> None:
    """Launcher and shim die while the program is looked for: nobody knows whether it ran, so nobody begins it again."""
    with _hanging(act) as path:
        act.command = CommandInfo(arguments=(path,), user="root")
        await act.launch()
        await act.when(lambda: act.stage.hangs.has_callers or act.is_over)
        _end([*act.agent.launcher_pids(), *act.agent.shims().values()])
        await act.until(containers_pb2.CONTAINER_STUCK)
    await act.ended()


async def _is_not_answered_for(act: Act) -> None:
    """Its shim takes too long for an agent that has come back, and for nobody else."""
    with act.held(HASTE), act.held(ANSWER):
        with act.held(LAUNCH):
            await act.launch()
            await act.until(containers_pb2.CONTAINER_LAUNCHING)
            await act.stage.crash(act.agent.daemon)
        await act.when(lambda: act.is_over or bool(act.agent.counters(act.task_id)))
        await act.stage.ensure(act.agent.daemon)
        await act.until(containers_pb2.CONTAINER_STUCK)
    await act.counts()
    await act.end()


def _end(pids: Iterable[int]) -> None:
    for pid in pids:
        send(pid, signal.SIGKILL)


async def starts_anew(act: Act) -> None:
    """Its host: nobody has time for a last word."""
    await act.stage.crash(act.agent.daemon)
    pids = [*act.agent.launcher_pids(), *act.agent.shims().values()]
    _end(pids)
    await act.when(lambda: not any(is_alive(pid) for pid in pids))
    act.agent.boot_again()
    await act.stage.ensure(act.agent.daemon)
    await act.ended()


async def _reboots_while_it_runs(act: Act) -> None:
    await act.launch()
    await act.counts()
    await starts_anew(act)


async def _reboots_while_it_is_killed(act: Act) -> None:
    await act.launch()
    await act.counts()
    await act.kill(LONG_MS)
    await act.reach(TaskState.KILLING)
    await starts_anew(act)


async def _reboots_in_its_launch(act: Act) -> None:
    with act.held(LAUNCH):
        await act.launch()
        await act.until(containers_pb2.CONTAINER_LAUNCHING)
        await starts_anew(act)


HOLDING_STORIES = (
    Story(
        name="killed while the kernel holds a child",
        play=_is_killed_while_it_hangs,
        verdicts=frozenset({ESCALATED, KILLED}),
        rows=("DESTROYING HELD", "STUCK RELEASED"),
    ),
    Story(
        name="killed while the kernel holds a child for long",
        play=_hangs_for_long,
        verdicts=frozenset({ESCALATED, KILLED}),
        rows=("STUCK HELD",),
    ),
    Story(
        name="without a shim while the kernel holds a child",
        play=_loses_its_shim_while_it_hangs,
        verdicts=frozenset({LOST}),
        rows=("RUNNING HELD",),
    ),
    Story(
        name="killed when it is stuck",
        play=_is_killed_when_it_is_stuck,
        verdicts=frozenset({LOST, KILLED_AND_LOST}),
        rows=("STUCK STOP",),
    ),
    Story(
        name="held in a launch",
        play=_is_lost_in_its_launch,
        verdicts=frozenset({LOST}),
        rows=("STUCK ENDED",),
    ),
    Story(
        name="not answered for in time",
        play=_is_not_answered_for,
        verdicts=frozenset({FINISHED}),
        rows=("LAUNCHING HELD", "STUCK STARTED"),
    ),
    Story(
        name="rebooted while it ran",
        play=_reboots_while_it_runs,
        verdicts=frozenset({GONE}),
        changes=("RUNNING GONE",),
    ),
    Story(
        name="rebooted while it was killed",
        play=_reboots_while_it_is_killed,
        line=STUBBORN,
        verdicts=frozenset({GONE}),
        changes=("KILLING GONE",),
    ),
    Story(
        name="rebooted in its launch",
        play=_reboots_in_its_launch,
        verdicts=frozenset({GONE}),
        changes=("STAGING GONE",),
    ),
)
