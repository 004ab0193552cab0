"""A real masterd over its unix socket: the offer cycle end to end, and its end and its return."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest
from grpc.aio import AioRpcError

from masterd.replay import tell
from paddock.wire.v1 import agent_registry_service_pb2 as registry_pb
from paddock.wire.v1 import explain_service_pb2 as explain_pb
from paddock.wire.v1 import operator_service_pb2 as operator_pb
from paddock.wire.v1 import scheduler_service_pb2 as scheduler_pb
from paddock.wire.v1 import tasks_pb2
from paddock.wire.v1.explain_service_pb2_grpc import ExplainServiceStub
from tests.cluster.masterd.speakers import task
from tests.cluster.masterd.stage import stage
from tests.masterd_process import ROOT, MasterdProcess


async def test_one_task_from_offer_to_acknowledged_end(masterd: MasterdProcess) -> None:
    async with stage(masterd) as on:
        agent, framework = await on.agent("a1"), await on.framework("prod")
        await agent.register()
        await framework.subscribe()
        offer = await framework.offer("a1")
        assert offer.role == "prod"
        assert offer.unix_address == "unix:/nowhere"
        await framework.accept(offer, task("t1", "a1"))
        launched = await agent.launched("t1")
        assert launched.command.user == "root"
        agent.report(framework.framework_id, "t1", tasks_pb2.TASK_FINISHED)
        status = await framework.status("t1", tasks_pb2.TASK_FINISHED)
        assert status.agent_id == "a1"
        await framework.acknowledge(status)
        await agent.heard.wait_for(
            registry_pb.MasterMessage, lambda message: message.acknowledge_status.uuid == b"u" * 16
        )
        operator = await on.operator()
        tasks = await operator.ListTasks(operator_pb.ListTasksRequest(include_terminated=True))
        assert [(each.task.task_id, each.state, each.container_id) for each in tasks.tasks] == [
            ("t1", tasks_pb2.TASK_FINISHED, "c1")
        ]
        assert not (await operator.ListTasks(operator_pb.ListTasksRequest())).tasks
        assert (await operator.GetTask(operator_pb.GetTaskRequest(task_id="t"))).hostname == "a1"


async def test_freed_resources_are_offered_without_waiting_for_the_timer(tmp_path: Path) -> None:
    with MasterdProcess(tmp_path, "--allocation-interval=1h") as masterd:
        async with stage(masterd) as on:
            agent, framework = await on.agent("a1"), await on.framework()
            await framework.subscribe()
            await agent.register()
            offer = await framework.offer("a1")
            await framework.accept(offer, task("t1", "a1", "cpus:4;mem:1024;ports:[31000-31009]"))
            await agent.launched("t1")
            heard = len(framework.heard.messages)
            agent.report(framework.framework_id, "t1", tasks_pb2.TASK_FINISHED)
            again = await framework.offer("a1", after=heard)
            assert {resource.name for resource in again.resources} == {"cpus", "mem", "ports"}


async def test_a_dead_agents_offers_are_rescinded_and_a_dead_frameworks_offers_go_to_others(
    masterd: MasterdProcess,
) -> None:
    async with stage(masterd) as on:
        agent, one, two = await on.agent("a1"), await on.framework(), await on.framework()
        await agent.register()
        await one.subscribe()
        await two.subscribe()
        await one.offer("a1")
        await one.leave()
        offer = await two.offer("a1")
        await agent.leave()
        await two.heard.wait_for(scheduler_pb.SchedulerEvent, lambda event: event.rescind.offer_id == offer.offer_id)
        agents = (await (await on.operator()).ListAgents(operator_pb.ListAgentsRequest())).agents
        assert [each.state for each in agents] == [operator_pb.AGENT_DISCONNECTED]


async def test_a_client_that_is_killed_is_noticed(masterd: MasterdProcess) -> None:
    program = (
        "import asyncio, sys\n"
        "from paddock.rpc.channel import open_channel\n"
        "from tests.cluster.masterd.speakers import FrameworkSpeaker\n"
        "async def main():\n"
        "    async with open_channel(sys.argv[1]) as channel:\n"
        "        framework = FrameworkSpeaker(channel)\n"
        "        await framework.subscribe()\n"
        "        print(framework.framework_id, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, masterd.address], stdout=subprocess.PIPE, cwd=ROOT) as client:
        assert client.stdout is not None
        framework_id = (await asyncio.to_thread(client.stdout.readline)).decode().strip()
        client.kill()
    async with stage(masterd) as on, asyncio.timeout(60):
        operator = await on.operator()
        while True:
            found = (await operator.ListFrameworks(operator_pb.ListFrameworksRequest())).frameworks
            if any(each.info.framework_id == framework_id and not each.connected for each in found):
                break
            await asyncio.sleep(0.05)


async def test_a_second_agent_with_the_same_id_is_refused(masterd: MasterdProcess) -> None:
    async with stage(masterd) as on:
        first, second = await on.agent("a1"), await on.agent("a1")
        await first.register()
        with pytest.raises(AssertionError, match="ALREADY_EXISTS"):
            await second.register()
        assert not first.heard.ended


async def test_a_silent_agent_becomes_unreachable(tmp_path: Path) -> None:
    with MasterdProcess(tmp_path, "--agent-ping-timeout=1s", "--max-agent-ping-timeouts=10") as masterd:
        async with stage(masterd) as on:
            agent, framework = await on.agent("a1"), await on.framework()
            await agent.register()
            await framework.subscribe()
            await framework.accept(await framework.offer("a1"), task("t1", "a1"))
            await agent.launched("t1")
            agent.answer_pings = False
            await framework.status("t1", tasks_pb2.TASK_LOST)
            await framework.heard.wait_for(scheduler_pb.SchedulerEvent, lambda event: event.failure.agent_id == "a1")
            error = await agent.heard.wait_for_end()
            assert isinstance(error, AioRpcError)
            assert error.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_crash_forgets_nobody(tmp_path: Path) -> None:
    masterd = MasterdProcess(tmp_path, "--allocation-interval=200ms", "--weights=prod=2.5")
    try:
        masterd.start()
        async with stage(masterd) as on:
            agent, framework = await on.agent("a1"), await on.framework("prod", failover_timeout_ms=600_000)
            await agent.register()
            await framework.subscribe()
            await framework.accept(await framework.offer("a1"), task("t1", "a1"))
            info = await agent.launched("t1")
            before = await (await on.operator()).GetMaster(operator_pb.GetMasterRequest())
            masterd.kill()
        masterd.start()
        async with stage(masterd) as on:
            operator = await on.operator()
            after = await operator.GetMaster(operator_pb.GetMasterRequest())
            assert (after.master_id, after.epoch) == (before.master_id, before.epoch + 1)
            agents = (await operator.ListAgents(operator_pb.ListAgentsRequest())).agents
            assert [(each.info.agent_id, each.state) for each in agents] == [("a1", operator_pb.AGENT_DISCONNECTED)]
            again = await on.agent("a1")
            running = registry_pb.RegisteredTask(
                framework_id=framework.framework_id, task=info, state=tasks_pb2.TASK_RUNNING, container_id="c1"
            )
            await again.register((running,))
            back = await on.framework("prod", framework_id=framework.framework_id, failover_timeout_ms=600_000)
            await back.subscribe()
            assert back.framework_id == framework.framework_id
            await back.stub.Reconcile(
                scheduler_pb.ReconcileRequest(framework_id=back.framework_id, subscription_id=back.subscription_id)
            )
            await back.status("t1", tasks_pb2.TASK_RUNNING)
            offer = await back.offer("a1")
            cpus = next(each for each in offer.resources if each.name == "cpus")
            assert cpus.scalar_milli == 3000
    finally:
        masterd.kill()


async def test_a_stop_is_not_the_frameworks_end(tmp_path: Path) -> None:
    masterd = MasterdProcess(tmp_path)
    masterd.start()
    try:
        async with stage(masterd) as on:
            framework = await on.framework()
            await framework.subscribe()
            code = await asyncio.to_thread(masterd.stop)
            assert code == 0
        masterd.start()
        async with stage(masterd) as on:
            back = await on.framework(framework_id=framework.framework_id)
            await back.subscribe()
            assert back.framework_id == framework.framework_id
    finally:
        masterd.kill()


async def test_watching_tasks_begins_with_all_there_is(masterd: MasterdProcess) -> None:
    async with stage(masterd) as on:
        agent, framework, operator = await on.agent("a1"), await on.framework(), await on.operator()
        await agent.register()
        await framework.subscribe()
        await framework.accept(await framework.offer("a1"), task("t1", "a1"))
        await agent.launched("t1")
        seen: list[operator_pb.WatchTasksResponse] = []
        watch = operator.WatchTasks(operator_pb.WatchTasksRequest())
        async with asyncio.timeout(60):
            async for answer in watch:
                seen.append(answer)
                if answer.bookmark:
                    agent.report(framework.framework_id, "t1", tasks_pb2.TASK_RUNNING)
                if answer.task.state == tasks_pb2.TASK_RUNNING:
                    break
        watch.cancel()
        assert [answer.task.state for answer in seen] == [
            tasks_pb2.TASK_STAGING,
            tasks_pb2.TASK_STATE_UNSPECIFIED,
            tasks_pb2.TASK_RUNNING,
        ]
        with pytest.raises(AioRpcError) as caught:
            async for _ in operator.WatchTasks(operator_pb.WatchTasksRequest(resource_version=10**9)):
                pass
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_operator_kills_by_prefix(masterd: MasterdProcess) -> None:
    async with stage(masterd) as on:
        agent, framework, operator = await on.agent("a1"), await on.framework(), await on.operator()
        await agent.register()
        await framework.subscribe()
        tasks = (task("web-1", "a1"), task("web-2", "a1"), task("db", "a1"))
        await framework.accept(await framework.offer("a1"), *tasks)
        await agent.launched("db")
        await operator.KillTask(operator_pb.OperatorKillTaskRequest(task_id="d"))
        await agent.heard.wait_for(registry_pb.MasterMessage, lambda message: message.kill_task.task_id == "db")
        for text, code in (("web", grpc.StatusCode.INVALID_ARGUMENT), ("nope", grpc.StatusCode.NOT_FOUND)):
            with pytest.raises(AioRpcError) as caught:
                await operator.KillTask(operator_pb.OperatorKillTaskRequest(task_id=text))
            assert caught.value.code() is code


async def test_pages(masterd: MasterdProcess) -> None:
    async with stage(masterd) as on:
        for number in range(5):
            await (await on.agent(f"a{number}")).register()
        operator = await on.operator()
        found: list[str] = []
        token = ""
        while True:
            page = await operator.ListAgents(operator_pb.ListAgentsRequest(page_size=2, page_token=token))
            found += [each.info.agent_id for each in page.agents]
            token = page.next_page_token
            if not token:
                break
        assert found == [f"a{number}" for number in range(5)]
        with pytest.raises(AioRpcError) as caught:
            await operator.ListAgents(operator_pb.ListAgentsRequest(page_size=-1))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_reload_changes_what_needs_no_restart_and_names_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "masterd.toml"
    file.write_text('log_level = "info"\n', encoding="utf-8")
    masterd = MasterdProcess(tmp_path, f"--config={file}")
    masterd.start()
    try:
        assert "level=debug" not in masterd.log
        file.write_text('log_level = "debug"\noffer_timeout = "7s"\n', encoding="utf-8")
        os.kill(masterd.pid, signal.SIGHUP)
        deadline_s = time.monotonic() + 20
        while "changed=log_level needs_restart=offer_timeout" not in masterd.log or "level=debug" not in masterd.log:
            assert time.monotonic() < deadline_s, masterd.log
            time.sleep(0.02)
    finally:
        assert masterd.stop() == 0


async def test_a_whitelist_is_read_anew_and_is_what_it_says_after_a_restart_too(tmp_path: Path) -> None:
    file, events = tmp_path / "hosts", tmp_path / "events"
    file.write_text("a1\n", encoding="utf-8")
    flags = ("--allocation-interval=100ms", f"--whitelist={file}", f"--record-events={events}")
    with MasterdProcess(tmp_path, *flags) as masterd:

        async def reread(text: str, answer: str) -> None:
            answers = masterd.log.count(answer)
            file.write_text(text, encoding="utf-8")
            os.kill(masterd.pid, signal.SIGHUP)
            deadline_s = time.monotonic() + 20
            while masterd.log.count(answer) == answers:
                assert time.monotonic() < deadline_s, masterd.log
                await asyncio.sleep(0.02)

        async with stage(masterd) as on:
            first, second, framework = await on.agent("a1"), await on.agent("a2"), await on.framework("r")
            await first.register()
            await second.register()
            await framework.subscribe()
            offer = await framework.offer()
            assert offer.agent_id == "a1"
            await reread("a 1\n", "configuration is refused; nothing changed")
            await reread("a2\n", "configuration is read anew")
            await framework.offer("a2")
            await framework.heard.wait_for(
                scheduler_pb.SchedulerEvent, lambda event: event.rescind.offer_id == offer.offer_id
            )
            explain = ExplainServiceStub(await on.channel())
            found = await explain.ExplainOffers(explain_pb.ExplainOffersRequest(agent_id="a1"))
            assert [each.reason for each in found.explanations[0].findings] == [explain_pb.NO_OFFER_WHITELIST]
        assert masterd.stop() == 0
        assert tell(str(events))[0] == 0, tell(str(events))
        masterd.start()
        async with stage(masterd) as on:
            framework = await on.framework("r")
            await framework.subscribe()
            for name in ("a1", "a2"):
                await (await on.agent(name)).register()
            assert (await framework.offer()).agent_id == "a2"


def test_a_whitelist_that_is_not_there_is_said_before_anything_begins(tmp_path: Path) -> None:
    masterd = MasterdProcess(tmp_path, f"--whitelist={tmp_path}/absent", "--check-config")
    checked = subprocess.run(masterd.command(), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (checked.returncode, "absent: No such file" in checked.stderr) == (2, True), checked.stderr
    assert "whitelist: " in checked.stderr
