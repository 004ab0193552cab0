"""A master's launch of Docker tasks: what one asks for that cannot be is its own failure, and the next is launched."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import cast

import pytest

from agentd.config import configuration
from agentd.core.events import Event, LaunchTasks
from agentd.rpc.powers import Powers
from agentd.rpc.task_launches import TaskLaunches
from agentd.shell import Shell
from agentd.users import Users
from paddock.daemon.config import Shown
from paddock.model.docker import DockerInfo
from paddock.model.image import parse_image
from paddock.model.task import DEFAULT_LOG_POLICY
from paddock.wire.v1 import agent_registry_service_pb2 as pb
from tests.unit.agentd.core import made


async def launched(message: pb.LaunchTasks, *flags: str) -> LaunchTasks:
    events: list[Event] = []
    shell = SimpleNamespace(state=made.state(), post=events.append)
    found = configuration().load(flags, {})
    assert not isinstance(found, Shown)
    launches = TaskLaunches(
        cast("Shell", shell), Users(), Powers.of(found.settings), "/work", log_policy=DEFAULT_LOG_POLICY
    )
    await launches.launch(message)
    (event,) = events
    assert isinstance(event, LaunchTasks)
    return event


def asked(uid: int = 0) -> pb.LaunchTasks:
    message = pb.LaunchTasks()
    message.framework.framework_id = "f1"
    message.framework.principal = f"uid:{uid}"
    for name in ("t1", "t2"):
        task = message.tasks.add(task_id=name, agent_id="a1")
        task.resources.add(name="cpus", scalar_milli=100)
        task.command.arguments.append("true")
    return message


@pytest.mark.parametrize(
    ("network", "words"),
    [(0, "container.docker.port_mappings: '80:80/tcp'"), (2, "port_mappings[0].host_port: 80 is not accepted")],
)
async def test_parts_that_do_not_go_together_fail_their_task_alone(network: int, words: str) -> None:
    message = asked()
    message.tasks[0].container.docker.image = "busybox"
    message.tasks[0].container.docker.network = network  # type: ignore[assignment]
    message.tasks[0].container.docker.port_mappings.add(host_port=80, container_port=80)
    first, second = (await launched(message, "--containerizers=native,docker")).launches
    assert first.config is None
    assert first.problem is not None
    assert first.problem.stage == "validate"
    assert words in first.problem.message
    assert second.config is not None


async def test_a_type_that_is_not_run_here_fails_its_task_alone() -> None:
    message = asked()
    message.tasks[1].container.docker.image = "busybox"
    first, second = (await launched(message)).launches
    assert first.config is not None
    assert second.problem is not None
    assert "this agent runs native" in second.problem.message


async def test_what_is_said_to_docker_is_in_the_containers_configuration() -> None:
    message = asked()
    message.tasks[0].container.docker.image = "r.example:5000/a:1"
    message.tasks[0].container.docker.read_only_root = True
    message.tasks[0].ClearField("command")
    (first, _) = (await launched(message, "--containerizers=docker,native")).launches
    assert first.config is not None
    assert first.config.container.docker == DockerInfo(image=parse_image("r.example:5000/a:1"), read_only_root=True)
    assert first.config.user.uid == os.getuid()
