"""`--watch` against a real master, which is killed in between, and Ctrl-C at the end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from paddock.wire.v1 import tasks_pb2
from tests.cluster.masterd.speakers import task
from tests.cluster.masterd.stage import stage
from tests.cluster.masterd.test_policy_command import paddock
from tests.masterd_process import ROOT, MasterdProcess

pytestmark = pytest.mark.timeout(180)
WAIT_S = 60


class Watching:
    """A `paddock VERB --watch -o json` that goes on."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def change(self) -> tuple[str, str]:
        """The next one, and of what."""
        assert self.process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            told = json.loads(await self.process.stdout.readline())
        return told["change"], told["name"]

    async def line(self) -> str:
        """The next one."""
        assert self.process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            line = (await self.process.stdout.readline()).decode()
        assert line, "it has ended"
        return line

    async def lines_until(self, wanted: set[tuple[str, str, str]]) -> None:
        """All of them, each kind, change and name, in whatever order they come."""
        while wanted:
            _, kind, change, name, *_ = (await self.line()).split()
            wanted.discard((kind, change, name))

    async def changes_until(self, wanted: tuple[str, str]) -> list[tuple[str, str]]:
        """Those up to it; how often something changes on its way there is not ours to say."""
        found = [await self.change()]
        while found[-1] != wanted:
            found.append(await self.change())
        return found

    async def words(self) -> str:
        """The next line on stderr."""
        assert self.process.stderr is not None
        async with asyncio.timeout(WAIT_S):
            return (await self.process.stderr.readline()).decode()

    async def interrupted(self) -> int:
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(WAIT_S):
            out, err = await self.process.communicate()
        assert b"Traceback" not in out + err
        return await self.process.wait()


@asynccontextmanager
async def watching(masterd: MasterdProcess, *words: str) -> AsyncIterator[Watching]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "paddock.cli", *words, "--watch", "-o", "json", cwd=ROOT,
        env={**os.environ, "PADDOCK_MASTER": masterd.address},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Watching(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_agents_over_a_restart(masterd: MasterdProcess) -> None:
    async with stage(masterd) as on:
        await (await on.agent("a1")).register()
        async with watching(masterd, "agents") as agents:
            assert await agents.change() == ("there", "a1")
            await (await on.agent("a2")).register()
            assert await agents.change() == ("new", "a2")
            masterd.kill()
            assert (await agents.words()).startswith("paddock agents: no connection to the master, waiting for it: ")
            masterd.start()
            assert "the master has started again (epoch 2); what has changed meanwhile" in await agents.words()
            async with stage(masterd) as back:
                await (await back.agent("a3")).register()
                # Both of before are known from the registry, and away.
                found = await agents.changes_until(("new", "a3"))
                assert {("changed", "a1"), ("changed", "a2")} <= {*found}
                assert not any(change == "gone" for change, _ in found)
                status = await asyncio.to_thread(paddock, masterd, "status")
                assert "1 active, 2 not back since the master's start" in status.stdout, status.stderr
                tasks = await asyncio.to_thread(paddock, masterd, "ps", "--no-headers")
                words = "paddock ps: 2 agents are not back since the master's start; what runs there is listed when they are"
                assert (tasks.stdout, words in tasks.stderr) == ("", True)
            assert await agents.interrupted() == 130


async def test_tasks_frameworks_roles_and_offers(masterd: MasterdProcess) -> None:
    async with stage(masterd) as on:
        agent, framework = await on.agent("a1"), await on.framework("r")
        await agent.register()
        async with (
            watching(masterd, "ps") as tasks,
            watching(masterd, "frameworks") as frameworks,
            watching(masterd, "roles") as roles,
            watching(masterd, "offers") as offers,
        ):
            await framework.subscribe()
            assert (await frameworks.change())[1] == framework.framework_id
            assert (await roles.change())[1] == "r"
            offer = await framework.offer("a1")
            assert (await offers.change())[1] == offer.offer_id
            await framework.accept(offer, task("t1", "a1"))
            await offers.changes_until(("gone", offer.offer_id))
            assert (await tasks.change())[1] == "t1"
            await agent.launched("t1")
            agent.report(framework.framework_id, "t1", tasks_pb2.TASK_RUNNING)
            assert await tasks.change() == ("changed", "t1")
            assert [await each.interrupted() for each in (tasks, frameworks, roles, offers)] == [130] * 4


@asynccontextmanager
async def events(masterd: MasterdProcess, *words: str) -> AsyncIterator[Watching]:
    """`paddock events`, which misses nothing any more."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "paddock.cli", "events", *words, cwd=ROOT,
        env={**os.environ, "PADDOCK_MASTER": masterd.address},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        watching = Watching(process)
        assert (await watching.line()).split() == ["TIME", "KIND", "CHANGE", "NAME", "WHAT"]
        yield watching
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_events_of_everything_and_of_one_task_over_a_restart(masterd: MasterdProcess) -> None:
    async with stage(masterd) as on, events(masterd) as everything, events(masterd, "--task=t1") as of_t1:
        agent, framework = await on.agent("a1"), await on.framework("r")
        await agent.register()
        await framework.subscribe()
        offer = await framework.offer("a1")
        made = {("agent", "a1"), ("framework", framework.framework_id), ("role", "r"), ("offer", offer.offer_id)}
        # An offer that ends within half a second need not be told: so it is seen before it ends.
        await everything.lines_until({(kind, "new", name) for kind, name in made})
        await framework.accept(offer, task("t0", "a1"), task("t1", "a1"))
        await agent.launched("t1")
        agent.report(framework.framework_id, "t1", tasks_pb2.TASK_RUNNING)
        await everything.lines_until(
            {("offer", "gone", offer.offer_id), ("task", "new", "t0"), ("task", "new", "t1"), ("task", "changed", "t1")}
        )
        assert (await of_t1.line()).split()[1:4] == ["task", "new", "t1"]
        assert "state=staging→running" in await of_t1.line()
        masterd.kill()
        for each in (everything, of_t1):
            assert (await each.words()).startswith("paddock events: no connection to the master, waiting for it: ")
        masterd.start()
        assert "the master has started again (epoch 2)" in await everything.words()
        async with stage(masterd) as back:
            await (await back.agent("a2")).register()
            await everything.lines_until({("agent", "new", "a2")})
        assert [await each.interrupted() for each in (everything, of_t1)] == [130, 130]


async def test_without_a_master_at_the_beginning_it_ends(masterd: MasterdProcess) -> None:
    masterd.stop()
    done = await asyncio.to_thread(paddock, masterd, "agents", "--watch")
    assert (done.returncode, "no master answers" in done.stderr) == (6, True)
