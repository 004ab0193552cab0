"""Three hosts on this machine, one master and two agents, with the package's own units; and what can go wrong with them.

All of it is in one directory, in cgroups that bear its name, and in namespaces that end with its processes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from testbed import network
from testbed.debian import ImageError, require_programs
from testbed.distribution import PREFIX, build_wheel, host_layers
from testbed.host import Host
from testbed.process_handle import ProcessHandle

MASTER = "master"
AGENTS = ("agent1", "agent2")
ADDRESSES = {MASTER: "10.77.0.10", "agent1": "10.77.0.11", "agent2": "10.77.0.12"}
OUTSIDE = "outside"
"""A place on the same network that is none of the three hosts and never fails: where a framework, or a person, works."""

PLACES = {**ADDRESSES, OUTSIDE: "10.77.0.1"}
MASTER_PORT = 5050
AGENT_PORT = 5051
READY_TIMEOUT_S = 120.0

_STATE = "testbed.json"
_MASTER_SETTINGS = f"""\
listen = ["unix:/run/paddock/masterd.sock", "{ADDRESSES[MASTER]}:{MASTER_PORT}"]
insecure = true
tcp_uid = 0
"""
_AGENT_SETTINGS = """\
listen = ["unix:/run/paddock/agentd.sock", "{address}:{port}"]
master = ["{master}"]
insecure = true
tcp_uid = 0
resources = "cpus:2;mem:1024;disk:2048;ports:[31000-31099]"
"""


class Testbed:
    """What `up` made, or what another process' `up` did."""

    __test__ = False  # the name is no test's

    def __init__(self, directory: Path, layers: Sequence[Path], fabric: ProcessHandle, hosts: Sequence[Host]) -> None:
        """See `up` and `load`."""
        self.directory = directory
        self.hosts = {host.name: host for host in hosts}
        self._layers = tuple(layers)
        self._fabric = fabric
        self._holder: subprocess.Popen[bytes] | None = None

    @classmethod
    def up(cls, directory: Path, *, wheel: Path | None = None, settings: Mapping[str, str] | None = None) -> Testbed:
        """Three hosts that boot. `directory` must not be there yet. `settings`: further lines of the file of a host's daemon.

        Raises ImageError and TimeoutError; then nothing is left.
        """
        require_programs([("systemd-nspawn", "systemd-container"), ("debootstrap", "debootstrap")], "the testbed")
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            raise ImageError(f"{directory} is there already: `down` ends the testbed in it") from None
        layers = _layers(directory, wheel)
        holder = subprocess.Popen(
            ["unshare", "--net", "sleep", "infinity"],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        testbed = cls(directory, layers, _settled(holder.pid), _hosts(directory))
        testbed._holder = holder
        try:
            network.make_bridge(holder.pid, PLACES[OUTSIDE])
            for host in testbed.hosts.values():
                files, links = _installed(host, (settings or {}).get(host.name, ""))
                host.make_disk(files, links)
                testbed.boot(host.name)
        except BaseException:
            testbed.down()
            raise
        return testbed

    @classmethod
    def load(cls, directory: Path) -> Testbed:
        """Raises ImageError where there is none."""
        try:
            state: dict[str, Any] = json.loads((directory / _STATE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            remedy = "`up` makes one"
            if directory.exists():
                # `up` would not touch it, and `down` does not know whose it is.
                remedy = f"an `up` that was killed left {directory}, or it is something else: remove it, then `up`"
            raise ImageError(f"there is no testbed in {directory}: {remedy}") from None
        except ValueError as error:
            raise _unreadable(directory, error) from None
        try:
            hosts = [
                Host(
                    name=each["name"],
                    address=each["address"],
                    directory=directory / each["name"],
                    cgroup_name=each["cgroup_name"],
                    nspawn=_handle(each["nspawn"]),
                    leader=_handle(each["leader"]),
                )
                for each in state["hosts"]
            ]
            fabric = _handle(state["fabric"])
            layers = [Path(layer) for layer in state["layers"]]
        except (LookupError, TypeError) as error:
            raise _unreadable(directory, error) from None
        assert fabric is not None
        return cls(directory, layers, fabric, hosts)

    @property
    def is_up(self) -> bool:
        """Its network is there, whatever its hosts do."""
        return self._fabric.is_alive

    @property
    def fabric_pid(self) -> int:
        """Of a process in the network that joins the hosts: a further one may be joined to it."""
        return self._fabric.pid

    def boot(self, name: str) -> None:
        """A host that is down; its disk is as it was left."""
        self.hosts[name].boot(self._layers, self._fabric.pid)
        self._save()

    def down(self) -> None:
        """Nothing is left: no process, mount, namespace, cgroup, link or file. Idempotent; goes on past a failure."""
        failures = []
        for host in self.hosts.values():
            try:
                host.crash()
            except (OSError, TimeoutError) as failure:
                failures.append(failure)
        self._fabric.kill(READY_TIMEOUT_S)
        if self._holder is not None:
            self._holder.wait(READY_TIMEOUT_S)
        shutil.rmtree(self.directory, ignore_errors=not failures)
        if failures:
            raise failures[0]

    def exec(self, name: str, *words: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a command on a host, as root there."""
        command = self.hosts[name].command(words)
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def await_ready(self) -> None:
        """Until the master serves and every agent has registered. Raises TimeoutError with the daemons' last words."""
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while True:
            done = self.exec(MASTER, "paddock", "agents", "-o", "json")
            if done.returncode == 0 and sum(each["state"] == "AGENT_ACTIVE" for each in json.loads(done.stdout)) == len(
                AGENTS
            ):
                return
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"the cluster is not ready: {done.stdout}{done.stderr}\n{self.last_words()}")
            time.sleep(0.1)

    def last_words(self) -> str:
        """The end of each daemon's journal."""
        told = []
        for host in self.hosts.values():
            if host.is_up and not host.is_frozen:
                unit = "masterd" if host.name == MASTER else "agentd"
                told.append(f"{host.name}:\n{self.exec(host.name, 'journalctl', '-u', unit, '-n', '30').stdout}")
        return "\n".join(told)

    def crash(self, name: str) -> None:
        """Its power is gone."""
        self.hosts[name].crash()
        self._save()

    def freeze(self, name: str) -> None:
        """It hangs."""
        self.hosts[name].freeze()

    def thaw(self, name: str) -> None:
        """It goes on."""
        self.hosts[name].thaw()

    def partition(self, name: str, other: str, *, one_way: bool = False) -> None:
        """What `name` sends to `other` is lost; and the reverse, unless it is one way only."""
        network.cut(self._link_holder(name), PLACES[other])
        if not one_way:
            network.cut(self._link_holder(other), PLACES[name])

    def slow(self, name: str, rate_kbit: int) -> None:
        """What it sends leaves at this rate at most."""
        network.slow(self._link_holder(name), rate_kbit)

    def heal(self) -> None:
        """Every host is up, goes on, and reaches the others at full speed."""
        network.heal(self._fabric.pid)
        for host in self.hosts.values():
            if host.is_up:
                host.thaw()
                network.heal(self._link_holder(host.name))
            else:
                self.crash(host.name)
                self.boot(host.name)

    def outside(self, words: Sequence[str]) -> list[str]:
        """What runs the words on this machine, but on the three hosts' network."""
        return ["nsenter", f"--net=/proc/{self._fabric.pid}/ns/net", "--", *words]

    def _link_holder(self, name: str) -> int:
        if name == OUTSIDE:
            return self._fabric.pid
        nspawn = self.hosts[name].nspawn
        if nspawn is None or not nspawn.is_alive:
            raise ProcessLookupError(f"host {name} is down: `heal` boots it")
        return nspawn.pid

    def _save(self) -> None:
        state = {
            "layers": [str(layer) for layer in self._layers],
            "fabric": asdict(self._fabric),
            "hosts": [
                {
                    "name": host.name,
                    "address": host.address,
                    "cgroup_name": host.cgroup_name,
                    "nspawn": asdict(host.nspawn) if host.nspawn else None,
                    "leader": asdict(host.leader) if host.leader else None,
                }
                for host in self.hosts.values()
            ],
        }
        written = self.directory / f"{_STATE}.new"
        written.write_text(json.dumps(state), encoding="utf-8")
        written.rename(self.directory / _STATE)


def _hosts(directory: Path) -> list[Host]:
    # One per directory, so that two testbeds on one machine do not meet; short, because a machine's name is.
    mark = hashlib.sha256(str(directory).encode()).hexdigest()[:8]
    return [
        Host(name=name, address=address, directory=directory / name, cgroup_name=f"paddock-{mark}-{name}")
        for name, address in ADDRESSES.items()
    ]


def _installed(host: Host, further: str) -> tuple[dict[str, str], dict[str, str]]:
    """The files and links by which an operator would have told this host what it is."""
    unit = "masterd" if host.name == MASTER else "agentd"
    own = (
        _MASTER_SETTINGS
        if host.name == MASTER
        else _AGENT_SETTINGS.format(address=host.address, port=AGENT_PORT, master=f"{ADDRESSES[MASTER]}:{MASTER_PORT}")
    )
    names = [f"{address} {name}" for name, address in ADDRESSES.items()]
    installed = f"{PREFIX}/lib/systemd/system/{unit}.service"
    files = {f"etc/paddock/{unit}.toml": own + further, "etc/hosts": "\n".join(["127.0.0.1 localhost", *names, ""])}
    places = (f"etc/systemd/system/{unit}.service", f"etc/systemd/system/multi-user.target.wants/{unit}.service")
    return files, dict.fromkeys(places, installed)


def _layers(directory: Path, wheel: Path | None) -> list[Path]:
    """The hosts' own. Without them nothing of the directory is left, also when somebody has not the patience."""
    try:
        return host_layers(wheel or build_wheel(_made(directory / "dist")), _made(directory / "layer"))
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def _settled(pid: int) -> ProcessHandle:
    """Once it has its own network, which is before its program is `sleep`."""
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net"):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"process {pid} makes no network namespace")
        time.sleep(0.005)
    return ProcessHandle.of(pid)


def _unreadable(directory: Path, error: Exception) -> ImageError:
    what = f"{directory / _STATE} is not what `up` wrote ({type(error).__name__}: {error})"
    return ImageError(f"{what}: remove {directory}, then `up`")


def _handle(fields: Mapping[str, int] | None) -> ProcessHandle | None:
    return None if fields is None else ProcessHandle(pid=fields["pid"], started=fields["started"])


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory
