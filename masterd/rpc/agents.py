"""AgentRegistryService: the stream between an agent and this master."""
# ruff: noqa: N802 - the methods' names are the proto's

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from google.protobuf.message import Message
from grpc.aio import ServicerContext

from masterd.core.effects import (
    AgentMessage,
    TellAcknowledged,
    TellFrameworkGone,
    TellKill,
    TellLaunch,
    TellPing,
    TellReconcile,
    TellRegistered,
    TellResize,
    TellVolumes,
)
from masterd.core.events import (
    AgentAnswered,
    AgentRegistered,
    AgentStreamLost,
    Event,
    LaunchRefused,
    ProblemReported,
    RegisteredTask,
    StandaloneChanged,
    StatusReported,
    TaskResized,
    VolumesFound,
    VolumesRemoved,
)
from masterd.shell import MasterShell
from masterd.streams import Stream
from paddock.model import ids
from paddock.model.errors import InvalidRequest, PaddockError, Unavailable
from paddock.model.ids import ContainerId
from paddock.model.task import Reason, ResourceLimits
from paddock.rpc.principal import ROOT_UID, Authorizer, current_principal
from paddock.wire import convert
from paddock.wire.v1 import agent_registry_service_pb2 as pb
from paddock.wire.v1 import parties_pb2
from paddock.wire.v1.agent_registry_service_pb2_grpc import AgentRegistryServiceServicer

REGISTER_TIMEOUT_S = 10.0
"""A connection that does not say who it is by then is closed."""

PROBLEM_SHOWN_COUNT = 4096
"""Characters of what an agent says of itself."""


class AgentRegistry(AgentRegistryServiceServicer):
    """Only root's agents: whoever registers is given other people's tasks to run."""

    def __init__(self, shell: MasterShell, authorizer: Authorizer) -> None:
        self._shell = shell
        self._authorizer = authorizer

    async def Connect(
        self, request_iterator: AsyncIterator[pb.AgentMessage], context: ServicerContext[Message, Message]
    ) -> AsyncIterator[pb.MasterMessage]:
        """What the agent says goes in as it comes, one after the other; what it is told goes out in order."""
        self._authorizer.authorize(current_principal(), "register an agent", ROOT_UID)
        first = await _first_of(request_iterator)
        number = self._shell.new_stream_number()
        event = registration(first, number)
        stream = self._shell.agents.open(number)
        reader: asyncio.Task[None] | None = None
        try:
            await self._shell.call(event)
            reader = asyncio.create_task(self._read(request_iterator, stream))
            master = convert.master_info_to_wire(self._shell.machine.state.master)
            async for message in stream.messages():
                yield to_wire(message, master)
        finally:
            if reader is not None:
                reader.cancel()
            self._lost(number)

    def _lost(self, number: int) -> None:
        self._shell.agents.forget(number)
        self._shell.post(AgentStreamLost(stream=number))

    async def _read(self, requests: AsyncIterator[pb.AgentMessage], stream: Stream[AgentMessage]) -> None:
        """Until the agent ends. Each message is handled before the next is read: a flood waits in the agent's own socket."""
        try:
            async for message in requests:
                await self._shell.call(event_of(message, stream.number))
        except PaddockError as error:
            stream.close(error)
        else:
            stream.close()


async def _first_of(requests: AsyncIterator[pb.AgentMessage]) -> pb.RegisterAgent:
    try:
        async with asyncio.timeout(REGISTER_TIMEOUT_S):
            message = await anext(requests, None)
    except TimeoutError:
        raise Unavailable(f"the agent did not register within {REGISTER_TIMEOUT_S:g} s of connecting") from None
    if message is None or message.WhichOneof("message") != "register":
        raise InvalidRequest("message", message.WhichOneof("message") if message else "", "register first")
    return message.register


def registration(message: pb.RegisterAgent, number: int) -> AgentRegistered:
    """Checked. Raises InvalidRequest or Unsupported naming the field."""
    tasks = tuple(
        RegisteredTask(
            framework_id=ids.framework_id(task.framework_id, f"tasks[{index}].framework_id"),
            task=convert.task_info_from_wire(task.task, f"tasks[{index}].task"),
            state=convert.task_state_from_wire(task.state, f"tasks[{index}].state"),
            container_id=_container_id(task.container_id, f"tasks[{index}].container_id"),
            resizing=convert.resources_from_wire(task.resizing, f"tasks[{index}].resizing"),
            limits=_limits_in_force(task, f"tasks[{index}].limits_in_force"),
        )
        for index, task in enumerate(message.tasks)
    )
    frameworks = tuple(
        replace(convert.framework_info_from_wire(info, f"frameworks[{index}]"), offer_terms=())
        for index, info in enumerate(message.frameworks)
    )
    for index, framework in enumerate(frameworks):
        ids.framework_id(framework.framework_id, f"frameworks[{index}].framework_id")
    agent = convert.agent_info_from_wire(message.agent, "agent")
    for index, task in enumerate(tasks):
        if task.task.agent_id != agent.agent_id:
            raise InvalidRequest(f"tasks[{index}].task.agent_id", task.task.agent_id, "register your own tasks only")
    return AgentRegistered(
        stream=number,
        agent=agent,
        tasks=tasks,
        frameworks=frameworks,
        standalone=convert.resources_from_wire(message.standalone_resources, "standalone_resources"),
        problem=message.problem[:PROBLEM_SHOWN_COUNT],
    )


