"""A whole cluster on this host: launcher, masterd and agentd in one directory, on unix sockets; it leaves no trace.

`eval "$(python -m testbed.one_host start)"` starts one and has a shell know it; `… stop DIRECTORY` ends
one, whoever started it, and `restart DIRECTORY` kills its agentd and starts it anew.
"""

from __future__ import annotations

import argparse
import asyncio
import glob
import os
import select
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from paddock.model.errors import PaddockError, Unavailable
from paddock.rpc.clients.agent import connect_agent
from paddock.rpc.clients.master import connect_master
from testbed.daemon_process import STOP_TIMEOUT_S, DaemonProcess, log_tail
from testbed.our_processes import end_all

Result = TypeVar("Result")

DIRECTORY_PREFIX = "paddock-one-host-"
REGISTER_TIMEOUT_S = 60.0
_AGENT_ID_FILE = "agent/agent-id"
"""agentd's own: there before anything of it can fail, and after whoever started it has gone."""

_NO_CONFIGURATION = "empty.toml"
"""What this host's own daemons are told in /etc is not for these."""


class OneHost:
    """`directory` holds everything: sockets, state, sandboxes, logs. All may pass through it: tasks have other users."""

    def __init__(
        self, directory: str, *, agent_arguments: Sequence[str] = (), master_arguments: Sequence[str] = ()
    ) -> None:
        """Nothing is started yet. The arguments are added to the daemons' own."""
        self.directory = directory
        self.master_address = f"unix:{directory}/masterd.sock"
        self.agent_address = f"unix:{directory}/agentd.sock"
        self.agent_id = ""
        self._runner = asyncio.Runner()
        self.masterd = DaemonProcess(
            "masterd",
            [
                f"--config={directory}/{_NO_CONFIGURATION}",
                f"--state-dir={directory}/master",
                f"--listen={self.master_address}",
                *master_arguments,
            ],
            directory,
        )
        self.agentd = DaemonProcess(
            "agentd",
            [
                f"--config={directory}/{_NO_CONFIGURATION}",
                f"--state-dir={directory}/agent",
                f"--work-dir={directory}/work",
                f"--listen={self.agent_address}",
                f"--master={self.master_address}",
                "--container-disk-watch-interval=1s",
                *agent_arguments,
            ],
            directory,
        )

    @classmethod
    def make(cls, *, agent_arguments: Sequence[str] = (), master_arguments: Sequence[str] = ()) -> OneHost:
        """In a new directory."""
        directory = tempfile.mkdtemp(prefix=DIRECTORY_PREFIX)
        os.chmod(directory, 0o711)  # noqa: S103 - as the docstring says
        return cls(directory, agent_arguments=agent_arguments, master_arguments=master_arguments)

    def start(self) -> None:
        """Returns once the agent has registered. Raises Unavailable with the log of the daemon that did not come up."""
        with open(os.path.join(self.directory, _NO_CONFIGURATION), "w", encoding="utf-8"):
            pass
        self.masterd.start()
        try:
            self.agentd.start()
        except Unavailable as error:
            # The directory goes with the failed start, and with it what the launcher said.
            launcher_words = log_tail(os.path.join(self.directory, "agent", "launcher.log"))
            raise Unavailable(f"{error}\n{launcher_words}".rstrip()) from None
        self.agent_id = self.run(self._registered())

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """What speaks to this cluster, on one event loop until it is stopped.

        grpc.aio hands an event that came late to the loop that asked, and prints a traceback when that one is closed.
        """
        return self._runner.run(coroutine)

    async def _registered(self) -> str:
        deadline_s = time.monotonic() + REGISTER_TIMEOUT_S
        async with connect_master((self.master_address,)) as master:
            while time.monotonic() < deadline_s:
                for agent in await master.list_agents():
                    if agent.state == "active":
                        return agent.info.agent_id
                await asyncio.sleep(0.05)
        raise Unavailable(f"agentd did not register at {self.master_address}; its log:\n{self.agentd.log_tail()}")

    def restart_agent(self) -> None:
        """agentd is killed, whoever started it, and started again: its tasks live. Returns once it has registered."""
        if pid := _read(os.path.join(self.directory, "agent", "lock")):
            with suppress(ProcessLookupError):
                descriptor = os.pidfd_open(int(pid))
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                select.select([descriptor], [], [], STOP_TIMEOUT_S)
                os.close(descriptor)
        self.agentd.start()
        self.agent_id = self.run(self._registered())

    def stop(self) -> None:
        """Tasks, daemons, launcher, cgroups, files: all that is this cluster's. Idempotent; goes on past a failure."""
        if not os.path.isdir(self.directory):
            self._runner.close()
            return
        self.agentd.resume()
        self.masterd.resume()
        try:
            if os.path.exists(self.agent_address.removeprefix("unix:")):
                self.run(_end_containers(self.agent_address))
        except PaddockError as error:
            print(f"containers are ended without the agent's help: {error}", file=sys.stderr)
        self._runner.close()
        self.agentd.stop()
        self.masterd.stop()
        end_all(self.directory, STOP_TIMEOUT_S)
        remove_cgroups(_read(os.path.join(self.directory, _AGENT_ID_FILE)))
        shutil.rmtree(self.directory, ignore_errors=True)


