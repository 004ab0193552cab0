"""One host: a systemd of its own as process 1 of its own namespaces, on an overlay over the shared root file system.

Its disk (the overlay's upper directory) outlives its crashes, as a disk does. All its processes are in cgroups of its own, and
its mounts in a mount namespace that ends with it: when it is gone, only its directory is left.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed import network
from testbed.host_cgroups import HostCgroups
from testbed.process_handle import ProcessHandle

BOOT_TIMEOUT_S = 90.0
_KILL_TIMEOUT_S = 30.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Into its cgroups, its mounts made, its links given by whoever reads "joined"; then systemd-nspawn.
_BOOT = """\
set -e
name=$1 lowers=$2 directory=$3
shift 3
for cgroup; do echo 0 >"$cgroup/cgroup.procs"; done
mount -t overlay -o "lowerdir=$lowers,upperdir=$directory/upper,workdir=$directory/work" overlay "$directory/root"
echo joined
read -r _
exec systemd-nspawn --quiet --directory="$directory/root" --boot --machine="$name" --register=no --keep-unit --link-journal=no \
    --capability=all --system-call-filter=@known --network-namespace-path=/proc/self/ns/net --console=pipe \
    </dev/null >>"$directory/console.log" 2>&1
"""
_ENTER = """\
pid=$1 count=$2
shift 2
while [ "$count" -gt 0 ]; do echo 0 >"$1/cgroup.procs"; shift; count=$((count - 1)); done
cd /
exec nsenter --target="$pid" --all -- "$@"
"""


@dataclass(slots=True, kw_only=True)
class Host:
    """`cgroup_name` is unique on this machine. `nspawn` and `leader` are those of the last boot."""

    name: str
    address: str
    directory: Path
    cgroup_name: str
    nspawn: ProcessHandle | None = None
    leader: ProcessHandle | None = None
    child: subprocess.Popen[str] | None = None
    """nspawn, when this process booted it: then it has to wait for it as well."""

    @property
    def is_up(self) -> bool:
        """Its process 1 lives."""
        return self.leader is not None and self.leader.is_alive

    @property
    def is_frozen(self) -> bool:
        """It hangs, by `freeze`."""
        return HostCgroups(self.cgroup_name).is_frozen

    @property
    def upper(self) -> Path:
        """Its disk: what differs from the shared root file system."""
        return self.directory / "upper"

    def make_disk(self, files: dict[str, str], links: dict[str, str]) -> None:
        """Before its first boot."""
        for name in ("upper", "work", "root"):
            (self.directory / name).mkdir(parents=True)
        # Tasks have other users.
        for directory in (self.directory, self.upper):
            directory.chmod(0o755)
        own = {"etc/hostname": f"{self.name}\n", "etc/machine-id": f"{secrets.token_hex(16)}\n"}
        for path, content in {**own, **files}.items():
            (self.upper / path).parent.mkdir(parents=True, exist_ok=True)
            (self.upper / path).write_text(content, encoding="utf-8")
        for path, target in links.items():
            (self.upper / path).parent.mkdir(parents=True, exist_ok=True)
            (self.upper / path).symlink_to(target)

    def boot(self, lowers: Sequence[Path], fabric_pid: int) -> None:
        """Returns as soon as its process 1 is there. Raises TimeoutError with its last words."""
        cgroups = HostCgroups(self.cgroup_name)
        cgroups.make()
        script = ["sh", "-c", _BOOT, "sh", self.cgroup_name, ":".join(map(str, lowers)), str(self.directory)]
        with (self.directory / "console.log").open("ab") as console:
            process = subprocess.Popen(
                ["unshare", "--mount", "--net", *script, *cgroups.directories],
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=console,
                text=True,
                start_new_session=True,
                env={"PATH": _PATH},
            )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            self.child = process
            self.nspawn = ProcessHandle.of(process.pid)
            if process.stdout.readline() != "joined\n":
                raise TimeoutError(f"{self.name} has no mounts: {_read(str(self.directory / 'console.log'))[-2000:]}")
            network.join(fabric_pid, process.pid, self.name, self.address)
            process.stdin.write("go\n")
        finally:
            process.stdin.close()
            process.stdout.close()
        self.leader = self._await_leader(process)

    def _await_leader(self, process: subprocess.Popen[str]) -> ProcessHandle:
        deadline_s = time.monotonic() + BOOT_TIMEOUT_S
        while time.monotonic() < deadline_s and process.poll() is None:
            for pid in _read(f"/proc/{process.pid}/task/{process.pid}/children").split():
                if _read(f"/proc/{pid}/comm") == "systemd" and _nested_pid(pid) == "1":
                    return ProcessHandle.of(int(pid))
            time.sleep(0.01)
        raise TimeoutError(f"{self.name} does not boot: {_read(str(self.directory / 'console.log'))[-2000:]}")

    def command(self, words: Sequence[str]) -> list[str]:
        """What runs the words inside, as root there, in its cgroups."""
        if self.leader is None or not self.is_up:
            raise ProcessLookupError(f"host {self.name} is down: `heal` boots it")
        if self.is_frozen:
            raise ProcessLookupError(f"host {self.name} is frozen: `heal` lets it go on")
        directories = HostCgroups(self.cgroup_name).directories
        environment = ["env", "-i", "-C", "/", f"PATH={_PATH}", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb"]
        enter = ["sh", "-c", _ENTER, "sh", str(self.leader.pid), str(len(directories)), *directories]
        return [*enter, *environment, *words]

    def crash(self) -> None:
        """As when its power goes: nothing of it runs any more when this returns, and nothing was told. Its disk stays."""
        cgroups = HostCgroups(self.cgroup_name)
        if any(map(os.path.exists, cgroups.directories)):
            cgroups.thaw()
        if self.nspawn is not None and self.nspawn.is_alive:
            # Or the kernel, which lives on, would tell the other ends of its connections.
            network.unplug(self.nspawn.pid)
        for process in (self.leader, self.nspawn):
            if process is not None:
                process.kill(_KILL_TIMEOUT_S)
        if self.child is not None:
            self.child.wait(_KILL_TIMEOUT_S)
        cgroups.remove()
        self.leader = self.nspawn = self.child = None

    def freeze(self) -> None:
        """As when it hangs: every process of it stands still, its kernel goes on answering for its connections."""
        HostCgroups(self.cgroup_name).freeze()

    def thaw(self) -> None:
        """It goes on as if nothing had been."""
        HostCgroups(self.cgroup_name).thaw()


def _nested_pid(pid: str) -> str:
    """Its number in its own PID namespace."""
    for line in _read(f"/proc/{pid}/status").splitlines():
        if line.startswith("NSpid:"):
            return line.split()[-1]
    return ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
