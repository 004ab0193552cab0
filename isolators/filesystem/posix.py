"""filesystem/posix: the host's file system, a sandbox of its own, and the environment that says where and who a task is."""

from __future__ import annotations

from typing import ClassVar

from isolators.contract import Isolator
from paddock.model.container import ContainerConfig
from paddock.model.errors import Unsupported
from paddock.model.launch_plan import LaunchPlan

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class PosixFilesystemIsolator(Isolator):
    """No root file system of its own and no volumes: what is not carried out is refused by name, never dropped."""

    name: ClassVar[str] = "filesystem/posix"

    def prepare(self, container: ContainerConfig) -> LaunchPlan:
        """The environment only; the agent made the sandbox. Raises Unsupported for a persistent volume."""
        for index, resource in enumerate(container.resources.items):
            if resource.volume is not None:
                raise Unsupported(f"resources[{index}].volume", f"{self.name} has no volumes; write into the sandbox")
        return LaunchPlan(environment=environment(container))


def environment(container: ContainerConfig) -> tuple[tuple[str, str], ...]:
    """Our names, and Mesos' beside them so that programs written for it find what they look for.

    A standalone container has no task and no framework, so it has none of their variables. Nothing of the agent's own
    environment is passed on; the task's own wins over all of these.
    """
    roles = sorted({resource.allocation_role for resource in container.resources.items if resource.allocation_role})
    # Mesos' command executor has the task's id as its own.
    found = [
        ("PATH", DEFAULT_PATH),
        ("HOME", container.user.home or "/"),
        ("USER", container.user.name),
        ("LOGNAME", container.user.name),
        ("PADDOCK_SANDBOX", container.sandbox),
        ("PADDOCK_CONTAINER_ID", container.container_id),
        ("PADDOCK_AGENT_ID", container.agent_id),
        ("PADDOCK_FRAMEWORK_ID", container.framework_id),
        ("PADDOCK_TASK_ID", container.task_id),
        ("PADDOCK_ALLOCATION_ROLE", roles[0] if len(roles) == 1 else ""),
        ("MESOS_SANDBOX", container.sandbox),
        ("MESOS_DIRECTORY", container.sandbox),
        ("MESOS_CONTAINER_NAME", container.container_id),
        ("MESOS_AGENT_ID", container.agent_id),
        ("MESOS_SLAVE_ID", container.agent_id),
        ("MESOS_FRAMEWORK_ID", container.framework_id),
        ("MESOS_EXECUTOR_ID", container.task_id),
        ("MESOS_TASK_ID", container.task_id),
        ("MESOS_ALLOCATION_ROLE", roles[0] if len(roles) == 1 else ""),
    ]
    return tuple([(name, value) for name, value in found if value])
