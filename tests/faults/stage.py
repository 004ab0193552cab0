"""A cluster whose daemons stop themselves where they are told to: one masterd, agents, and a framework."""

from __future__ import annotations

import asyncio
import glob
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from paddock.model.errors import PaddockError, Unavailable
from paddock.rpc.clients.agent import connect_agent
from testbed.daemon_process import DaemonProcess
from testbed.one_host import remove_cgroups
from testbed.our_processes import end_all, pids_naming
from tests.agentd_process import TIME_SCALE, cgroup_points
from tests.children import children_of
from tests.faults.framework import PLAIN, Framework
from tests.faults.warm_start import WarmDaemon, WarmStarter
from tests.held_filesystem import HeldFilesystem, held_filesystem

Result = TypeVar("Result")

PREFIX = "paddock-faults-"
READY_TIMEOUT_S = 40.0 * TIME_SCALE
WAIT_S = 40.0 * TIME_SCALE
_LOOK_EVERY_S = 0.005
_ENTRY = "tests.faults.stopping"


class NobodyCame(AssertionError):
    """A story that waits for somebody who does not come to its point shows nothing."""


class AgentPlace:
    """One agentd with its launcher and shims; `start` is for a thread."""

    def __init__(
        self,
        directory: str,
        starter: WarmStarter,
        *,
        master_address: str,
        resources: str,
        arguments: Sequence[str] = (),
    ) -> None:
        os.makedirs(directory, mode=0o711)
        self.directory = directory
        self.boot_again()
        self.address = f"unix:{directory}/agentd.sock"
        self.daemon: DaemonProcess = WarmDaemon(
            starter,
            _ENTRY,
            [
                directory,
                "agentd",
                f"--config={directory}/../empty.toml",
                f"--state-dir={directory}/state",
                f"--work-dir={directory}/work",
                f"--listen={self.address}",
                f"--master={master_address}",
                f"--resources={resources}",
                f"--boot-id-file={directory}/boot-id",
                *arguments,
            ],
            directory,
        )

    def boot_again(self) -> None:
        """Its host seems to have been started anew, once the agent is."""
        write_whole(f"{self.directory}/boot-id", f"{time.monotonic_ns()}\n")

    @property
    def agent_id(self) -> str:
        with open(f"{self.directory}/state/agent-id", encoding="utf-8") as file:
            return file.read().strip()

    def launcher_pids(self) -> list[int]:
        """The living one, if there is one: the last that announced itself."""
        try:
            with open(f"{self.directory}/state/launcher.log", encoding="utf-8") as file:
                ready = [line for line in file if "event=ready" in line]
        except FileNotFoundError:
            return []
        return [pid for line in ready[-1:] if is_alive(pid := int(line.partition("pid=")[2].split()[0]))]

    def shims(self) -> dict[str, int]:
        """Container id → its shim, which holds the lock of the record from early in the launch on."""
        with open("/proc/locks", encoding="ascii") as file:
            # "->": of one who waits for a lock.
            locks = [line.split() for line in file if "FLOCK" in line and "->" not in line]
        holders = {words[5].rpartition(":")[2]: int(words[4]) for words in locks}
        found = {}
        for path in glob.glob(f"{self.directory}/state/records/*.json.new"):
            try:
                pid = holders.get(str(os.stat(path).st_ino), 0)
            except FileNotFoundError:
                continue
            if pid > 0 and "shim" in name_of(pid):
                found[os.path.basename(path).removesuffix(".json.new")] = pid
        return found

    def has_record(self) -> bool:
        """A shim has gone, and left its record."""
        return bool(glob.glob(f"{self.directory}/state/records/*.json"))

    def waiting_shims(self) -> list[int]:
        """Children of the launcher that wait for an order, and one that has its order and no record yet."""
        known = set(self.shims().values())
        return [
            pid
            for launcher in self.launcher_pids()
            for pid in children_of(launcher)
            if "shim" in name_of(pid) and pid not in known
        ]

    def traffic(self) -> list[tuple[str, str, str, str]]:
        """Task, state, uuid, reason of every status that went to a master."""
        try:
            with open(f"{self.directory}/traffic", encoding="utf-8") as file:
                lines = [line.split() for line in file]
        except FileNotFoundError:
            return []
        return [(task, state, uuid, reason) for task, state, uuid, reason in lines]

    def counters(self, task_id: str) -> list[str]:
        """The task's own files: one for each container that it ever had and that wrote one."""
        runs = os.path.join("agents", "*", "frameworks", "*", "tasks", task_id, "runs", "*", "counter")
        return glob.glob(os.path.join(self.directory, "work", runs))

    def left(self) -> list[str]:
        """What is there of any container: cgroups, processes, mounts, sockets, records."""
        found = []
        for point in cgroup_points():
            root = f"{point}/paddock-{self.agent_id}"
            if os.path.isdir(root):
                names = [name for name in os.listdir(root) if os.path.isdir(f"{root}/{name}") and name != "launcher"]
                found += [f"cgroup {root}/{name}" for name in names]
        found += [f"process {pid}" for pid in processes_in(f"{self.directory}/work/")]
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            found += [f"mount {line.split()[4]}" for line in file if self.directory in line]
        sockets = os.listdir(f"{self.directory}/state/run")
        found += [f"socket {name}" for name in sockets if ".sock" in name and not name.startswith("launcher.sock")]
        for entry in os.scandir(f"{self.directory}/state/records"):
            # An empty one keeps a late launch from coming to anything.
            if not entry.name.startswith("spare-") and not (entry.name.endswith(".new") and is_empty(entry.path)):
                found.append(f"record {entry.name}")
        return found


