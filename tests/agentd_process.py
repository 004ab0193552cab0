"""A real agentd in a directory of its own: for kernel tests, cluster tests and the bench. What it leaves is named."""

from __future__ import annotations

import asyncio
import glob
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paddock.kernel import cgroup_files
from paddock.kernel.mounts import read_hierarchy
from paddock.model.errors import PaddockError
from paddock.rpc.clients.agent import connect_agent
from testbed.daemon_process import READY_TIMEOUT_S, DaemonProcess
from testbed.our_processes import end_all, pids_naming

TIME_SCALE = float(os.environ.get("PADDOCK_TEST_TIME_SCALE", "1"))
PREFIX = "paddock-agentd-"
STOP_TIMEOUT_S = 30.0 * TIME_SCALE
"""Of what happens in a moment. A busy machine stalls for seconds."""


class AgentdProcess:
    """`start` returns when it serves. Its state survives `stop` and `crash` in `directory`, which its tasks' users may pass."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        self.address = f"unix:{directory}/agentd.sock"
        self._serves = False
        self._daemon = DaemonProcess(
            "agentd",
            [
                f"--state-dir={directory}/state",
                f"--work-dir={directory}/work",
                f"--listen={self.address}",
                *arguments,
            ],
            str(directory),
        )

    @property
    def pid(self) -> int:
        return self._daemon.pid

    @property
    def agent_id(self) -> str:
        return (self.directory / "state" / "agent-id").read_text("utf-8").strip()

    @property
    def log(self) -> str:
        return Path(self._daemon.log_path).read_text("utf-8", errors="replace")

    @property
    def launcher_log(self) -> str:
        return (self.directory / "state" / "launcher.log").read_text("utf-8", errors="replace")

    def last_words(self) -> str:
        """For a failed test's message: the directory goes with the agent."""
        return f"agentd:\n{self.log[-4000:]}\nlauncher:\n{self.launcher_log[-2000:]}"

    def start(self) -> None:
        """Raises Unavailable with its last words when it does not come up."""
        try:
            self._daemon.start(READY_TIMEOUT_S * TIME_SCALE)
        except BaseException:
            self._daemon.stop(STOP_TIMEOUT_S)
            raise
        self._serves = True

    def use_build(self, directory: Path | None) -> None:
        """The packages there, or ours, from the next start on."""
        self._daemon.build = None if directory is None else str(directory)

    def stop(self) -> int | None:
        """As systemd does: containers, shims and launcher live on."""
        self._serves = False
        return self._daemon.stop(STOP_TIMEOUT_S)

    def crash(self) -> None:
        """SIGKILL, and gone when this returns."""
        self._daemon.send(signal.SIGKILL)
        self.stop()

    def launcher_pid(self) -> int:
        """The one that announced itself last."""
        ready = [line for line in self.launcher_log.splitlines() if "event=ready" in line]
        return int(ready[-1].partition("pid=")[2].split()[0])

    def end_containers(self) -> None:
        """By the agent itself, as an operator would."""
        asyncio.run(self._end_containers())

    async def _end_containers(self) -> None:
        async with connect_agent(self.address) as agent:
            running = await agent.list_containers()
            for container in running:
                await agent.kill_container(container.container_id, grace_ms=0)
            for container in running:
                await agent.wait_container(container.container_id, timeout_s=STOP_TIMEOUT_S)

    def cgroups(self) -> list[str]:
        """This agent's directories of containers that exist now; under systemd they are in its scope."""
        found = []
        for point in cgroup_points():
            for root in glob.glob(f"{point}/**/paddock-{self.agent_id}", recursive=True):
                found += [path for path in glob.glob(f"{root}/*") if os.path.isdir(path)]
        return [path for path in found if not path.endswith("/launcher")]

    def give_back(self) -> list[str]:
        """After one of several tests: it serves again, with nothing of a container. What the test left is returned."""
        if not self._serves:
            self.start()
        left = self.wait_for_no_cgroups()
        if left:
            self.end_containers()
        return left + self.sockets()

    def sockets(self) -> list[str]:
        """Of containers, which their shims listen on."""
        return [path.name for path in (self.directory / "state" / "run").glob("*.sock") if path.name != "launcher.sock"]

    def close(self) -> list[str]:
        """End everything of it; what did not go by itself is returned."""
        try:
            if not self._serves:
                self.start()
            self.end_containers()
        except PaddockError as error:
            left = [f"containers could not be ended: {error}"]
        else:
            left = self.wait_for_no_cgroups()
        self.stop()
        end_all(str(self.directory), STOP_TIMEOUT_S)
        left += [f"process {pid}" for pid in pids_naming(str(self.directory))]
        for point in cgroup_points():
            cgroup_files.remove(f"{point}/paddock-{self.agent_id}", STOP_TIMEOUT_S)
        shutil.rmtree(self.directory, ignore_errors=True)
        return left

    def wait_for_no_cgroups(self, timeout_s: float = STOP_TIMEOUT_S) -> list[str]:
        """What is still there then."""
        deadline_s = time.monotonic() + timeout_s
        while (left := self.cgroups()) and time.monotonic() < deadline_s:
            time.sleep(0.01)
        return left


def assert_gone(pid: int, timeout_s: float = STOP_TIMEOUT_S) -> None:
    """Reaped too: a process leaves its cgroup when it ends, its parent may take a moment longer to notice."""
    deadline_s = time.monotonic() + timeout_s
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < deadline_s, f"process {pid} is still there"
        time.sleep(0.01)


def wait_for_path(path: Path, timeout_s: float = STOP_TIMEOUT_S) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not path.exists():
        assert time.monotonic() < deadline_s, f"{path} did not come"
        time.sleep(0.01)


def cgroup_points() -> list[str]:
    """Where this host's cgroup file systems are mounted."""
    hierarchy = read_hierarchy()
    return sorted({*hierarchy.controllers.values(), *([hierarchy.unified] if hierarchy.unified else [])})


@contextmanager
def lent(agentd: AgentdProcess) -> Iterator[AgentdProcess]:
    """To one of several tests, which may end it and start it as it likes but must leave no container of its."""
    try:
        yield agentd
    finally:
        left = agentd.give_back()
    assert not left, f"left behind by this test: {left}\n{agentd.last_words()}"


@contextmanager
def running_agentd(*arguments: str) -> Iterator[AgentdProcess]:
    """Started here; afterwards nothing of it is left, or the test says what is."""
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    directory.chmod(0o711)
    agentd = AgentdProcess(directory, *arguments)
    try:
        agentd.start()
        yield agentd
    finally:
        left = agentd.close()
    assert not left, f"left behind: {left}"
