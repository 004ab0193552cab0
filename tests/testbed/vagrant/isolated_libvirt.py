"""libvirt and Vagrant in namespaces of their own: whatever they make ends with the one process that holds them.

Mounts, network and process numbers are theirs, and what they write into the system's directories goes into ours: no domain,
pool, bridge, firewall rule or box can be left behind, whatever failed. There is no way out of their network.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.debian import require_programs

PROGRAMS = {
    "vagrant": "vagrant",
    "libvirtd": "libvirt-daemon",
    "virsh": "libvirt-clients",
    "dnsmasq": "dnsmasq-base",
    "iptables": "iptables",
    "rsync": "rsync",
    "ssh": "openssh-client",
    "qemu-system-x86_64": "qemu-system-x86",
}
VIRSH = ("virsh", "--connect=qemu:///system")
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0

# /dev/kvm is hidden: libvirt would promise a processor that only an emulated one can stand in for.
# Process 1 there gathers what dnsmasq and qemu leave when they end: a shell that waits does that.
_BEGIN = """\
set -e
ip link set lo up
mount -t sysfs sysfs /sys
[ ! -e /dev/kvm ] || mount --bind /dev/null /dev/kvm
for place in etc var/lib var/cache var/log; do
    mkdir -p "$1/$place/upper" "$1/$place/work"
    mount -t overlay -o "lowerdir=/$place,upperdir=$1/$place/upper,workdir=$1/$place/work" overlay "/$place"
done
mount -t tmpfs run /run
mkdir -p /etc/libvirt
# The package that makes libvirt's own user would start its services, too.
echo 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin' >>/etc/passwd
printf 'libvirt-qemu:x:64055:\nkvm:x:64056:\n' >>/etc/group
printf 'auth_unix_rw = "none"\\nauth_unix_ro = "none"\\n' >/etc/libvirt/libvirtd.conf
cat >/etc/libvirt/qemu.conf <<END
user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
remember_owner = 0
END
/usr/sbin/libvirtd &
wait
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolatedLibvirt:
    """`directory` holds everything, `holder` is process 1 of the namespaces."""

    directory: Path
    holder: int

    def run(
        self, *words: str, cwd: Path | None = None, on_output: Callable[[str], object] = len, timeout_s: float = 60.0
    ) -> str:
        """A command in the namespaces, its output passed on as it comes and returned. AssertionError when it fails."""
        command = ["nsenter", "--target", str(self.holder), "--mount", "--net", "--pid", "--ipc"]
        command += ["--wd=" + str(cwd or self.directory), "timeout", "--kill-after=10", str(timeout_s), *words]
        output = []
        with subprocess.Popen(
            command,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                output.append(line)
                on_output(line)
        text = "".join(output)
        assert process.returncode == 0, f"{' '.join(words)}: exit code {process.returncode}\n{text[-4000:]}"
        return text

    def answers(self) -> bool:
        """Whether libvirtd does."""
        try:
            self.run(*VIRSH, "list")
        except AssertionError:
            return False
        return True

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "LANG": "C.UTF-8",
            "VAGRANT_HOME": str(self.directory / "home"),
            "VAGRANT_DEFAULT_PROVIDER": "libvirt",
            "VAGRANT_CHECKPOINT_DISABLE": "1",
        }


@contextmanager
def isolated_libvirt(directory: Path) -> Iterator[IsolatedLibvirt]:
    """A libvirtd that answers; nothing of it lives, and nothing is mounted, after the block."""
    require_programs(PROGRAMS.items(), "libvirt")
    namespaces = ["--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"]
    log = directory / "libvirtd.log"
    with log.open("wb") as words:
        unshare = subprocess.Popen(
            ["unshare", *namespaces, "sh", "-c", _BEGIN, "sh", str(directory)],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            start_new_session=True,
        )
    try:
        running = IsolatedLibvirt(directory=directory, holder=_child_of(unshare))
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not running.answers():
            said = log.read_text(errors="replace")[-2000:]
            assert unshare.poll() is None, f"libvirtd ended: {said}"
            assert time.monotonic() < deadline_s, f"libvirtd does not answer: {said}"
            time.sleep(0.2)
        yield running
    finally:
        unshare.kill()
        unshare.wait(STOP_TIMEOUT_S)


def _child_of(process: subprocess.Popen[bytes]) -> int:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if children:
            return int(children[0])
        assert process.poll() is None, "unshare ended at once"
        time.sleep(0.01)
    raise TimeoutError("unshare made no namespaces")
