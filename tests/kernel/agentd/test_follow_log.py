"""A log followed through a real agent: over rotations, over kill -9, and whatever the task does to its files."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from pathlib import Path

import pytest

from paddock.cli.log_stream import LogWanted, log_bytes
from paddock.model.errors import InvalidRequest
from paddock.rpc.errors import remote_errors
from paddock.wire.v1 import containers_pb2, sandbox_service_pb2, tasks_pb2
from tests.agentd_process import TIME_SCALE, AgentdProcess
from tests.descriptors import descriptors_of
from tests.kernel.agentd.calling import CALL_TIMEOUT_S, ENDED, RUNNING, Caller, calling, shell

pytestmark = [pytest.mark.no_cgroups, pytest.mark.timeout(180)]

SIZE_BYTES = 100 << 20
FILE_BYTES = 1 << 20
PYTHON = os.path.realpath(sys.executable)
SMALL = tasks_pb2.LogPolicy(file_bytes=65536, file_count=3)

# Each block is another one, and it never is more than two files ahead of its reader: what is rotated away is lost, as told.
_WRITER = f"""
import hashlib, os, time
digest, written, read = hashlib.sha256(), 0, 0
while written < {SIZE_BYTES}:
    block = b"%015d\\n" % written * 4096
    while written + len(block) - read > {2 * FILE_BYTES}:
        try:
            read = int(open("read").read() or 0)
        except FileNotFoundError:
            pass
        time.sleep(0.001)
    digest.update(block)
    while block:
        count = os.write(1, block)
        written, block = written + count, block[count:]
os.write(2, digest.hexdigest().encode())
"""


def python(code: str) -> tasks_pb2.CommandInfo:
    return tasks_pb2.CommandInfo(arguments=[PYTHON, "-I", "-S", "-c", code])


async def test_a_hundred_mebibytes_over_rotations_and_kills_of_the_agent(agentd: AgentdProcess) -> None:
    policy = tasks_pb2.LogPolicy(file_bytes=FILE_BYTES, file_count=4)
    async with calling(agentd.address) as agent:
        running = await agent.launch(python(_WRITER), until=RUNNING, log_policy=policy)
    progress = Path(running.sandbox, "read")
    told: list[str] = []
    wanted = LogWanted(
        agent_address=agentd.address, container_id=running.container_id.value, stream="stdout", position=0
    )
    digest, read_bytes, crashes = hashlib.sha256(), 0, 0
    async for content in log_bytes(wanted, tell=told.append):
        digest.update(content)
        read_bytes += len(content)
        progress.write_text(str(read_bytes))
        if read_bytes > (crashes + 1) * SIZE_BYTES // 4 and crashes < 3:
            crashes += 1
            await asyncio.to_thread(agentd.crash)
            await asyncio.to_thread(agentd.start)
    assert (read_bytes, crashes) == (SIZE_BYTES, 3)
    assert [words for words in told if "lost:" in words] == []
    async with calling(agentd.address) as agent:
        ended = await agent.wait(running)
        assert digest.hexdigest().encode() == (await agent.log(ended, "stderr"))[0]
    names = sorted(path.name for path in Path(running.sandbox).iterdir())
    assert names == ["read", "stderr", "stdout", "stdout.1", "stdout.2", "stdout.3"]
    assert all(path.stat().st_size <= FILE_BYTES for path in Path(running.sandbox).glob("stdout*"))


async def test_a_log_of_a_container_that_has_ended_is_all_that_is_kept(agent: Caller) -> None:
    ended = await agent.launch(python("for n in range(30000): print('%09d' % n)"), until=ENDED, log_policy=SMALL)
    whole = b"".join(b"%09d\n" % n for n in range(30_000))
    kept = 2 * 65536 + 300_000 % 65536
    assert await agent.log(ended) == (whole[-kept:], 0)
    assert await agent.log(ended, position=0) == (whole[-kept:], 300_000 - kept)
    assert await agent.log(ended, position=299_990) == (whole[-10:], 0)
    assert await agent.log(ended, position=300_000) == (b"", 0)
    assert await agent.log(ended, tail=10_000) == (whole[-100_000:], 0)
    assert await agent.log(ended, tail=0) == (b"", 0)


async def test_a_follower_is_woken_by_each_rotation(agent: Caller) -> None:
    """A line at a time, each followed: nothing of this may wait for a look at the clock."""
    line = "x" * 1000
    running = await agent.launch(
        shell(f"n=0; while [ $n -lt 150 ]; do echo {line}; n=$((n+1)); done; sleep 0.2; echo end"),
        until=RUNNING,
        log_policy=SMALL,
    )
    content, lost = await agent.log(running, position=0)
    assert (len(content), lost, content[-4:]) == (150 * 1001 + 4, 0, b"end\n")


@pytest.mark.parametrize(
    "interference",
    [
        "mv stdout mine",
        "rm stdout",
        "rm stdout; ln -s /etc/passwd stdout",
        "rm stdout; mkfifo stdout",
        "rm stdout; mkdir stdout",
        "rm stdout; echo mine > stdout",
        "chmod 0 stdout",
    ],
)
async def test_whatever_the_task_does_to_its_log_a_follower_has_it(agent: Caller, interference: str) -> None:
    """It reads the file itself, not its name; and after a rotation the name is the shim's again."""
    blocks = "head -c 50000 /dev/zero | tr '\\0' {}"
    line = (
        f"echo before; while [ ! -e go ]; do sleep 0.01; done; {interference}; "
        f"{blocks.format('b')}; {blocks.format('c')}; echo after"
    )
    running = await agent.launch(shell(line), until=RUNNING, log_policy=SMALL)
    request = sandbox_service_pb2.FollowLogRequest(
        container_id=running.container_id, stream=sandbox_service_pb2.LOG_STREAM_STDOUT, follow=True
    )
    content, lost = b"", 0
    async for piece in agent.sandbox.FollowLog(request, timeout=CALL_TIMEOUT_S):
        content += piece.data
        lost += piece.lost_bytes
        if content == b"before\n":
            Path(running.sandbox, "go").touch()
    ended = await agent.wait(running)
    assert content == b"before\n" + b"b" * 50_000 + b"c" * 50_000 + b"after\n"
    assert lost == 0
    assert ended.termination.evidence.dropped_log_bytes == 0