class Stage:
    """Use as `with open_stage(…) as stage`. All that speaks to it runs by `run`, on one event loop."""

    def __init__(
        self,
        directory: str,
        hangs: HeldFilesystem,
        *,
        agent_count: int,
        master_arguments: Sequence[str] = (),
        agent_arguments: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self.hangs = hangs
        self.master_address = f"unix:{directory}/m/masterd.sock"
        os.makedirs(f"{directory}/m")
        with open(f"{directory}/empty.toml", "w", encoding="utf-8"):
            pass
        self._starter = WarmStarter(directory)
        self.masterd: DaemonProcess = WarmDaemon(
            self._starter,
            _ENTRY,
            [
                f"{directory}/m",
                "masterd",
                f"--config={directory}/empty.toml",
                f"--state-dir={directory}/m/state",
                f"--listen={self.master_address}",
                *master_arguments,
            ],
            f"{directory}/m",
        )
        resources = "cpus:4;mem:2048;disk:2048"
        self.agents = [
            AgentPlace(
                f"{directory}/a{i}",
                self._starter,
                master_address=self.master_address,
                resources=resources,
                arguments=agent_arguments,
            )
            for i in range(agent_count)
        ]
        self.framework = Framework(self.master_address)
        self.plain_framework = Framework(self.master_address, PLAIN)
        self._runner = asyncio.Runner()
        self._starting: dict[str, asyncio.Lock] = {}

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return self._runner.run(coroutine)

    async def start(self) -> None:
        await self.ensure(self.masterd)
        for agent in self.agents:
            await self.ensure(agent.daemon)
        await self.framework.start()
        await self.plain_framework.start()

    async def ensure(self, daemon: DaemonProcess) -> None:
        """It serves when this returns, whoever else kills it, or has it started, meanwhile."""
        lock = self._starting.setdefault(daemon.log_path, asyncio.Lock())
        deadline_s = time.monotonic() + WAIT_S
        async with lock:
            while not is_alive(daemon.pid):
                try:
                    await asyncio.to_thread(daemon.stop)
                    await asyncio.to_thread(daemon.start, READY_TIMEOUT_S)
                except Unavailable:
                    # Killed on its way, as some cells want it.
                    if time.monotonic() > deadline_s:
                        raise

    async def crash(self, daemon: DaemonProcess) -> None:
        """SIGKILL, and gone when this returns."""
        send(daemon.pid, signal.SIGKILL)
        while is_alive(daemon.pid):
            await asyncio.sleep(_LOOK_EVERY_S)

    # --- what is armed, and what stops there ---

    async def settled(self, agent: AgentPlace) -> None:
        """Its launcher serves: one that is still starting rehearses launches, which would come to the points too."""
        deadline_s = time.monotonic() + WAIT_S
        while not agent.launcher_pids():
            assert time.monotonic() < deadline_s, "no launcher came up"
            await asyncio.sleep(_LOOK_EVERY_S)

    def arm(self, point: str, place: str) -> None:
        """`place`: the directory of the daemon that is to reach it."""
        self.disarm(place)
        write_whole(f"{place}/armed", point)

    def withdraw(self, place: str) -> bool:
        """False: somebody has come to the point just now, and is about to stop."""
        try:
            os.unlink(f"{place}/armed")
        except FileNotFoundError:
            return False
        return True

    def disarm(self, place: str) -> None:
        for name in ("armed", "reached"):
            remove(f"{place}/{name}")

    def let_go(self, stopped: int) -> None:
        """Whoever stands at the point goes on."""
        for place in (f"{self.directory}/m", *(agent.directory for agent in self.agents)):
            remove(f"{place}/reached")
        send(stopped, signal.SIGCONT)

    async def stopped(self, place: str) -> int:
        """The process that has stopped at the point that is armed there."""
        deadline_s = time.monotonic() + WAIT_S
        while time.monotonic() < deadline_s:
            if os.path.exists(f"{place}/reached"):
                for pid in self.family(place):
                    if state_of(pid) == "T":
                        return pid
            await asyncio.sleep(_LOOK_EVERY_S)
        raise NobodyCame("no process came to the point")

    def family(self, place: str) -> Iterator[int]:
        """The daemon of that directory, its launcher, shims, and their children."""
        if place == f"{self.directory}/m":
            yield self.masterd.pid
            return
        agent = next(agent for agent in self.agents if agent.directory == place)
        yield agent.daemon.pid
        for pid in (*agent.launcher_pids(), *agent.shims().values()):
            yield from with_descendants(pid)

    # --- the end ---

    async def clean(self, agent: AgentPlace) -> list[str]:
        """What is still left of containers when it should be gone."""
        deadline_s = time.monotonic() + WAIT_S / 2
        while (left := await self.left(agent)) and time.monotonic() < deadline_s:
            await asyncio.sleep(0.02)
        return left

    async def left(self, agent: AgentPlace) -> list[str]:
        """Of its containers, now."""
        return agent.left()

    def last_words(self) -> str:
        """For a failed cell's message: the directory goes with the stage."""
        daemons = (self.masterd, *(agent.daemon for agent in self.agents))
        return "\n".join(f"{daemon.log_path}:\n{daemon.log_tail()}" for daemon in daemons)

    def close(self) -> list[str]:
        """End everything; what did not go by itself is returned."""
        for daemon in (self.masterd, *(agent.daemon for agent in self.agents)):
            daemon.resume()
        self.run(self.framework.stop())
        self.run(self.plain_framework.stop())
        for agent in self.agents:
            try:
                self.run(self._end_containers(agent))
            except PaddockError as error:
                print(f"{agent.directory}: containers are ended without the agent's help: {error}")
        self._runner.close()
        for daemon in (*(agent.daemon for agent in self.agents), self.masterd):
            daemon.stop()
        self._starter.stop()
        end_all(self.directory, WAIT_S)
        left = [f"process {pid}" for pid in pids_naming(self.directory)]
        for agent in self.agents:
            remove_cgroups(agent.agent_id)
        shutil.rmtree(self.directory, ignore_errors=True)
        return left

    async def _end_containers(self, agent: AgentPlace) -> None:
        await self.ensure(agent.daemon)
        async with connect_agent(agent.address) as client:
            running = await client.list_containers()
            for container in running:
                await client.kill_container(container.container_id, grace_ms=0)
            for container in running:
                await client.wait_container(container.container_id, timeout_s=WAIT_S)


@contextmanager
def open_stage(
    *,
    agent_count: int = 1,
    master_arguments: Sequence[str] = (),
    agent_arguments: Sequence[str] = (),
    kind: type[Stage] = Stage,
) -> Iterator[Stage]:
    """A cluster in a directory of its own, through which tasks' users may pass; ended for certain."""
    directory = tempfile.mkdtemp(prefix=PREFIX)
    os.chmod(directory, 0o711)
    with held_filesystem(Path(f"{directory}-hangs")) as hangs:
        stage = kind(
            directory,
            hangs,
            agent_count=agent_count,
            master_arguments=master_arguments,
            agent_arguments=agent_arguments,
        )
        try:
            stage.run(stage.start())
            yield stage
        finally:
            hangs.release()
            left = stage.close()
    assert not left, f"left behind: {left}"


def is_empty(path: str) -> bool:
    try:
        return os.path.getsize(path) == 0
    except FileNotFoundError:
        return True


def is_alive(pid: int) -> bool:
    return pid > 0 and state_of(pid) not in {"", "Z", "X"}


def state_of(pid: int) -> str:
    """The letter of proc(5); empty when there is none such."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def name_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def with_descendants(pid: int) -> Iterator[int]:
    yield pid
    for child in children_of(pid):
        yield from with_descendants(child)


def processes_in(directory: str) -> list[int]:
    """Those whose working directory is below."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                where = os.readlink(f"/proc/{name}/cwd")
            except OSError:
                continue
            if where.startswith(directory):
                found.append(int(name))
    return found


def send(pid: int, number: signal.Signals) -> None:
    """A process that has ended is no error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def write_whole(path: str, content: str) -> None:
    """Nobody reads a part of it."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(content)
    os.rename(f"{path}.new", path)


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
