"""ContainerService: containers as operators launch, kill, watch and measure them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

from agentd.change_feed import known_version
from agentd.containerizer.contract import Containerizer
from agentd.core import resizing
from agentd.core.events import KillContainer, LaunchStandalone, ResizeContainer
from agentd.rpc.access import Access
from agentd.rpc.powers import Powers
from agentd.sandbox import sandbox_path
from agentd.shell import Shell
from agentd.users import Users
from paddock.model.container import Container, ContainerConfig, ContainerState
from paddock.model.errors import InvalidRequest, Unavailable
from paddock.model.ids import ContainerId, FrameworkId, TaskId
from paddock.model.task import LogPolicy
from paddock.rpc.guard import Context
from paddock.rpc.pages import page_on_wire
from paddock.rpc.principal import Principal, current_principal
from paddock.wire import convert
from paddock.wire.v1 import container_service_pb2 as pb
from paddock.wire.v1 import containers_pb2
from paddock.wire.v1.container_service_pb2_grpc import ContainerServiceServicer

SERVICE_NAME = "paddock.wire.v1.ContainerService"
PAGE_LIMIT_COUNT = 1000
CONVERTED_AT_ONCE_COUNT = 256
"""A millisecond of the loop."""
_RESERVED_IDS = frozenset({"launcher"})
"""On cgroup v2 the launcher's own leaf stands beside the containers'."""


def _has_ended(container: Container) -> bool:
    return container.state is ContainerState.TERMINATED


def _has_started(container: Container) -> bool:
    return container.started_ns > 0 or _has_ended(container)


class ContainerServicer(ContainerServiceServicer):
    """Reads the shell's views; changes come back through its events."""

    def __init__(
        self,
        shell: Shell,
        containerizer: Containerizer,
        access: Access,
        users: Users,
        powers: Powers,
        work_dir: str,
        log_policy: LogPolicy,
    ) -> None:
        """All are the agent's own."""
        self._shell = shell
        self._containerizer = containerizer
        self._access = access
        self._users = users
        self._powers = powers
        self._work_dir = work_dir
        self._log_policy = log_policy

    async def LaunchContainer(  # noqa: N802 - the wire's name
        self, request: pb.LaunchContainerRequest, context: Context
    ) -> pb.LaunchContainerResponse:
        """One call for a whole launch: `wait_until` says when it is answered."""
        principal = current_principal()
        launch = convert.standalone_launch_from_wire(request)
        config = await self._config(launch, principal)
        if not self._shell.state.recovered:
            raise Unavailable("the agent is still looking for the containers of its earlier life; try again")
        await self._shell.ask(lambda request_id: LaunchStandalone(request_id=request_id, config=config))
        container_id = config.container_id
        if launch.wait_until is convert.WaitUntil.TERMINATED:
            container = await self._shell.wait_for(container_id, _has_ended)
        elif launch.wait_until is convert.WaitUntil.RUNNING:
            container = await self._shell.wait_for(container_id, _has_started)
        else:
            container = self._shell.views[container_id]
        return pb.LaunchContainerResponse(container=convert.container_to_wire(container))

    async def _config(self, launch: convert.StandaloneLaunch, principal: Principal) -> ContainerConfig:
        field = "command.user"
        if launch.command.user:
            user = await self._users.by_name(launch.command.user, field)
        else:
            user = await self._users.by_uid(principal.uid, field)
        self._access.require(principal, f"run a container as {user.name}", user.uid)
        self._powers.require(principal.uid, launch.container)
        if not launch.resources:
            # It would run within the least limits all the same, and count as nothing: without end, for anybody.
            raise InvalidRequest("resources", "", "ask for cpus or mem, so that what it uses is counted")
        if launch.container_id in _RESERVED_IDS:
            raise InvalidRequest("container_id.value", launch.container_id, "this name is the launcher's; take another")
        container_id = launch.container_id or ContainerId(uuid.uuid4().hex)
        agent_id = self._shell.state.agent_id
        return ContainerConfig(
            container_id=container_id,
            agent_id=agent_id,
            command=launch.command,
            resources=launch.resources,
            user=user,
            sandbox=sandbox_path(self._work_dir, agent_id, FrameworkId(""), TaskId(""), container_id),
            limits=launch.limits,
            container=launch.container,
            kill_policy=launch.kill_policy,
            max_completion_time_ms=launch.max_completion_time_ms,
            name=launch.name,
            labels=launch.labels,
            health_check=launch.health_check,
            log_policy=launch.log_policy.over(self._log_policy),
        )

    async def KillContainer(  # noqa: N802
        self, request: pb.KillContainerRequest, context: Context
    ) -> pb.KillContainerResponse:
        """Answered when the wish is durable; WaitContainer tells the end."""
        principal = current_principal()
        container_id = convert.container_id_from_wire(request.container_id)
        self._access.container(principal, "kill", container_id)
        policy = convert.kill_policy_from_wire(request.kill_policy) if request.HasField("kill_policy") else None
        await self._shell.ask(
            lambda request_id: KillContainer(
                request_id=request_id, container_id=container_id, policy=policy, by=principal.name
            )
        )
        return pb.KillContainerResponse()

    async def UpdateContainer(  # noqa: N802
        self, request: pb.UpdateContainerRequest, context: Context
    ) -> pb.UpdateContainerResponse:
        """Answered when it is in force and durable, or when the old size is in force again. What is only validated is said of
        the state as it is now.
        """
        principal = current_principal()
        update = convert.container_update_from_wire(request)
        self._access.container(principal, "resize", update.container_id)

        def event(request_id: int) -> ResizeContainer:
            return ResizeContainer(
                request_id=request_id,
                container_id=update.container_id,
                resources=update.resources,
                limits=update.limits,
                by=principal.name,
            )

        if update.validate_only:
            await self._containerizer.check_resize(resizing.rehearsed(self._shell.state, event(0)))
        else:
            await self._shell.ask(event)
        container = self._access.container(principal, "read", update.container_id)
        limits = await self._containerizer.limits(update.container_id)
        return pb.UpdateContainerResponse(
            container=convert.container_to_wire(container),
            limits=[convert.effective_limit_to_wire(limit) for limit in limits],
        )

    async def WaitContainer(  # noqa: N802
        self, request: pb.WaitContainerRequest, context: Context
    ) -> pb.WaitContainerResponse:
        """The caller's deadline is gRPC's to keep."""
        container_id = convert.container_id_from_wire(request.container_id)
        self._access.container(current_principal(), "wait for", container_id)
        container = await self._shell.wait_for(container_id, _has_ended)
        return pb.WaitContainerResponse(container=convert.container_to_wire(container))

    async def GetContainer(  # noqa: N802
        self, request: pb.GetContainerRequest, context: Context
    ) -> containers_pb2.Container:
        """As it is now."""
        container_id = convert.container_id_from_wire(request.container_id)
        return convert.container_to_wire(self._access.container(current_principal(), "read", container_id))

    async def ListContainers(  # noqa: N802
        self, request: pb.ListContainersRequest, context: Context
    ) -> pb.ListContainersResponse:
        """Oldest first."""
        visible = self._visible(current_principal())
        wanted = [c for c in visible if request.include_terminated or not _has_ended(c)]
        page, token = page_on_wire(
            wanted,
            key=lambda container: f"{container.created_ns:020d}-{container.config.container_id}",
            to_wire=convert.container_to_wire,
            size=request.page_size,
            token=request.page_token,
            limit_count=PAGE_LIMIT_COUNT,
        )
        return pb.ListContainersResponse(
            containers=page,
            next_page_token=token,
            resource_version=self._shell.version,
        )

    def _visible(self, principal: Principal) -> list[Container]:
        known = self._shell.state.containers
        return [
            view
            for container_id, view in self._shell.views.items()
            if container_id in known and self._access.may_see(principal, view.config.user.uid)
        ]

    async def WatchContainers(  # noqa: N802
        self, request: pb.WatchContainersRequest, context: Context
    ) -> AsyncIterator[pb.WatchContainersResponse]:
        """Until the caller goes away."""
        principal = current_principal()
        version = known_version(request.resource_version, self._shell.version)
        if version == 0:
            version = self._shell.version
            for container in self._visible(principal):
                yield pb.WatchContainersResponse(
                    resource_version=version, container=convert.container_to_wire(container)
                )
            yield pb.WatchContainersResponse(resource_version=version, bookmark=True)
        while True:
            changes = self._shell.containers.since(version)
            for version, container in changes:
                if self._access.may_see(principal, container.config.user.uid):
                    message = convert.container_to_wire(container)
                    yield pb.WatchContainersResponse(resource_version=version, container=message)
            if not changes:
                await self._shell.containers.changed()

    async def ListStatistics(  # noqa: N802
        self, request: pb.ListStatisticsRequest, context: Context
    ) -> pb.ListStatisticsResponse:
        """Read from the kernel now, at every call."""
        principal = current_principal()
        asked = [
            convert.container_id_from_wire(each, f"container_ids[{i}]") for i, each in enumerate(request.container_ids)
        ]
        for container_id in asked:
            self._access.container(principal, "measure", container_id)
        if not asked:
            running = (c for c in self._visible(principal) if c.pid and not _has_ended(c))
            asked = [container.config.container_id for container in running]
        measured = await self._containerizer.usage(asked)
        answer = pb.ListStatisticsResponse()
        for i, (container_id, usage) in enumerate(zip(asked, measured, strict=True)):
            # Made where it belongs: a message that is put into another one is copied.
            convert.fill_statistics(answer.statistics.add(container_id={"value": container_id}).statistics, usage)
            if i % CONVERTED_AT_ONCE_COUNT == CONVERTED_AT_ONCE_COUNT - 1:
                await asyncio.sleep(0)  # the others' turn
        return answer

    async def ListEffectiveLimits(  # noqa: N802
        self, request: pb.ListEffectiveLimitsRequest, context: Context
    ) -> pb.ListEffectiveLimitsResponse:
        """What was asked, and what the kernel has in force now."""
        container_id = convert.container_id_from_wire(request.container_id)
        self._access.container(current_principal(), "read", container_id)
        limits = await self._containerizer.limits(container_id)
        return pb.ListEffectiveLimitsResponse(limits=[convert.effective_limit_to_wire(limit) for limit in limits])
