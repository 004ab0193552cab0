"""The sandboxes of one agent on the disk: found, and moved out of everybody's reach before they are removed.

Only what stands below this agent's own directory is ever looked at. Nothing here goes into a sandbox: that is the task's.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from agentd.gc.schedule import Sandbox
from paddock.model.ids import AgentId, ContainerId

_LOGS = ("stdout", "stderr")


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxPlaces:
    """Blocking calls. Missing directories are no error."""

    work_dir: str
    agent_id: AgentId

    @property
    def root(self) -> str:
        """Everything of this agent."""
        return f"{self.work_dir}/agents/{self.agent_id}"

    @property
    def removed(self) -> str:
        """Where what is to be removed waits for it: root's own, on the same file system, and found again after a restart."""
        return f"{self.root}/.removed"

    def usage(self) -> float:
        """Of the file system, 0 to 1, as df counts it. Raises OSError."""
        found = os.statvfs(self.work_dir)
        used = found.f_blocks - found.f_bfree
        return used / max(used + found.f_bavail, 1)

    def find(self) -> list[Sandbox]:
        """All, the removed ones apart."""
        runs = [f"{self.root}/containers"]
        for framework in _directories(f"{self.root}/frameworks"):
            runs += [f"{task}/runs" for task in _directories(f"{framework}/tasks")]
        return [sandbox for run in runs for path in _directories(run) if (sandbox := _look(path)) is not None]

    def put_away(self, sandbox: Sandbox) -> None:
        """One rename, and its empty parents go. Raises OSError: EBUSY where it is a mount."""
        os.makedirs(self.removed, mode=0o700, exist_ok=True)
        os.rename(sandbox.path, f"{self.removed}/{sandbox.container_id}.{time.time_ns()}")
        parent = os.path.dirname(sandbox.path)
        while os.path.dirname(parent) != self.root:
            try:
                os.rmdir(parent)
            except OSError:
                return
            parent = os.path.dirname(parent)

    def is_something_removed(self) -> bool:
        """Whether anything waits."""
        return any(True for _ in _entries(self.removed))


def _directories(path: str) -> Iterator[str]:
    for entry in _entries(path):
        if entry.is_dir(follow_symlinks=False):
            yield entry.path


def _entries(path: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        return


def _look(path: str) -> Sandbox | None:
    """The time of a change cannot be set by its owner, only moved to now; so the future is never told."""
    newest_ns = 0
    for name in ("", *(f"/{log}" for log in _LOGS)):
        try:
            newest_ns = max(newest_ns, os.lstat(path + name).st_ctime_ns)
        except OSError:
            if not name:
                return None
    return Sandbox(path=path, container_id=ContainerId(os.path.basename(path)), idle_since_ns=newest_ns)
