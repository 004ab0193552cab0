"""namespaces/pid: a container sees its own processes and nobody else's, and all of them end with it."""

from __future__ import annotations

from typing import ClassVar

from isolators.contract import Isolator
from paddock.model.container import ContainerConfig
from paddock.model.errors import ContainerizerError
from paddock.model.launch_plan import LaunchPlan, MountStep

NAMESPACES = ("pid", "mnt", "ipc")
"""A /proc of its own needs mounts of its own; System V IPC would show other containers' processes by its owners."""

PROC = MountStep(source="proc", target="/proc", type="proc", flags=("nosuid", "nodev", "noexec"))


class PidNamespaceIsolator(Isolator):
    """New PID, mount and IPC namespaces, and a fresh /proc; a task may share the host's only where the operator lets it."""

    name: ClassVar[str] = "namespaces/pid"
    ends_briefly: ClassVar[bool] = True

    def prepare(self, container: ContainerConfig) -> LaunchPlan:
        """Raises ContainerizerError when the host's namespace is asked for and the operator disallows it."""
        if not container.container.linux.share_host_pid_namespace:
            return LaunchPlan(namespaces=NAMESPACES, mounts=(PROC,))
        if self.settings.disallow_sharing_agent_pid_namespace:
            raise ContainerizerError(
                container.container_id,
                "prepare",
                "container.linux.share_host_pid_namespace: this agent does not let a task share the host's PID namespace "
                "(--disallow_sharing_agent_pid_namespace); ask the operator, or do not share it",
            )
        return LaunchPlan()
