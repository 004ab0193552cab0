"""What a process has open."""

from __future__ import annotations

import contextlib
import os


def descriptors_of(pid: int) -> dict[str, str]:
    """By number, what each leads to; one that is closed meanwhile is none. Sockets and pipes have names of their own: what is
    new beside an earlier look has been opened since, whatever somebody else has closed.
    """
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[name] = os.readlink(f"/proc/{pid}/fd/{name}")
    return found
