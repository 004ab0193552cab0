"""AgentTaskService: the tasks of this agent, as the agent knows them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from agentd.change_feed import known_version
from agentd.core.effects import TaskView
from agentd.rpc.access import Access
from agentd.shell import Shell
from paddock.rpc.guard import Context
from paddock.rpc.pages import page_on_wire
from paddock.rpc.principal import Principal, current_principal
from paddock.wire import convert
from paddock.wire.v1 import agent_task_service_pb2 as pb
from paddock.wire.v1.agent_task_service_pb2_grpc import AgentTaskServiceServicer

SERVICE_NAME = "paddock.wire.v1.AgentTaskService"
PAGE_LIMIT_COUNT = 1000
_ROOT_UID = 0


def _has_ended(task: TaskView) -> bool:
    return bool(task.statuses) and task.statuses[-1].state.is_terminal


class TaskServicer(AgentTaskServiceServicer):
    """Reads the shell's views."""

    def __init__(self, shell: Shell, access: Access) -> None:
        """For views and their changes."""
        self._shell = shell
        self._access = access

    def _may_see(self, principal: Principal, task: TaskView) -> bool:
        container = self._shell.views.get(task.container_id)
        return self._access.may_see(principal, container.config.user.uid if container else _ROOT_UID)

    async def ListTasks(  # noqa: N802 - the wire's name
        self, request: pb.ListAgentTasksRequest, context: Context
    ) -> pb.ListAgentTasksResponse:
        """By framework, then by task."""
        principal = current_principal()
        visible = [task for task in self._shell.task_views.values() if self._may_see(principal, task)]
        page, token = page_on_wire(
            [task for task in visible if request.include_terminated or not _has_ended(task)],
            key=lambda task: f"{task.framework_id}/{task.task.task_id}",
            to_wire=_task_to_wire,
            size=request.page_size,
            token=request.page_token,
            limit_count=PAGE_LIMIT_COUNT,
        )
        return pb.ListAgentTasksResponse(
            tasks=page,
            next_page_token=token,
            resource_version=self._shell.version,
        )

    async def WatchTasks(  # noqa: N802
        self, request: pb.WatchAgentTasksRequest, context: Context
    ) -> AsyncIterator[pb.WatchAgentTasksResponse]:
        """Until the caller goes away."""
        principal = current_principal()
        version = known_version(request.resource_version, self._shell.version)
        if version == 0:
            version = self._shell.version
            for task in list(self._shell.task_views.values()):
                if self._may_see(principal, task):
                    yield pb.WatchAgentTasksResponse(resource_version=version, task=_task_to_wire(task))
            yield pb.WatchAgentTasksResponse(resource_version=version, bookmark=True)
        while True:
            changes = self._shell.tasks.since(version)
            for version, task in changes:
                if self._may_see(principal, task):
                    yield pb.WatchAgentTasksResponse(resource_version=version, task=_task_to_wire(task))
            if not changes:
                await self._shell.tasks.changed()


def _task_to_wire(view: TaskView) -> pb.AgentTask:
    task = convert.task_info_to_wire(view.task)
    for variable in task.command.environment:
        variable.ClearField("value")  # may be a secret, and lists go to anybody who may see the task
    return pb.AgentTask(
        framework_id=view.framework_id,
        task=task,
        container_id=view.container_id,
        statuses=[convert.task_status_to_wire(status) for status in view.statuses],
        unacknowledged_count=view.unacknowledged_count,
    )
