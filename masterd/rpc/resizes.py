"""ResizeService: other sizes for running tasks, as operators ask for them."""
# ruff: noqa: N802 - the methods' names are the proto's

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message
from grpc.aio import ServicerContext

from masterd.core import resizing
from masterd.core.events import OperatorResize
from masterd.core.state import TaskEntry
from masterd.rpc.callers import current_caller
from masterd.shell import MasterShell
from paddock.model import ids
from paddock.model.errors import ContainerizerError, InvalidRequest, Unavailable
from paddock.model.ids import FrameworkId, TaskId
from paddock.model.resources import Resources
from paddock.wire import convert
from paddock.wire.v1 import resize_service_pb2 as pb
from paddock.wire.v1 import resources_pb2
from paddock.wire.v1.resize_service_pb2_grpc import ResizeServiceServicer

_Context = ServicerContext[Message, Message]


def amounts_from_wire(messages: Sequence[resources_pb2.Resource]) -> Resources:
    """Each name once, and something of it. Raises InvalidRequest."""
    found = convert.resources_from_wire(messages)
    if not messages or len(found.items) != len(messages):
        remedy = "say what is to change (cpus, mem, disk): each name once, and more than 0 of it"
        raise InvalidRequest("resources", ", ".join(message.name for message in messages), remedy)
    return found


class Resizes(ResizeServiceServicer):
    """The caller's deadline is gRPC's to keep: what was begun goes on without it."""

    def __init__(self, shell: MasterShell) -> None:
        self._shell = shell

    async def ResizeTask(self, request: pb.ResizeTaskRequest, context: _Context) -> pb.ResizeTaskResponse:
        """Answers when the agent has said what is in force. What is only validated is said of the state as it is now."""
        framework_id = ids.framework_id(request.framework_id)
        task_id = ids.task_id(request.task_id)
        event = OperatorResize(
            caller=current_caller(),
            framework_id=framework_id,
            task_id=task_id,
            resources=amounts_from_wire(request.resources),
            limits=convert.limits_from_wire(request.limits),
        )
        if request.validate_only:
            wanted = resizing.rehearsed(self._shell.machine.state, event)
            return pb.ResizeTaskResponse(resources=convert.resources_to_wire(wanted))
        await self._shell.call(event)
        task = await self._settled(framework_id, task_id)
        if task.resize_error:
            raise ContainerizerError(task.container_id, "update", task.resize_error)
        return pb.ResizeTaskResponse(resources=convert.resources_to_wire(task.info.resources))

    async def _settled(self, framework_id: FrameworkId, task_id: TaskId) -> TaskEntry:
        while True:
            framework = self._shell.machine.state.frameworks.get(framework_id)
            task = framework.tasks.get(task_id) if framework is not None else None
            if task is None or task.released:
                raise Unavailable(f"task {task_id} ended, or its agent went away, while its size was being changed")
            if task.resizing is None:
                return task
            await self._shell.feed.wait()
