"""linux/nnp: no_new_privs, so that nothing in a container gains privileges by executing a setuid program."""

from __future__ import annotations

from typing import ClassVar

from isolators.contract import Isolator
from paddock.model.container import ContainerConfig
from paddock.model.launch_plan import LaunchPlan


class NoNewPrivilegesIsolator(Isolator):
    """On unless the task says otherwise (sudo and ping need it off); what it may gain then stays within its bounding set."""

    name: ClassVar[str] = "linux/nnp"
    ends_briefly: ClassVar[bool] = True

    def prepare(self, container: ContainerConfig) -> LaunchPlan:
        """One flag, set by prctl before the command; the kernel never takes it back."""
        return LaunchPlan(no_new_privileges=container.container.linux.no_new_privileges is not False)
