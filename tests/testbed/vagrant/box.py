"""Builds the box that the Vagrantfile asks for, from Debian's own packages, for a host that cannot fetch it.

It is what debian/bookworm64 is to Vagrant (the user, the key, the network by DHCP), with the files of requirements.lock in it:
the machines have no network but their own. Kernel and initrd lie beside the disk, so it needs no boot loader. What Paddock and
its tests need is in their environments already, in the lock's versions: pip, emulated, takes many minutes for it.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import shutil
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

from testbed.debian import cached, require_programs, root_tree, run_tool
from testbed.distribution import PREFIX, REPOSITORY, dependencies_layer
from tests.vm.image import make_disk

NAME = "debian/bookworm64"
LOCK = REPOSITORY / "requirements.lock"
PROGRAMS = {"debootstrap": "debootstrap", "mke2fs": "e2fsprogs", "qemu-img": "qemu-utils", "vagrant": "vagrant"}

_PACKAGES = (
    *("udev", "linux-image-cloud-amd64", "initramfs-tools", "ifupdown", "isc-dhcp-client"),
    *("openssh-server", "sudo", "rsync"),
    # What the Vagrantfile's provisioners install: apt finds them there.
    *("python3-venv", "acl"),
)
_INSTALL = """\
set -e
mount -t proc proc "$1/proc"
root=$1
shift
chroot "$root" apt-get update -qq
DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get install -y -qq --no-install-recommends "$@"
chroot "$root" apt-get clean
chroot "$root" python3 -m venv /opt/paddock
"""
_INSTALL_TIMEOUT_S = 1800.0
_DISK_BYTES = 8 << 30
_WHEELS = "usr/share/paddock-wheels"
_SYNCED = "vagrant"
_FILES = {
    "etc/pip.conf": f"[global]\nno-index = true\nfind-links = /{_WHEELS}\ndisable-pip-version-check = true\n",
    "etc/apt/sources.list": "# The package archive is out of reach here.\n",
    "etc/fstab": "/dev/vda / ext4 defaults 0 0\n",
    "etc/network/interfaces": "auto lo\niface lo inet loopback\nallow-hotplug eth0\niface eth0 inet dhcp\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/ssh/sshd_config.d/vagrant.conf": "UseDNS no\n",
    # On a busy host an emulated processor takes minutes to start a daemon.
    **{
        f"etc/systemd/system/{unit}.service.d/emulated.conf": "[Service]\nTimeoutStartSec=1800\nWatchdogSec=600\n"
        for unit in ("masterd", "agentd")
    },
    "etc/sudoers.d/vagrant": "vagrant ALL=(ALL) NOPASSWD: ALL\n",
}
# Before the kernel's package makes its initrd: the disk's modules alone, where all that any machine might need takes long.
_INITRD_FILES = {
    "etc/initramfs-tools/conf.d/paddock": "MODULES=list\n",
    "usr/share/initramfs-tools/modules.d/paddock": "virtio_pci\nvirtio_blk\next4\n",
}
_MASKED = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "fstrim.timer", "dpkg-db-backup.timer"),
    *("e2scrub_reap.service", "getty.target", "systemd-logind.service", "systemd-pcrphase.service"),
)
# An emulated processor: the kernel's own clocks come late, and its repairs of other processors' faults are dear.
_VAGRANTFILE = """\
Vagrant.configure("2") do |config|
  config.vm.boot_timeout = 1800
  # Known to all, and reached by nobody: there is no way into their network.
  config.ssh.insert_key = false
  config.vm.provider "libvirt" do |machine|
    machine.driver = "qemu"
    machine.cpu_mode = "custom"
    machine.cpu_model = "qemu64"
    machine.kernel = File.expand_path("../vmlinuz", __FILE__)
    machine.initrd = File.expand_path("../initrd.img", __FILE__)
    machine.cmd_line = "root=/dev/vda rw net.ifnames=0 console=ttyS0 mitigations=off no_timer_check quiet systemd.show_status=0"
    machine.graphics_type = "none"
    machine.memballoon_enabled = false
  end
