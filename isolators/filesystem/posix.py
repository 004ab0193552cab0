"""filesystem/posix: the host's file system, a sandbox of its own with persistent volumes in it, and the environment that says
where and who a task is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from isolators import volume_links
from isolators.contract import HostFacts, Isolator, IsolatorSettings, LiveContainer
from paddock.model.container import ContainerConfig
from paddock.model.ids import ContainerId
from paddock.model.launch_plan import LaunchPlan

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class PosixFilesystemIsolator(Isolator):
    """No root file system of its own; persistent volumes are links in the sandbox."""

    name: ClassVar[str] = "filesystem/posix"
    ends_briefly: ClassVar[bool] = True

    def __init__(self, host: HostFacts, settings: IsolatorSettings) -> None:
        """Uses nothing yet."""
        super().__init__(host, settings)
        self._uses: dict[ContainerId, frozenset[str]] = {}
        """Directories of volumes, by who uses them."""

    def recover(self, live: Sequence[LiveContainer], orphans: Sequence[ContainerId]) -> None:
        """Their links are there."""
        del orphans
        for container in live:
            paths = (path for path, _ in volume_links.directories(container.config, self.settings.work_dir))
            self._uses[container.config.container_id] = frozenset(paths)

    def prepare(self, container: ContainerConfig) -> LaunchPlan:
        """The agent made the sandbox. Raises InvalidRequest for a volume that cannot be where it is to be, ContainerizerError
        for one that is not there. Of a container that runs (an exec after a restart) nothing is made anew.
        """
        volume_links.check(container)
        volumes = volume_links.directories(container, self.settings.work_dir)
        if container.container_id not in self._uses:
            used = frozenset().union(*self._uses.values())
            self._uses[container.container_id] = frozenset(path for path, _ in volumes)
            for path, resource in volumes:
                assert resource.volume is not None, "these are volumes"
                volume_links.give(container, path, resource.volume, is_used=path in used)
        return replace(volume_links.plan(volumes), environment=environment(container))

    def cleanup(self, container_id: ContainerId) -> None:
        """Its volumes stay as they are."""
        self._uses.pop(container_id, None)


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