async def test_a_log_that_was_moved_away_is_told(agent: Caller) -> None:
    running = await agent.launch(shell("echo one; while [ ! -e go ]; do sleep 0.01; done; mv stdout x"), until=RUNNING)
    request = sandbox_service_pb2.FollowLogRequest(
        container_id=running.container_id, stream=sandbox_service_pb2.LOG_STREAM_STDOUT, follow=True
    )
    pieces = []
    async for piece in agent.sandbox.FollowLog(request, timeout=CALL_TIMEOUT_S):
        pieces.append(piece)
        Path(running.sandbox, "go").touch()
    assert [(piece.data, piece.moved) for piece in pieces] == [(b"one\n", False), (b"", True)]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "stream"),
        ({"stream": 7}, "stream"),
        ({"stream": 1, "position": 2**62}, "position"),
        ({"stream": 1, "position": 0, "tail_line_count": 3}, "tail_line_count"),
    ],
)
async def test_a_wrong_request_is_named(agent: Caller, fields: dict[str, int], field: str) -> None:
    ended = await agent.launch(shell("echo x"))
    request = sandbox_service_pb2.FollowLogRequest(container_id=ended.container_id, **fields)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest) as caught, remote_errors():
        async for _ in agent.sandbox.FollowLog(request, timeout=CALL_TIMEOUT_S):
            pass
    assert caught.value.field == field


async def test_followers_that_go_away_leave_no_descriptor(agent: Caller, shared_agentd: AgentdProcess) -> None:
    running = await agent.launch(shell("echo one; exec sleep 1000"), until=RUNNING)
    request = sandbox_service_pb2.FollowLogRequest(
        container_id=running.container_id, stream=sandbox_service_pb2.LOG_STREAM_STDOUT, follow=True
    )
    assert running.state == containers_pb2.CONTAINER_RUNNING

    def descriptors() -> int:
        return sum(name.startswith(running.sandbox) for name in descriptors_of(shared_agentd.pid).values())

    for _ in range(20):
        call = agent.sandbox.FollowLog(request, timeout=CALL_TIMEOUT_S)
        async for piece in call:
            assert piece.data == b"one\n"
            break
        call.cancel()
    deadline_s = asyncio.get_running_loop().time() + 10 * TIME_SCALE
    while descriptors():
        assert asyncio.get_running_loop().time() < deadline_s, descriptors()
        await asyncio.sleep(0.02)
    await agent.kill(running, grace_ms=0)
    await agent.wait(running)