end
"""


def box() -> Path:
    """The file for `vagrant box add`; made once for each lock and each state of this module."""
    require_programs(PROGRAMS.items(), "the box")
    recipe = LOCK.read_text(encoding="utf-8") + inspect.getsource(sys.modules[__name__])
    key = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    return cached(f"box-{key}", _build) / "debian.box"


def _build(work: Path) -> Path:
    print(f"building the box below {work.parent} (some minutes, once)", file=sys.stderr, flush=True)
    root, out = work / "root", work / "out"
    out.mkdir()
    run_tool(["cp", "-a", str(root_tree()), str(root)])
    run_tool(["cp", "-a", str(dependencies_layer() / PREFIX.lstrip("/")), str(root / "opt")])
    _write(root, _INITRD_FILES)
    # Nothing that is installed is to start here.
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    policy.chmod(0o755)
    command = ["unshare", "--mount", "sh", "-c", _INSTALL, "sh", str(root), *_PACKAGES]
    run_tool(command, timeout_s=_INSTALL_TIMEOUT_S)
    policy.unlink()
    _furnish(root)
    for name in ("vmlinuz", "initrd.img"):
        (found,) = (root / "boot").glob(f"{name}-*")
        found.rename(out / name)
    make_disk(root, work / "raw", size_bytes=_DISK_BYTES, label="paddock-box")
    convert = ["qemu-img", "convert", "-O", "qcow2", str(work / "raw"), str(out / "box.img")]
    run_tool(convert, timeout_s=_INSTALL_TIMEOUT_S)
    description = {"provider": "libvirt", "format": "qcow2", "virtual_size": _DISK_BYTES >> 30}
    (out / "metadata.json").write_text(json.dumps(description), encoding="utf-8")
    (out / "Vagrantfile").write_text(_VAGRANTFILE, encoding="utf-8")
    with tarfile.open(out / "debian.box", "w") as packed:
        for name in ("metadata.json", "Vagrantfile", "box.img", "vmlinuz", "initrd.img"):
            packed.add(out / name, name)
            (out / name).unlink()
    return out


def _write(root: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")


def _furnish(root: Path) -> None:
    _write(root, _FILES)
    for unit in _MASKED:
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    run_tool(["chroot", str(root), "useradd", "--create-home", "--shell=/bin/bash", "vagrant"])
    (key,) = Path("/usr/share/rubygems-integration/all/gems").glob("vagrant-[0-9]*/keys/vagrant.pub")
    keys = root / "home/vagrant/.ssh"
    keys.mkdir(mode=0o700)
    (keys / "authorized_keys").write_text(key.read_text(encoding="utf-8"), encoding="utf-8")
    run_tool(["chroot", str(root), "chown", "-R", "vagrant:vagrant", "/home/vagrant"])
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--no-build-isolation"]
    run_tool([*pip, "--dest", str(root / _WHEELS), "--requirement", str(LOCK)], timeout_s=_INSTALL_TIMEOUT_S)
    _make_tests_environment(root / _SYNCED)


def _make_tests_environment(synced: Path) -> None:
    """As setup/install makes it on the machine, where it finds this one, and makes it anew when pyproject.toml has changed."""
    synced.mkdir()
    for name in ("requirements.lock", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(REPOSITORY / name, synced)
    shutil.copytree(REPOSITORY / "setup", synced / "setup", ignore=shutil.ignore_patterns("__pycache__"))
    # This host's own choices for pip are not the machine's.
    enter = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "chroot", str(synced.parent)]
    run_tool([*enter, f"/{_SYNCED}/setup/install", "check"], timeout_s=_INSTALL_TIMEOUT_S)
    for path in synced.iterdir():
        if path.name != ".venv":
            run_tool(["rm", "-r", str(path)])
