"""Views as a master or an agent might tell them."""

from __future__ import annotations

from paddock.model.agent import AgentInfo
from paddock.model.ids import AgentId, TaskId
from paddock.model.resources import Resources
from paddock.model.task import CommandInfo, ResourceLimits, TaskInfo, TaskState, TaskStatus
from paddock.rpc.clients.views import AgentView, TaskView


def task_view(
    task_id: str,
    *,
    framework_id: str = "framework",
    state: TaskState = TaskState.RUNNING,
    statuses: tuple[TaskStatus, ...] = (),
) -> TaskView:
    return TaskView(
        task=TaskInfo(
            task_id=TaskId(task_id),
            name="name",
            agent_id=AgentId("agent"),
            resources=Resources.scalars({"cpus": 100, "mem": 64_000}).allocated_to("*"),
            command=CommandInfo(arguments=("/bin/true", "x; y")),
        ),
        state=state,
        statuses=statuses,
        framework_id=framework_id,
        framework_name="tests",
        role="*",
        agent_id="agent",
        hostname="here",
        container_id="c1",
        agent_unix_address="unix:/nonexistent/agentd.sock",
        agent_tcp_address="",
        limits=ResourceLimits(),
        document='{"task": {"task_id": "' + task_id + '"}}',
    )


def agent_view(agent_id: str) -> AgentView:
    return AgentView(
        info=AgentInfo(agent_id=AgentId(agent_id), hostname="here", resources=Resources()),
        state="active",
        used=Resources(),
        offered=Resources(),
        standalone=Resources(),
        problem="",
        registered_ns=0,
        document=f'{{"id": "{agent_id}"}}',
    )
