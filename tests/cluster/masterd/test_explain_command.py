"""`paddock explain framework|role` against a real master."""

from __future__ import annotations

import asyncio

from tests.cluster.masterd.stage import stage
from tests.cluster.masterd.test_policy_command import lines, paddock
from tests.masterd_process import MasterdProcess


async def test_why_there_is_no_offer(masterd: MasterdProcess) -> None:
    async with stage(masterd) as on:
        agent, framework, other = await on.agent("a1"), await on.framework("r"), await on.framework("q")
        await agent.register()
        await framework.subscribe()
        await framework.offer("a1")
        await other.subscribe()

        async def why(*words: str) -> list[list[str]]:
            return lines(await asyncio.to_thread(paddock, masterd, "explain", *words, "--no-headers"))

        (held,) = await why("role", "r")
        (waits,) = await why("framework", other.framework_id, "--agent", "a1")
        assert held[:4] == [framework.framework_id, "r", "a1", "offered"]
        assert waits[:4] == [other.framework_id, "q", "a1", "nothing_free"]
        unknown = await asyncio.to_thread(paddock, masterd, "explain", "framework", "nobody")
        assert (unknown.returncode, "framework 'nobody' does not exist: `paddock frameworks`" in unknown.stderr) == (
            3,
            True,
        )
        nobody = await asyncio.to_thread(paddock, masterd, "explain", "role", "nobody")
        assert (nobody.returncode, "no framework in role 'nobody' is subscribed" in nobody.stderr) == (0, True)
        wrong = await asyncio.to_thread(paddock, masterd, "explain", "host", "a1")
        assert (wrong.returncode, "task TASK, framework ID, role ROLE" in wrong.stderr) == (2, True)