def _container_id(text: str, field: str) -> ContainerId:
    return ids.container_id(text, field) if text else ContainerId("")


def _limits_in_force(task: pb.RegisteredTask, field: str) -> ResourceLimits | None:
    return convert.limits_from_wire(task.limits_in_force, field) if task.HasField("limits_in_force") else None


def event_of(message: pb.AgentMessage, number: int) -> Event:
    """One of the later messages of the stream, checked."""
    match message.WhichOneof("message"):
        case "update_status":
            update = message.update_status
            status = convert.task_status_from_wire(update.status, "update_status.status")
            latest = status.state
            if update.latest_state:
                latest = convert.task_state_from_wire(update.latest_state, "update_status.latest_state")
            return StatusReported(
                stream=number,
                framework_id=ids.framework_id(update.framework_id, "update_status.framework_id"),
                status=status,
                latest_state=latest,
            )
        case "pong":
            return AgentAnswered(stream=number, sequence=message.pong.sequence)
        case "update_standalone":
            resources = convert.resources_from_wire(message.update_standalone.resources, "update_standalone.resources")
            return StandaloneChanged(stream=number, resources=resources)
        case "problem":
            return ProblemReported(stream=number, problem=message.problem.message[:PROBLEM_SHOWN_COUNT])
        case "volumes_removed":
            destroy_ids = message.volumes_removed.destroy_ids
            return VolumesRemoved(
                stream=number, destroy_ids=convert.destroy_ids_from_wire(destroy_ids, "volumes_removed.destroy_ids")
            )
        case "volumes_found":
            troubled, unknown = convert.volumes_found_from_wire(message.volumes_found, "volumes_found")
            return VolumesFound(stream=number, troubled=troubled, unknown=unknown)
        case "task_resized":
            return task_resized(message.task_resized, number)
        case "launch_refused":
            refused = message.launch_refused
            return LaunchRefused(
                stream=number,
                framework_id=ids.framework_id(refused.framework_id, "launch_refused.framework_id"),
                task_ids=tuple(
                    ids.task_id(task_id, f"launch_refused.task_ids[{index}]")
                    for index, task_id in enumerate(refused.task_ids)
                ),
                reason=refused.reason or Reason.RESOURCES_UNKNOWN,
                message=refused.message[:4096],
            )
        case "register":
            raise InvalidRequest("message", "register", "register once, with the first message of a stream")
        case None:
            raise InvalidRequest("message", "", "say something that this version knows")


def task_resized(message: pb.TaskResized, number: int) -> TaskResized:
    """Checked."""
    resources = convert.resources_from_wire(message.resources, "task_resized.resources")
    if not resources:
        raise InvalidRequest(
            "task_resized.resources", "", "say all that the task has now: it has something in any case"
        )
    return TaskResized(
        stream=number,
        framework_id=ids.framework_id(message.framework_id, "task_resized.framework_id"),
        task_id=ids.task_id(message.task_id, "task_resized.task_id"),
        resources=resources,
        limits=convert.limits_from_wire(message.limits, "task_resized.limits"),
        error=message.error[:PROBLEM_SHOWN_COUNT],
    )


def to_wire(message: AgentMessage, master: parties_pb2.MasterInfo) -> pb.MasterMessage:
    """With the master's identity, as every message of its streams."""
    match message:
        case TellRegistered():
            registered = pb.AgentRegistered(
                agent_id=message.agent_id,
                ping_interval_ms=message.ping_interval_ms,
                ping_limit_count=message.ping_limit_count,
                volumes=convert.agent_volumes_to_wire(message.volumes, message.destroyed),
            )
            return pb.MasterMessage(master=master, registered=registered)
        case TellVolumes():
            volumes = convert.agent_volumes_to_wire(message.volumes, message.destroyed)
            return pb.MasterMessage(master=master, volumes=volumes)
        case TellLaunch():
            launch = pb.LaunchTasks(
                framework=convert.framework_info_to_wire(replace(message.framework, offer_terms=())),
                tasks=[convert.task_info_to_wire(task) for task in message.tasks],
            )
            return pb.MasterMessage(master=master, launch_tasks=launch)
        case TellKill():
            kill = pb.KillTask(
                framework_id=message.framework_id,
                task_id=message.task_id,
                kill_policy=convert.kill_policy_to_wire(message.kill_policy),
                asked_by=message.asked_by,
                reason=convert.reason_to_wire(message.reason),
            )
            return pb.MasterMessage(master=master, kill_task=kill)
        case TellResize():
            resize = pb.ResizeTask(
                framework_id=message.framework_id,
                task_id=message.task_id,
                resources=convert.resources_to_wire(message.resources),
                asked_by=message.asked_by,
            )
            return pb.MasterMessage(master=master, resize_task=resize)
        case TellAcknowledged():
            acknowledged = pb.AcknowledgeStatus(
                framework_id=message.framework_id, task_id=message.task_id, uuid=message.uuid
            )
            return pb.MasterMessage(master=master, acknowledge_status=acknowledged)
        case TellPing():
            return pb.MasterMessage(master=master, ping=pb.MasterPing(sequence=message.sequence))
        case TellFrameworkGone():
            gone = pb.RemoveFramework(framework_id=message.framework_id)
            return pb.MasterMessage(master=master, remove_framework=gone)
        case TellReconcile():
            reconcile = pb.ReconcileTask(framework_id=message.framework_id, task_id=message.task_id)
            return pb.MasterMessage(master=master, reconcile_task=reconcile)
