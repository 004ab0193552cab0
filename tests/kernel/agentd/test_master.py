"""An agent and its master's words: registration, launches, statuses until they are acknowledged, breaks, silence."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddock.wire.v1 import agent_registry_service_pb2 as pb
from paddock.wire.v1 import agent_task_service_pb2, parties_pb2, tasks_pb2
from paddock.wire.v1 import container_service_pb2 as container_pb
from paddock.wire.v1.resources_pb2 import Resource
from tests.agentd_process import STOP_TIMEOUT_S, TIME_SCALE, AgentdProcess, lent, running_agentd
from tests.kernel.agentd.calling import RUNNING, calling, resources, shell
from tests.kernel.agentd.scripted_master import scripted_master

# The same code on both versions of cgroups.
pytestmark = pytest.mark.no_cgroups

ALL_TASKS = agent_task_service_pb2.ListAgentTasksRequest(include_terminated=True)


@pytest.fixture(scope="module")
def master_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("master") / "master.sock"


@pytest.fixture(scope="module")
def standing_agentd(master_path: Path) -> Iterator[AgentdProcess]:
    with running_agentd(f"--master=unix:{master_path}", "--resources=cpus:2;mem:1024;disk:1024") as agentd:
        yield agentd


@pytest.fixture
def agentd(standing_agentd: AgentdProcess) -> Iterator[AgentdProcess]:
    """It keeps a task until its last status is acknowledged: each test sees its tasks through to that."""
    with lent(standing_agentd) as agentd:
        yield agentd
        asyncio.run(tasks_end(agentd.address))


async def tasks_end(address: str) -> None:
    deadline_s = time.monotonic() + STOP_TIMEOUT_S
    async with calling(address) as agent:
        while kept := (await agent.tasks.ListTasks(ALL_TASKS)).tasks:
            assert time.monotonic() < deadline_s, kept
            await asyncio.sleep(0.01)


def task(task_id: str, line: str, *, user: str = "", asked: list[Resource] | None = None) -> tasks_pb2.TaskInfo:
    command = shell(line)
    command.user = user
    return tasks_pb2.TaskInfo(
        task_id=task_id, name=task_id, agent_id="a", resources=asked or resources(), command=command
    )


async def test_a_task_from_launch_to_its_last_acknowledgement(agentd: AgentdProcess, master_path: Path) -> None:
    async with scripted_master(master_path) as master:
        connection, register = await master.connected()
        assert register.agent.agent_id == agentd.agent_id
        assert register.agent.unix_address == agentd.address
        assert {r.name for r in register.agent.resources} == {"cpus", "mem", "disk", "ports"}
        connection.launch(task("t1", "echo hello; exit 4"))
        running = await connection.status()
        assert (running.status.state, len(running.status.uuid)) == (tasks_pb2.TASK_RUNNING, 16)
        connection.acknowledge(running)
        ended = await connection.status()
        assert ended.status.state == ended.latest_state == tasks_pb2.TASK_FAILED
        assert ended.status.evidence.exit_code == 4
        async with calling(agentd.address) as agent:
            known = await agent.tasks.ListTasks(ALL_TASKS)
            assert [(t.task.task_id, t.unacknowledged_count) for t in known.tasks] == [("t1", 1)]
            connection.acknowledge(ended)
            async for change in agent.tasks.WatchTasks(
                agent_task_service_pb2.WatchAgentTasksRequest(resource_version=known.resource_version)
            ):
                if change.task.unacknowledged_count == 0:
                    break
            known = await agent.tasks.ListTasks(ALL_TASKS)
            assert not known.tasks


async def test_a_status_waits_for_a_master_that_comes_back(agentd: AgentdProcess, master_path: Path) -> None:
    async with scripted_master(master_path) as master:
        connection, _ = await master.connected()
        connection.launch(task("t1", "exit 0"))
        first = await connection.status()
        connection.close()
        connection, register = await master.connected()
        assert [(t.task.task_id, t.framework_id) for t in register.tasks] == [("t1", "f1")]
        assert [f.framework_id for f in register.frameworks] == ["f1"]
        again = await connection.status()
        assert again.status == first.status
        connection.acknowledge(again)
        last = await connection.status()
        assert last.status.state == tasks_pb2.TASK_FINISHED
    agentd.crash()
    async with scripted_master(master_path) as master:
        agentd.start()
        connection, register = await master.connected()
        assert [t.state for t in register.tasks] == [tasks_pb2.TASK_FINISHED]
        again = await connection.status()
        assert str(again.status) == str(last.status)
        connection.acknowledge(again)
        connection.send(reconcile_task=pb.ReconcileTask(framework_id="f1", task_id="t1"))
        gone = await connection.status()
        assert (gone.status.state, gone.status.uuid) == (tasks_pb2.TASK_DROPPED, b"")


def sized(cpus_milli: int) -> list[Resource]:
    """As a master gives it: all that the task is to have."""
    found = resources(cpus_milli=cpus_milli)
    for resource in found:
        resource.allocation_role = "*"
    return found


async def test_a_task_gets_another_size_and_an_agent_that_dies_meanwhile_ends_with_what_it_says(
    agentd: AgentdProcess, master_path: Path
) -> None:
    async with scripted_master(master_path) as master:
        connection, register = await master.connected()
        assert "TASK_RESIZE" in register.agent.capabilities
        connection.launch(task("t1", "exec sleep 1000", asked=sized(200)))
        connection.acknowledge(await connection.status())
        connection.send(resize_task=pb.ResizeTask(framework_id="f1", task_id="t1", resources=sized(400)))
        resized = (await connection.next("task_resized")).task_resized
        assert (list(resized.resources), resized.error) == (sized(400), "")
        told = await connection.status()
        assert told.status.reason == tasks_pb2.REASON_TASK_RESIZED
        connection.acknowledge(told)
        # More than the agent has: nothing changes, and both are told why.
        connection.send(resize_task=pb.ResizeTask(framework_id="f1", task_id="t1", resources=sized(9_000)))
        refused = (await connection.next("task_resized")).task_resized
        assert list(refused.resources) == sized(400)
        assert "more was asked for" in refused.error
        told = await connection.status()
        assert told.status.reason == tasks_pb2.REASON_CONTAINER_UPDATE_FAILED
        connection.acknowledge(told)
        # Limits are an operator's to change here: the master hears which are in force now.
        async with calling(agentd.address) as agent:
            (container,) = await agent.list()
            limits = tasks_pb2.ResourceLimits(pids_count=33)
            request = container_pb.UpdateContainerRequest(container_id=container.container_id, limits=limits)
            await agent.containers.UpdateContainer(request)
        limited = (await connection.next("task_resized")).task_resized
        assert (list(limited.resources), limited.limits, limited.error) == (sized(400), limits, "")
        await connection.heard()
        connection.send(resize_task=pb.ResizeTask(framework_id="f1", task_id="t1", resources=sized(600)))
        agentd.crash()
    async with scripted_master(master_path) as master:
        agentd.start()
        connection, register = await master.connected()
        (known,) = register.tasks
        assert list(known.task.resources) in (sized(400), sized(600))
        assert list(known.resizing) in ([], sized(600))
        assert (known.task.HasField("limits"), known.limits_in_force) == (False, limits)
        connection.send(resize_task=pb.ResizeTask(framework_id="f1", task_id="t1", resources=sized(600)))
        resized = (await connection.next("task_resized")).task_resized
        assert (list(resized.resources), resized.error) == (sized(600), "")
        async with calling(agentd.address) as agent:
            (container,) = await agent.list()
            assert list(container.resources) == sized(600)
        connection.send(kill_task=pb.KillTask(framework_id="f1", task_id="t1"))
        while True:
            told = await connection.status()
            connection.acknowledge(told)
            if told.status.state == tasks_pb2.TASK_KILLED:
                break
        await connection.heard()


async def test_a_kill_and_a_removed_framework(agentd: AgentdProcess, master_path: Path) -> None:
    async with scripted_master(master_path) as master:
        connection, _ = await master.connected()
        connection.launch(task("t1", "exec sleep 1000"), task("t2", "exec sleep 1000"))
        for _ in range(2):
            connection.acknowledge(await connection.status())
        connection.send(kill_task=pb.KillTask(framework_id="f1", task_id="t1"))
        killed = await connection.status()
        assert (killed.status.task_id, killed.status.state) == ("t1", tasks_pb2.TASK_KILLED)
        assert "the framework" in killed.status.message
        connection.acknowledge(killed)
        connection.send(remove_framework=pb.RemoveFramework(framework_id="f1"))
        ended = await connection.status()
        assert (ended.status.task_id, ended.status.state) == ("t2", tasks_pb2.TASK_KILLED)
        connection.acknowledge(ended)
        assert not await asyncio.to_thread(agentd.wait_for_no_cgroups)
        connection.send(ping=pb.MasterPing(sequence=7))
        assert (await connection.next("pong")).pong.sequence == 7


async def test_standalone_containers_are_told_and_what_no_longer_fits_is_given_back(
    agentd: AgentdProcess, master_path: Path
) -> None:
    async with scripted_master(master_path) as master, calling(agentd.address) as agent:
        connection, _ = await master.connected()
        connection.send(ping=pb.MasterPing(sequence=1))
        await connection.next("pong")
        running = await agent.launch(shell("exec sleep 1000"), until=RUNNING, asked=resources(cpus_milli=1500))
        used = (await connection.next("update_standalone")).update_standalone.resources
        assert {r.name: r.scalar_milli for r in used}["cpus"] == 1500
        connection.launch(task("t1", "true", asked=resources(cpus_milli=1000)))
        refused = (await connection.next("launch_refused")).launch_refused
        assert list(refused.task_ids) == ["t1"]
        assert "is free here" in refused.message
        assert refused.reason == tasks_pb2.REASON_RESOURCES_UNKNOWN
        await agent.kill(running, grace_ms=0)
        assert not (await connection.next("update_standalone")).update_standalone.resources


@pytest.mark.no_cgroups
async def test_users(agentd: AgentdProcess, master_path: Path) -> None:
    async with scripted_master(master_path) as master:
        connection, _ = await master.connected()
        connection.launch(task("t1", "true", user="no-such-user"))
        failed = await connection.status()
        assert failed.status.state == tasks_pb2.TASK_FAILED
        assert failed.status.evidence.launch_failure.stage == "user"
        assert "no-such-user" in failed.status.message
        connection.acknowledge(failed)
        await connection.heard()


@pytest.mark.no_cgroups
@pytest.mark.parametrize(
    ("principal", "user", "said"),
    [
        ("uid:65534", "root", "uid 65534 may not run tasks as root"),
        ("", "", "name a user: the framework's caller is not known here"),
        ("somebody", "", "name a user: the framework's caller is not known here"),
    ],
)
async def test_nobody_is_silently_root(
    agentd: AgentdProcess, master_path: Path, principal: str, user: str, said: str
) -> None:
    """Whatever the master lets through: the agent looks for itself."""
    framework = parties_pb2.FrameworkInfo(framework_id="f3", name="f", roles=["*"], principal=principal)
    async with scripted_master(master_path) as master:
        connection, _ = await master.connected()
        connection.send(launch_tasks=pb.LaunchTasks(framework=framework, tasks=[task("t1", "id -u", user=user)]))
        failed = await connection.status()
        connection.acknowledge(failed)
        await connection.heard()
        assert failed.status.state == tasks_pb2.TASK_FAILED
        assert said in failed.status.message


@pytest.mark.no_cgroups
async def test_without_a_user_a_task_runs_as_its_frameworks_caller(agentd: AgentdProcess, master_path: Path) -> None:
    framework = parties_pb2.FrameworkInfo(framework_id="f4", name="f", roles=["*"], principal="uid:65534")
    async with scripted_master(master_path) as master:
        connection, _ = await master.connected()
        connection.send(
            launch_tasks=pb.LaunchTasks(framework=framework, tasks=[task("t1", 'exit "$(id -u | cut -c1-2)"')])
        )
        connection.acknowledge(await connection.status())
        ended = await connection.status()
        connection.acknowledge(ended)
        await connection.heard()
        assert ended.status.evidence.exit_code == 65


@pytest.mark.no_cgroups
async def test_a_silent_master_is_left_and_asked_again(agentd: AgentdProcess, master_path: Path) -> None:
    async with scripted_master(master_path) as master:
        await master.connected(ping_interval_ms=100)
        await master.connected()
        assert "said nothing for 0.1 s" in agentd.log


@pytest.mark.no_cgroups
async def test_a_master_that_comes_and_goes_is_found_soon_each_time(agentd: AgentdProcess, master_path: Path) -> None:
    """Each registration begins the waits anew: without that the twelfth alone would take a minute and more."""
    async with asyncio.timeout(60 * TIME_SCALE), scripted_master(master_path) as master:
        for _ in range(12):
            connection, _ = await master.connected()
            await connection.heard()
            connection.close()
        await master.connected()


async def test_garbage_from_a_master_costs_nothing(agentd: AgentdProcess, master_path: Path) -> None:
    async with scripted_master(master_path) as master:
        connection, _ = await master.connected()
        connection.launch(task("../x", "true"))
        connection.send(kill_task=pb.KillTask(framework_id="", task_id="\0"))
        connection.send(acknowledge_status=pb.AcknowledgeStatus(framework_id="f1", task_id="t", uuid=b"short"))
        connection.send()
        connection.send(ping=pb.MasterPing(sequence=9))
        assert (await connection.next("pong")).pong.sequence == 9


@pytest.mark.no_cgroups
async def test_a_framework_of_a_user_cannot_become_root_by_asking_for_capabilities(
    agentd: AgentdProcess, master_path: Path
) -> None:
    framework = parties_pb2.FrameworkInfo(framework_id="f2", name="f", roles=["*"], principal="uid:65534")
    linux = tasks_pb2.LinuxInfo(effective_capabilities=["CAP_DAC_OVERRIDE"])
    task = tasks_pb2.TaskInfo(
        task_id="t1",
        name="t1",
        agent_id="a",
        resources=resources(),
        command=shell("head -c 4 /etc/shadow"),
        container=tasks_pb2.ContainerInfo(linux=linux),
    )
    async with scripted_master(master_path) as master:
        connection, _ = await master.connected()
        connection.send(launch_tasks=pb.LaunchTasks(framework=framework, tasks=[task]))
        update = await connection.status()
        connection.acknowledge(update)
        await connection.heard()
        ended = update.status
        assert ended.state in {tasks_pb2.TASK_FAILED, tasks_pb2.TASK_ERROR}
        assert "CAP_DAC_OVERRIDE" in ended.message
