"""What no signal reaches: a process in uninterruptible sleep is shown, with what it waits for, and retried."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddock.wire.v1 import containers_pb2, tasks_pb2
from tests.agentd_process import TIME_SCALE, AgentdProcess, assert_gone, running_agentd
from tests.held_filesystem import HeldFilesystem, held_filesystem
from tests.kernel.agentd.calling import RUNNING, Caller, calling, shell

# Not that it has nothing to do with them: it waits for long, and emulated for very long.
pytestmark = [pytest.mark.no_cgroups, pytest.mark.timeout(180)]

STUCK_WITHIN_S = 60 * TIME_SCALE


@pytest.fixture
def filesystem(tmp_path: Path) -> Iterator[HeldFilesystem]:
    with held_filesystem(tmp_path / "hangs") as filesystem:
        yield filesystem


@pytest.fixture
def agentd(filesystem: HeldFilesystem) -> Iterator[AgentdProcess]:
    """Its containers see what was mounted before it came."""
    with running_agentd() as agentd:
        yield agentd


def beside(path: str) -> tasks_pb2.CommandInfo:
    return shell(f"stat {path} & while :; do sleep 0.1; done")


async def until_shown(agent: Caller, container: containers_pb2.Container, name: str) -> int:
    """The pid that is shown to hold it back."""
    async with asyncio.timeout(STUCK_WITHIN_S):
        while not (
            found := re.search(rf"process (\d+) \({name}\) is in state D \(uninterruptible\), waits in (\w+)", what)
            if (what := (shown := await agent.get(container)).stuck)
            else None
        ):
            await asyncio.sleep(0.1)
    assert shown.state == containers_pb2.CONTAINER_STUCK
    assert "fuse" in found[2] or found[2] == "request_wait_answer", what
    return int(found[1])


async def test_a_process_in_uninterruptible_sleep_is_shown_and_ends_when_the_kernel_lets_go(
    agentd: AgentdProcess, filesystem: HeldFilesystem
) -> None:
    """The command itself; a child of one whose shim dies. Then the agent dies too, and finds them again."""
    command = tasks_pb2.CommandInfo(arguments=["stat", filesystem.held("alone")])
    async with calling(agentd.address) as agent:
        alone = await agent.launch(command, until=RUNNING)
        unsupervised = await agent.launch(beside(filesystem.held("orphan")), until=RUNNING)
        filesystem.await_callers(2, 30 * TIME_SCALE)
        os.kill(unsupervised.shim_pid, signal.SIGKILL)
        await agent.kill(alone, grace_ms=0)
        stuck = await asyncio.gather(*(until_shown(agent, each, "stat") for each in (alone, unsupervised)))
        assert stuck[0] == alone.pid
    agentd.crash()
    agentd.start()
    async with calling(agentd.address) as agent:
        assert all(os.path.exists(f"/proc/{pid}") for pid in stuck)
        await agent.kill(unsupervised)
        filesystem.release()
        ends = [(await agent.wait(each)).termination for each in (alone, unsupervised)]
    assert [(end.state, end.reason) for end in ends] == [
        (tasks_pb2.TASK_KILLED, tasks_pb2.REASON_KILL_GRACE_EXPIRED),
        (tasks_pb2.TASK_KILLED, tasks_pb2.REASON_SUPERVISOR_LOST),
    ]
    for pid in stuck:
        assert_gone(pid)
    assert not agentd.wait_for_no_cgroups()
