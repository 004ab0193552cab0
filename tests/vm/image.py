"""Builds, once, the Debian 12 disk image and kernel that the virtual machine boots.

The result is kept outside the tree, in ``/var/cache/paddock-tests`` or where ``PADDOCK_TEST_CACHE`` points, in one
directory for each recipe: whoever changes the recipe gets a new image, and every directory there may be deleted at any
time. A first build takes about a minute, almost all of it debootstrap's.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from testbed.debian import PACKAGES, SUITE, ImageError, cached, require_programs, root_tree, run_tool

# Debian's package that brings each outside program that this package starts.
PROGRAM_PACKAGES: Mapping[str, str] = {
    "qemu-system-x86_64": "qemu-system-x86",
    "debootstrap": "debootstrap",
    "mke2fs": "e2fsprogs",
    "dpkg-deb": "dpkg",
    "setpriv": "util-linux",
    "apt-get": "apt",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestFile:
    """A file written into the root file system; a symbolic link where ``link_to`` is set."""

    path: str
    content: str = ""
    link_to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides what is on the image: its hash is the name of the image's directory."""

    suite: str
    kernel_package: str
    packages: tuple[str, ...]
    files: tuple[GuestFile, ...]
    size_bytes: int

    def key(self) -> str:
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A kernel and a raw disk to boot; both are only ever read."""

    kernel: Path
    disk: Path


def _masked(unit: str) -> GuestFile:
    return GuestFile(path=f"etc/systemd/system/{unit}", link_to="/dev/null")


# The tree and its guest program come on the second disk, so that a change of the code never costs a new image.
_GUEST_UNIT = """\
[Unit]
Description=Runs commands for the tests outside

[Service]
# systemd enables a controller in the root only where a unit wants it: ours makes them all be there for the tests.
CPUWeight=100
IOAccounting=yes
MemoryAccounting=yes
TasksAccounting=yes
TasksMax=infinity
WorkingDirectory=-/paddock/tree
ExecStartPre=/bin/mount -t ext4 /dev/nvme1n1 /paddock
ExecStartPre=/sbin/modprobe -a virtio_pci virtio_console
ExecStart=/usr/bin/python3 -S /paddock/tree/tests/vm/guest.py
StandardOutput=journal+console
StandardError=journal+console
Restart=no

[Install]
WantedBy=multi-user.target
"""

# Those that come with Docker: the tests start an engine of their own. AppArmor's compiles profiles while the machine boots.
_ENGINE_UNITS = (
    *("docker.service", "docker.socket", "containerd.service", "docker-registry.service"),
    "apparmor.service",
)

RECIPE = Recipe(
    suite=SUITE,
    kernel_package="linux-image-cloud-amd64",
    packages=PACKAGES,
    files=(
        GuestFile(path="etc/hostname", content="paddock-machine\n"),
        GuestFile(path="etc/hosts", content="127.0.0.1 localhost paddock-machine\n"),
        GuestFile(path="etc/fstab", content="tmpfs /tmp tmpfs mode=1777,nosuid,nodev 0 0\n"),
        GuestFile(path="etc/systemd/journald.conf.d/paddock.conf", content="[Journal]\nStorage=volatile\n"),
        GuestFile(path="etc/systemd/system/paddock-guest.service", content=_GUEST_UNIT),
        GuestFile(
            path="etc/systemd/system/multi-user.target.wants/paddock-guest.service",
            link_to="../paddock-guest.service",
        ),
        # Emulated instructions are dear: what no test needs does not start.
        *(
            _masked(unit)
            for unit in (
                "apt-daily.timer",
                "apt-daily-upgrade.timer",
                "dpkg-db-backup.timer",
                "e2scrub_all.timer",
                "e2scrub_reap.service",
                "fstrim.timer",
                "getty.target",
                "systemd-journal-flush.service",
                "systemd-logind.service",
                "systemd-network-generator.service",
                "systemd-pcrphase.service",
                "systemd-random-seed.service",
                "systemd-sysusers.service",
                "systemd-update-utmp.service",
                "systemd-update-utmp-runlevel.service",
            )
        ),
    ),
    size_bytes=2 << 30,
)

# A Docker engine is what most hosts need not have: an image of its own, so that the others' does not grow.
ENGINE_RECIPE = replace(
    RECIPE,
    # With AppArmor in the kernel an engine starts nothing without its parser.
    packages=(*PACKAGES, "docker.io", "docker-registry", "busybox-static", "apparmor"),
    files=(*RECIPE.files, *(_masked(unit) for unit in _ENGINE_UNITS)),
)


def image(recipe: Recipe = RECIPE) -> Image:
    """The image of ``recipe``, built now if it is not in the cache. Two callers at once build it once."""
    require_programs(PROGRAM_PACKAGES.items(), "the virtual machine")
    home = cached(recipe.key(), lambda work: _build(recipe, work))
    return Image(kernel=home / "vmlinuz", disk=home / "root.img")


def make_disk(source: Path, target: Path, *, size_bytes: int, label: str) -> None:
    """Write the tree below ``source`` into a new ext4 image, with owners, modes and times; no mount."""
    options = ["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-E", "lazy_itable_init=1", "-L", label]
    run_tool(["mke2fs", *options, "-d", str(source), str(target), f"{size_bytes // 1024}k"])


def _build(recipe: Recipe, work: Path) -> Path:
    tree = root_tree(recipe.suite, recipe.packages)
    print(f"building the virtual machine's image below {work.parent} (once)", file=sys.stderr, flush=True)
    root, out = work / "root", work / "out"
    out.mkdir()
    run_tool(["cp", "-a", str(tree), str(root)])
    unpacked = _unpack_kernel(recipe.kernel_package, work)
    kernel = next((unpacked / "boot").glob("vmlinuz-*"))
    shutil.copytree(unpacked / "lib" / "modules", root / "lib" / "modules", symlinks=True)
    run_tool(["chroot", str(root), "depmod", kernel.name.removeprefix("vmlinuz-")])
    _write_files(root, recipe.files)
    (root / "paddock").mkdir()
    make_disk(root, out / "root.img", size_bytes=recipe.size_bytes, label="paddock-root")
    shutil.copy2(kernel, out / "vmlinuz")
    return out


def _unpack_kernel(package: str, work: Path) -> Path:
    """Download and unpack, not install, the kernel that the meta package stands for now."""
    depends = run_tool(["apt-cache", "depends", "--important", package]).splitlines()
    named = [line.split("Depends:")[1].strip() for line in depends if "Depends: linux-image-" in line]
    if not named:
        raise ImageError(f"apt knows no {package}: run `apt-get update`")
    target = work / "kernel"
    target.mkdir()
    run_tool(["apt-get", "-o", "APT::Sandbox::User=root", "download", named[0]], cwd=target)
    run_tool(["dpkg-deb", "-x", str(next(target.glob("*.deb"))), str(target / "x")])
    return target / "x"


def _write_files(root: Path, files: Sequence[GuestFile]) -> None:
    for file in files:
        path = root / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if file.link_to:
            path.symlink_to(file.link_to)
        else:
            path.write_text(file.content)
