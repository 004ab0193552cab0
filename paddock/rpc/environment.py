"""What gRPC's C core reads from the environment when it is first imported: called by each `__main__` before that."""

from __future__ import annotations

import os


def prepare_environment() -> None:
    """What the operator set stays. Statuses tell everything; the core's own lines would stand among a task's output."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    # Nothing of ours forks once gRPC is loaded; its fork handlers would only warn about that.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
