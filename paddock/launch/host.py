"""What every shim needs to know of its host, read once by the launcher and inherited by fork: nothing of any task."""

from __future__ import annotations

import os
import resource

from paddock.kernel import capabilities
from paddock.kernel.processes import read_boot_id


class Host:
    """`permitted`, `bounding`: the launcher's own capabilities. `open_files`: (soft, hard) before the launcher raised it."""

    __slots__ = ("boot_id", "bounding", "null_fd", "open_files", "permitted", "rehearsed_plan")

    def __init__(self) -> None:
        self.boot_id = read_boot_id()
        self.permitted = capabilities.read_own_permitted()
        self.bounding = capabilities.read_own_bounding()
        self.open_files = resource.getrlimit(resource.RLIMIT_NOFILE)
        # A harmless plan, from the launcher's rehearsals; empty when there were none.
        self.rehearsed_plan = b""
        self.null_fd = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)

    def raise_open_files(self) -> None:
        """A launcher holds a few descriptors per container; tasks get the old limit back."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.open_files[1], self.open_files[1]))
