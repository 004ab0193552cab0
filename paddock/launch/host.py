"""What every shim needs to know of its host, read once by the launcher and inherited by fork: nothing of any task."""

from __future__ import annotations

import os
import resource

from paddock.kernel import capabilities
from paddock.kernel.call_runner import CallRunner
from paddock.kernel.mapping import map_waiting
from paddock.kernel.processes import read_boot_id, read_oom_score_adj, read_suid_dumpable
from paddock.launch.launcher_facts import LauncherFacts

_TRACEABLE = 1


class Host:
    """`facts`: the launcher's own; `runner` carries call lists out; `waiting`: memory of the list in which shims wait.

    Without that memory (None), as without machine code, nothing is shared, and no shim waits a second time.
    """

    __slots__ = ("boot_id", "facts", "null_fd", "runner", "waiting")

    def __init__(self, machine: str) -> None:
        self.runner = CallRunner(machine)
        self.boot_id = read_boot_id()
        self.facts = LauncherFacts(
            capabilities.read_own_permitted(),
            capabilities.read_own_bounding(),
            resource.getrlimit(resource.RLIMIT_NOFILE),
        )
        self.facts.boot_id = self.boot_id
        self.facts.oom_score_adj = read_oom_score_adj()
        # Where a process that has changed its user may be traced all the same (fs.suid_dumpable = 1), a task's user could
        # reach the shim through a child that shares its memory.
        may_share = self.runner.shares_memory and read_suid_dumpable() != _TRACEABLE
        self.waiting = map_waiting() if may_share else None
        self.facts.shares_memory = self.waiting is not None
        self.null_fd = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)

    def raise_open_files(self) -> None:
        """A launcher holds a few descriptors per container; tasks get the old limit back."""
        hard = self.facts.open_files[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
