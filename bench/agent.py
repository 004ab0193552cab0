"""The subject of every figure: a real agentd, spoken to over its socket as any operator's tool does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from bench.bundle import CPUS_MILLI, MEMORY_BYTES, PIDS_COUNT
from paddock.rpc.channel import NO_DEADLINE_S, Channel
from paddock.wire.v1 import container_service_pb2 as service
from paddock.wire.v1 import containers_pb2, resources_pb2, tasks_pb2
from paddock.wire.v1.container_service_pb2_grpc import ContainerServiceStub

SLEEP = ("/bin/sleep", "100000")
MIB = 1 << 20


class LaunchError(Exception):
    """A container did not end, or begin, as asked: what the agent says of it."""


class Agent:
    """Containers of the same kind as the peers' bundle, on one agent."""

    def __init__(self, channel: Channel, agentd_pid: int, address: str) -> None:
        self._containers = ContainerServiceStub(channel)
        self.agentd_pid = agentd_pid
        self.address = address

    async def run_true(self, *, disk_mib: int = 0) -> float:
        """Seconds of one whole life of /bin/true: request, ended, recorded, cgroups removed, answer."""
        begin_s = time.perf_counter()
        container = await self._launch(("/bin/true",), service.WAIT_UNTIL_TERMINATED, disk_mib)
        took_s = time.perf_counter() - begin_s
        if container.termination.state != tasks_pb2.TASK_FINISHED:
            raise LaunchError(f"/bin/true: {container.termination}")
        return took_s

    async def run_many(self, *, count: int, in_flight: int, disk_mib: int = 0) -> float:
        """Seconds until ``count`` lives of /bin/true are over."""
        begin_s = time.perf_counter()
        await in_turn(count, in_flight, lambda: self.run_true(disk_mib=disk_mib))
        return time.perf_counter() - begin_s

    async def start_sleeper(self, *, disk_mib: int = 0) -> containers_pb2.Container:
        """A container that runs, and sleeps until it is ended."""
        return await self._launch(SLEEP, service.WAIT_UNTIL_RUNNING, disk_mib)

    async def end(self, container: containers_pb2.Container) -> None:
        """SIGKILL, and wait until it is recorded and removed."""
        policy = tasks_pb2.KillPolicy(signal=9, grace_period_ms=0)
        await self._containers.KillContainer(
            service.KillContainerRequest(container_id=container.container_id, kill_policy=policy)
        )
        await self._containers.WaitContainer(
            service.WaitContainerRequest(container_id=container.container_id), timeout=NO_DEADLINE_S
        )

    async def wait(self, container: containers_pb2.Container) -> containers_pb2.Container:
        """As it is told once it has ended."""
        request = service.WaitContainerRequest(container_id=container.container_id)
        answer = await self._containers.WaitContainer(request, timeout=NO_DEADLINE_S)
        return answer.container

    async def running_count(self) -> int:
        """How many have not ended."""
        count, token = 0, ""
        while True:
            answer = await self._containers.ListContainers(service.ListContainersRequest(page_token=token))
            count += len(answer.containers)
            token = answer.next_page_token
            if not token:
                return count

    async def statistics(self) -> Sequence[service.ContainerStatistics]:
        """The statistics of everything that runs, read from the kernel now."""
        answer = await self._containers.ListStatistics(service.ListStatisticsRequest())
        return answer.statistics

    async def _launch(
        self, arguments: Sequence[str], until: service.WaitUntil.ValueType, disk_mib: int
    ) -> containers_pb2.Container:
        resources = [_scalar("cpus", CPUS_MILLI), _scalar("mem", MEMORY_BYTES // MIB * 1000)]
        if disk_mib:
            resources.append(_scalar("disk", disk_mib * 1000))
        answer = await self._containers.LaunchContainer(
            service.LaunchContainerRequest(
                command=tasks_pb2.CommandInfo(arguments=arguments),
                resources=resources,
                limits=tasks_pb2.ResourceLimits(pids_count=PIDS_COUNT),
                wait_until=until,
            ),
            timeout=NO_DEADLINE_S,
        )
        if until == service.WAIT_UNTIL_RUNNING and answer.container.state != containers_pb2.CONTAINER_RUNNING:
            raise LaunchError(f"{' '.join(arguments)} does not run: {answer.container}")
        return answer.container


async def in_turn(count: int, in_flight: int, one: Callable[[], Awaitable[object]]) -> None:
    """Do ``one`` ``count`` times, ``in_flight`` at once."""
    left = iter(range(count))

    async def lane() -> None:
        for _number in left:
            await one()

    async with asyncio.TaskGroup() as group:
        for _lane in range(in_flight):
            group.create_task(lane())


def _scalar(name: str, milli: int) -> resources_pb2.Resource:
    return resources_pb2.Resource(name=name, scalar_milli=milli)
