"""`paddock maintenance|deactivate|reactivate|gone|teardown` against a real master, which is killed in between."""

from __future__ import annotations

import asyncio

import pytest

from paddock.wire.v1 import agent_registry_service_pb2 as registry_pb
from paddock.wire.v1 import scheduler_service_pb2 as pb
from paddock.wire.v1 import tasks_pb2
from tests.cluster.masterd.speakers import task
from tests.cluster.masterd.stage import stage
from tests.cluster.masterd.test_policy_command import lines, paddock
from tests.masterd_process import MasterdProcess

pytestmark = pytest.mark.timeout(180)


async def run(masterd: MasterdProcess, *words: str) -> list[list[str]]:
    return lines(await asyncio.to_thread(paddock, masterd, *words))


async def test_what_would_come_of_it_is_said_and_nothing_does(masterd: MasterdProcess) -> None:
    async with stage(masterd) as on:
        agent, framework = await on.agent("a1"), await on.framework("r", failover_timeout_ms=600_000)
        await agent.register()
        await framework.subscribe()
        await framework.accept(await framework.offer("a1"), task("t1", "a1"))
        await agent.launched("t1")
        assert "a1 would come back, and what runs there, 1 task, goes on" in await said(
            masterd, "deactivate", "a1", "--dry-run"
        )
        assert "1 task would be killed, the last after 3000 ms" in await said(masterd, "drain", "a1", "--dry-run")
        kill = await said(masterd, "kill", "t1", "--signal", "INT", "--dry-run")
        assert "task t1 would get SIGINT, and SIGKILL 3000 ms later" in kill
        assert "agent a1 would be offered again" in await said(masterd, "reactivate", "a1", "--dry-run")
        await said(masterd, "deactivate", "a1")
        await said(masterd, "drain", "a1", "--max-grace", "1s")
        # The one kill is the drain's: nobody was killed by trying.
        first = await agent.heard.wait_for(registry_pb.MasterMessage, lambda message: message.HasField("kill_task"))
        assert first.kill_task.kill_policy.grace_period_ms == 1_000
        assert "would still not be offered: draining" in await said(masterd, "reactivate", "a1", "--dry-run")
        assert "will still not be offered: agent_deactivated" in await said(masterd, "drain", "a1", "--cancel")


async def said(masterd: MasterdProcess, *words: str) -> str:
    """On stderr; nothing on stdout."""
    done = await asyncio.to_thread(paddock, masterd, *words)
    assert (done.returncode, done.stdout) == (0, "")
    return done.stderr


async def test_agents_out_of_use_and_maintenance_outlive_a_crash(masterd: MasterdProcess) -> None:
    async with stage(masterd) as on:
        agent, framework = await on.agent("a1"), await on.framework("r", failover_timeout_ms=600_000)
        await agent.register()
        await framework.subscribe()
        await framework.accept(await framework.offer("a1"), task("t1", "a1"))
        await agent.launched("t1")
        agent.report(framework.framework_id, "t1", tasks_pb2.TASK_RUNNING)
        await framework.acknowledge(await framework.status("t1", tasks_pb2.TASK_RUNNING))
        unknown = await said(masterd, "maintenance", "schedule", "a1", "a9", "--start", "2h", "--for", "30m")
        assert ("no agent is on host 'a9' yet" in unknown, "'a1'" in unknown) == (True, False)
        await framework.heard.wait_for(pb.SchedulerEvent, lambda event: event.inverse_offer.agent_id == "a1")
        await framework.stub.AnswerInverseOffer(
            pb.AnswerInverseOfferRequest(
                framework_id=framework.framework_id,
                subscription_id=framework.subscription_id,
                agent_id="a1",
                accepted=True,
            )
        )
        (first, second) = await run(masterd, "maintenance", "list", "--no-headers")
        assert (first[0], first[1], first[5], first[7]) == ("a1", "planned", "1", framework.framework_id)
        assert second[0] == "a9"
        await run(masterd, "deactivate", "a1")
        assert [row[2] for row in await run(masterd, "agents", "--no-headers")] == ["deactivated"]
        why = [" ".join(row) for row in await run(masterd, "explain", "agent", "a1", "--no-headers")]
        assert why[:2] == ["Agent: a1 on a1, deactivated", "Deactivated: until `paddock reactivate a1`"]
        assert why[2].startswith("Maintenance: planned from 20")
        assert f"{framework.framework_id} r a1 agent_deactivated" in why[4]
    masterd.kill()
    masterd.start()
    assert [row[0] for row in await run(masterd, "maintenance", "list", "--no-headers")] == ["a1", "a9"]
    async with stage(masterd) as on:
        agent, other = await on.agent("a1"), await on.framework("s")
        await agent.register()
        await other.subscribe()
        assert [row[2] for row in await run(masterd, "agents", "--no-headers")] == ["deactivated"]
        await run(masterd, "maintenance", "cancel", "a1", "a9")
        assert not any(
            event.HasField("offers") for event in other.heard.messages if isinstance(event, pb.SchedulerEvent)
        )
        await run(masterd, "reactivate", "a1")
        await other.offer("a1")
        assert await run(masterd, "teardown", framework.framework_id) == []
        assert await run(masterd, "gone", "a", "--dry-run") == []
        assert await run(masterd, "gone", "a1") == []
        assert await run(masterd, "agents", "--no-headers") == []
        again = await asyncio.to_thread(paddock, masterd, "gone", "a1")
        assert (again.returncode, "agent 'a1' does not exist" in again.stderr) == (3, True)
