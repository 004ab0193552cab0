"""What the agent tells its master, model to protobuf."""

from __future__ import annotations

from agentd.core.effects import Registration, SendLaunchRefused, SendStandalone, SendStatus
from paddock.model.agent import AgentInfo
from paddock.wire import convert
from paddock.wire.v1 import agent_registry_service_pb2 as pb


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
                )
                for task in registration.tasks
            ],
            frameworks=[convert.framework_info_to_wire(framework) for framework in registration.frameworks],
            standalone_resources=convert.resources_to_wire(registration.standalone),
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
    """With the reason in words."""
    return pb.AgentMessage(
        launch_refused=pb.LaunchRefused(
            framework_id=message.framework_id, task_ids=message.task_ids, message=message.message
        )
    )
