"""Starting the launcher: a process of its own that outlives the agent. Nothing in here may import grpc."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import paddock
from agentd.containerizer.tasks_scope import MAKER, SCOPE, SYSTEMD_RUNS
from paddock.daemon import open_files
from paddock.kernel.mounts import read_hierarchy

_MAIN = "import sys; sys.path[:0] = [{root!r}]; from paddock.launch.launcher import main; main()"
ENTER = "import sys; sys.path[:0] = [{root!r}]; from agentd.containerizer.tasks_scope import main; main()"


@dataclass(frozen=True, slots=True, kw_only=True)
class LauncherCommand:
    """What is started. `use_systemd`: in the scope of the tasks, where systemd runs this host. `open_files`: the limits that it
    gets, and of it the tasks: those of the agent's own start, which the agent raises for itself.
    """

    socket_path: str
    agent_id: str
    cgroup_roots: tuple[str, ...]
    log_path: str
    use_systemd: bool
    open_files: tuple[int, int] = field(default_factory=open_files.limits)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The launcher itself."""
        roots = [word for path in self.cgroup_roots for word in ("--cgroup-root", path)]
        return (*isolated(_MAIN), "--socket", self.socket_path, "--agent-id", self.agent_id, *roots)


def start(command: LauncherCommand) -> int:
    """Its pid. Raises OSError when it cannot be started at all; whether it serves is to be seen at its socket."""
    arguments: Sequence[str] = command.arguments
    if command.use_systemd and os.path.isdir(SYSTEMD_RUNS) and shutil.which(MAKER):
        arguments = (*isolated(ENTER), *arguments)
    with open_files.as_before(command.open_files):
        return _spawn(arguments, command.log_path)


def isolated(code: str) -> tuple[str, ...]:
    """The interpreter isolated from everything that is not ours: no site-packages, no variables."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(paddock.__file__)))
    return (os.path.realpath(sys.executable), "-I", "-S", "-c", code.format(root=root))


def _spawn(arguments: Sequence[str], log_path: str) -> int:
    """A session of its own, the log in place of our output, nothing else of ours."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        # Every function is looked up at once: later each shim would do it anew, in pages of its own.
        "LD_BIND_NOW": "1",
    }
    return os.posix_spawn(arguments[0], list(arguments), environment, file_actions=actions, setsid=True)


def cgroup_parent(use_systemd: bool) -> str:  # noqa: FBT001 - a setting
    """cgroup v2 under systemd: the tasks' scope, there or to be made. Elsewhere empty: the mount's root."""
    if not use_systemd or not os.path.isdir(SYSTEMD_RUNS):
        return ""
    unified = read_hierarchy()
    return f"{unified.unified}/system.slice/{SCOPE}" if unified.unified and not unified.controllers else ""
