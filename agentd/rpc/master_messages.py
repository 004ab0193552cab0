"""What the agent tells its master, model to protobuf; and the kill that it is told."""

from __future__ import annotations

from agentd.core.effects import (
    Registration,
    SendLaunchRefused,
    SendProblem,
    SendStandalone,
    SendStatus,
    SendTaskResized,
    SendVolumesFound,
    SendVolumesRemoved,
)
from agentd.core.events import KillTask, MasterVolumes, ResizeTask
from paddock.model.agent import AgentInfo
from paddock.model.ids import framework_id, task_id
from paddock.model.task import Reason
from paddock.wire import convert
from paddock.wire.convert import bounds
from paddock.wire.v1 import agent_registry_service_pb2 as pb

ASKED_BY_LIMIT_BYTES = 1024


def registration_to_wire(info: AgentInfo, registration: Registration) -> pb.AgentMessage:
    """The first message."""
    return pb.AgentMessage(
        register=pb.RegisterAgent(
            agent=convert.agent_info_to_wire(info),
            tasks=[
                pb.RegisteredTask(
                    framework_id=task.framework_id,
                    task=convert.task_info_to_wire(task.task),
                    state=convert.task_state_to_wire(task.state),
                    container_id=task.container_id,
                    resizing=convert.resources_to_wire(task.resizing),
                    limits_in_force=convert.limits_to_wire(task.limits),
                )
                for task in registration.tasks
            ],
            frameworks=[convert.framework_info_to_wire(framework) for framework in registration.frameworks],
            standalone_resources=convert.resources_to_wire(registration.standalone),
            problem=registration.problem,
        )
    )


def status_to_wire(message: SendStatus) -> pb.AgentMessage:
    """With the newest state, so that the master need not wait for the queue."""
    return pb.AgentMessage(
        update_status=pb.UpdateStatus(
            framework_id=message.framework_id,
            status=convert.task_status_to_wire(message.status),
            latest_state=convert.task_state_to_wire(message.latest_state),
        )
    )


def standalone_to_wire(message: SendStandalone) -> pb.AgentMessage:
    """All of it, each time."""
    return pb.AgentMessage(
        update_standalone=pb.UpdateStandalone(resources=convert.resources_to_wire(message.resources))
    )


def launch_refused_to_wire(message: SendLaunchRefused) -> pb.AgentMessage:
    """With the reason, also in words."""
    return pb.AgentMessage(
        launch_refused=pb.LaunchRefused(
            framework_id=message.framework_id,
            task_ids=message.task_ids,
            message=message.message,
            reason=convert.reason_to_wire(message.reason),
        )
    )


def kill_of(message: pb.KillTask) -> KillTask:
    """A master that does not say who asked passes on the framework's kill. Raises InvalidRequest."""
    return KillTask(
        framework_id=framework_id(message.framework_id),
        task_id=task_id(message.task_id),
        policy=convert.kill_policy_from_wire(message.kill_policy) if message.HasField("kill_policy") else None,
        by=bounds.text(message.asked_by, "kill_task.asked_by", ASKED_BY_LIMIT_BYTES) or "the framework",
        reason=Reason.AGENT_DRAINING if int(message.reason) == Reason.AGENT_DRAINING else Reason.KILL_REQUESTED,
    )


def resize_of(message: pb.ResizeTask) -> ResizeTask:
    """Raises InvalidRequest."""
    return ResizeTask(
        framework_id=framework_id(message.framework_id),
        task_id=task_id(message.task_id),
        resources=convert.resources_from_wire(message.resources, "resize_task.resources"),
        by=bounds.text(message.asked_by, "resize_task.asked_by", ASKED_BY_LIMIT_BYTES) or "the framework",
    )


def task_resized_to_wire(message: SendTaskResized) -> pb.AgentMessage:
    """What is in force."""
    return pb.AgentMessage(
        task_resized=pb.TaskResized(
            framework_id=message.framework_id,
            task_id=message.task_id,
            resources=convert.resources_to_wire(message.resources),
            limits=convert.limits_to_wire(message.limits),
            error=message.error,
        )
    )


def problem_to_wire(message: SendProblem) -> pb.AgentMessage:
    """Empty: there is none any more."""
    return pb.AgentMessage(problem=pb.AgentProblem(message=message.problem))


def volumes_of_master(message: pb.AgentVolumes, field: str) -> MasterVolumes:
    """Checked. Raises InvalidRequest."""
    volumes, destroyed = convert.agent_volumes_from_wire(message, field)
    return MasterVolumes(volumes=volumes, destroyed=destroyed)


def volumes_removed_to_wire(message: SendVolumesRemoved) -> pb.AgentMessage:
    """All that the master may not have heard."""
    return pb.AgentMessage(volumes_removed=pb.VolumesRemoved(destroy_ids=message.destroy_ids))


def volumes_found_to_wire(message: SendVolumesFound) -> pb.AgentMessage:
    """All of it, each time."""
    return pb.AgentMessage(volumes_found=convert.volumes_found_to_wire(message.troubled, message.unknown))
