"""A task as it is asked for, protobuf ↔ model."""

from __future__ import annotations

from collections.abc import Sequence

from paddock.model import ids
from paddock.model.errors import InvalidRequest, Unsupported
from paddock.model.task import CommandInfo, ContainerInfo, ContainerType, TaskInfo
from paddock.wire.convert import bounds
from paddock.wire.convert.commands import (
    command_from_wire,
    command_to_wire,
    kill_policy_from_wire,
    kill_policy_to_wire,
    limits_from_wire,
    limits_to_wire,
    log_policy_from_wire,
    log_policy_to_wire,
)
from paddock.wire.convert.container_info import container_info_from_wire, container_info_to_wire
from paddock.wire.convert.health import check_from_wire, check_to_wire, health_check_from_wire, health_check_to_wire
from paddock.wire.convert.resources import resources_from_wire, resources_to_wire
from paddock.wire.v1 import tasks_pb2 as pb


def task_info_from_wire(message: pb.TaskInfo, field: str = "task") -> TaskInfo:
    """Raises InvalidRequest, or Unsupported for what the wire knows and this version does not carry out."""
    container = container_info_from_wire(message.container, f"{field}.container")
    return TaskInfo(
        task_id=ids.task_id(message.task_id, f"{field}.task_id"),
        name=bounds.text(message.name, f"{field}.name"),
        agent_id=ids.agent_id(message.agent_id, f"{field}.agent_id"),
        resources=resources_from_wire(message.resources, f"{field}.resources"),
        command=_work_from_wire(message, field, of_image=container.type is ContainerType.DOCKER),
        limits=limits_from_wire(message.limits, f"{field}.limits"),
        container=container,
        kill_policy=kill_policy_from_wire(message.kill_policy, f"{field}.kill_policy"),
        max_completion_time_ms=bounds.duration_ms(message.max_completion_time_ms, f"{field}.max_completion_time_ms"),
        labels=bounds.labels(message.labels, f"{field}.labels"),
        health_check=health_check_from_wire(message.health_check, f"{field}.health_check")
        if message.HasField("health_check")
        else None,
        check=check_from_wire(message.check, f"{field}.check") if message.HasField("check") else None,
        log_policy=log_policy_from_wire(message.log_policy, f"{field}.log_policy"),
    )


def _work_from_wire(message: pb.TaskInfo, field: str, *, of_image: bool) -> CommandInfo:
    match message.WhichOneof("work"):
        case "command":
            return command_from_wire(message.command, f"{field}.command", of_image=of_image)
        case "executor":
            raise Unsupported(f"{field}.executor", "give a command: the agent runs it without an executor")
        case None if of_image:
            return CommandInfo()
        case None:
            raise InvalidRequest(f"{field}.command", "", "give the command that the task runs")


def task_infos_from_wire(messages: Sequence[pb.TaskInfo], field: str = "tasks") -> tuple[TaskInfo, ...]:
    """Several, each id once."""
    bounds.count(messages, field, bounds.TASKS_LIMIT_COUNT)
    bounds.unique([message.task_id for message in messages], field)
    return tuple(task_info_from_wire(message, f"{field}[{index}]") for index, message in enumerate(messages))


def task_info_to_wire(task: TaskInfo) -> pb.TaskInfo:
    """What task_info_from_wire turns back into the same."""
    return pb.TaskInfo(
        task_id=task.task_id,
        name=task.name,
        agent_id=task.agent_id,
        resources=resources_to_wire(task.resources),
        limits=limits_to_wire(task.limits),
        command=command_to_wire(task.command),
        container=None if task.container == ContainerInfo() else container_info_to_wire(task.container),
        kill_policy=kill_policy_to_wire(task.kill_policy),
        max_completion_time_ms=task.max_completion_time_ms,
        labels=dict(task.labels),
        health_check=None if task.health_check is None else health_check_to_wire(task.health_check),
        check=None if task.check is None else check_to_wire(task.check),
        log_policy=log_policy_to_wire(task.log_policy),
    )
