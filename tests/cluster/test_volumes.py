"""A persistent volume on a real cluster: made by an operator, used by a framework's tasks over crashes of both daemons."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.ids import AgentId, TaskId
from paddock.model.offer import Offer
from paddock.model.resources import Resources, Scalar
from paddock.model.task import CommandInfo, TaskInfo, TaskState, TaskStatus
from paddock.scheduler import Offered, Scheduler, Updated
from testbed.one_host import OneHost
from tests.cluster.conftest import Command

TIMEOUT_S = 60


def of_role(offer: Offer, names: tuple[str, ...]) -> Resources | None:
    """The volumes of these names, and some cpus and mem that are reserved; None: not among what is offered."""
    volumes = [each for each in offer.resources if each.volume and each.volume.persistence_id in names]
    reserved = [each for each in offer.resources if each.volume is None and each.reserved_role == "prod"]
    plain = [each.amounting(Scalar(milli=100)) for each in reserved if each.name == "cpus"]
    plain += [each.amounting(Scalar(milli=32_000)) for each in reserved if each.name == "mem"]
    return Resources((*volumes, *plain)) if (len(volumes), len(plain)) == (len(names), 2) else None


async def run(host: OneHost, name: str, line: str, *volumes: str) -> TaskStatus:
    """One task with these volumes, to its end; what is offered without them is given back."""
    capabilities = frozenset({FrameworkCapability.SHARED_RESOURCES, FrameworkCapability.PARTITION_AWARE})
    framework = FrameworkInfo(name=name, roles=("prod",), capabilities=capabilities)
    async with asyncio.timeout(TIMEOUT_S), Scheduler(host.master_address, framework) as scheduler:
        async for event in scheduler:
            if isinstance(event, Offered):
                for offer in event.offers:
                    resources = of_role(offer, volumes)
                    if resources is None:
                        await scheduler.decline(offer, refuse_s=0.1)
                        continue
                    command = CommandInfo(shell=True, value=line)
                    task = TaskInfo(
                        task_id=TaskId(name), name=name, agent_id=AgentId(""), resources=resources, command=command
                    )
                    await scheduler.accept(offer, [task])
            if isinstance(event, Updated) and event.status.state.is_terminal:
                return event.status
    raise AssertionError("the events ended")


def succeeds(host: OneHost, name: str, line: str, *volumes: str) -> None:
    status = host.run(run(host, name, line, *volumes))
    assert status.state is TaskState.FINISHED, (status.message, host.agentd.log_tail())


def does(paddock: Command, *words: str) -> None:
    """What it did is told on stderr."""
    done = paddock(*words)
    assert done.returncode == 0, done.stderr


def until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.05)


@pytest.mark.timeout(180)
def test_a_volume_from_create_to_destroy(cluster: OneHost, paddock: Command) -> None:
    agent = cluster.agent_id
    roles = Path(cluster.directory, "work", "agents", agent, "volumes", "roles", "prod")
    does(paddock, "reserve", agent, "cpus(prod):1;mem(prod):256;disk(prod):100")
    does(paddock, "volumes", "create", agent, "db", "--role=prod", "--size=20MiB", "--path=var/db")
    does(paddock, "volumes", "create", agent, "pictures", "--role=prod", "--size=10MiB", "--shared", "--read-only")
    until(lambda: roles.is_dir() and sorted(os.listdir(roles)) == ["db", "pictures"], "the directories are not made")
    (roles / "pictures" / "one").write_text("by hand")

    succeeds(cluster, "writes", "cat pictures/one && ! touch pictures/x && echo kept > var/db/a", "db", "pictures")
    for daemon in (cluster.agentd, cluster.masterd):
        daemon.send(signal.SIGKILL)
        daemon.stop()
    cluster.masterd.start()
    cluster.agentd.start()
    until(lambda: "active" in paddock.text("agents"), "the agent is not back")
    succeeds(cluster, "reads", "test $(cat var/db/a) = kept", "db")

    for name in ("db", "pictures"):
        does(paddock, "volumes", "destroy", agent, name)
    until(lambda: os.listdir(roles) == [], "something destroyed is still there")
    does(paddock, "unreserve", agent, "cpus(prod):1;mem(prod):256;disk(prod):100")