async def _end_containers(agent_address: str) -> None:
    async with connect_agent(agent_address) as agent:
        running = await agent.list_containers()
        for container in running:
            await agent.kill_container(container.container_id, grace_ms=0)
        for container in running:
            await agent.wait_container(container.container_id, timeout_s=STOP_TIMEOUT_S)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def remove_cgroups(agent_id: str) -> None:
    """The agent's own directories in each hierarchy, deepest first, and whatever a dead shim left in them; a killed one's lock.

    One that cannot be removed is named.
    """
    if not agent_id:
        return
    with suppress(FileNotFoundError):
        os.unlink(f"/run/paddock-agent-{agent_id}.lock")
    deadline_s = time.monotonic() + STOP_TIMEOUT_S
    roots = glob.glob(f"/sys/fs/cgroup/**/paddock-{agent_id}", recursive=True)
    for root in roots:
        for directory, _, _ in os.walk(root, topdown=False):
            while (error := _try_to_remove(directory)) and time.monotonic() < deadline_s:
                time.sleep(0.02)
            if error:
                print(f"{directory} cannot be removed: {error}; what runs in it?", file=sys.stderr)


def _try_to_remove(directory: str) -> str:
    """What the kernel says against it; empty when it is gone. The name of the directory says that its processes are ours."""
    try:
        with open(os.path.join(directory, "cgroup.procs"), encoding="ascii") as file:
            for pid in file.read().split():
                os.kill(int(pid), signal.SIGKILL)
        os.rmdir(directory)
    except (FileNotFoundError, ProcessLookupError):
        return "" if not os.path.isdir(directory) else "its processes are ending"
    except OSError as error:
        return error.strerror or str(error)
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """The three verbs."""
    parser = argparse.ArgumentParser(prog="python -m testbed.one_host", description=__doc__, allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("start", help="start a cluster and print its addresses")
    verbs.add_parser("stop", help="stop one and remove it").add_argument("directory")
    verbs.add_parser("restart", help="kill its agentd and start it anew").add_argument("directory")
    options = parser.parse_args(arguments)
    if options.verb == "start":
        host = OneHost.make()
        try:
            host.start()
        except BaseException:
            host.stop()
            raise
        print(f"export PADDOCK_MASTER={host.master_address} PADDOCK_DIRECTORY={host.directory}")
        print(f"export PATH={shlex.quote(os.path.dirname(sys.executable))}:$PATH\n# agent: {host.agent_address}")
        return 0
    directory = os.path.abspath(options.directory)
    if not os.path.basename(directory).startswith(DIRECTORY_PREFIX) or not os.path.isdir(directory):
        print(f"{directory} is no directory of a one-host cluster ({DIRECTORY_PREFIX}…)", file=sys.stderr)
        return 2
    if options.verb == "restart":
        OneHost(directory).restart_agent()
    else:
        OneHost(directory).stop()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (PaddockError, OSError) as failure:
        print(failure, file=sys.stderr)
        sys.exit(1)
