"""The distribution as it is installed: its wheel, the wheels of what it needs, layers of a root file system with them.

A layer is the upper directory of an overlay over a bare Debian: what an installation has written, and nothing else.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from testbed.debian import BUILD_TIMEOUT_S, ImageError, cached, require_programs, root_tree, run_tool

REPOSITORY = Path(__file__).resolve().parents[1]
PREFIX = "/opt/paddock"
"""Where the units expect it."""

WHEELS = "/mnt"
"""Where the wheels are while a layer is made."""

_PYTHON = (3, 11)  # Debian 12's
_MOUNT = """\
set -e
mount -t overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" overlay "$4"
mount -t proc proc "$4/proc"
mount --rbind /sys "$4/sys"
mount --bind "$5" "$4/mnt"
target=$4
shift 5
exec chroot "$target" "$@"
"""


def build_wheel(into: Path) -> Path:
    """Of the working tree, manual pages included."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    run_tool([*pip, "--wheel-dir", str(into), str(REPOSITORY)], cwd=into)
    (wheel,) = into.glob("paddock-*.whl")
    return wheel


def wheelhouse() -> Path:
    """A directory with the wheels of all that Paddock needs to run, in the lock's versions, and of pip; made once."""
    if sys.version_info[:2] != _PYTHON:
        raise ImageError(f"Debian's Python is 3.11 and .venv's {sys.version.split()[0]}: make .venv with a Python 3.11")
    lock = _locked_part({*_needed_names("paddock"), "pip"})
    key = hashlib.sha256(lock.encode()).hexdigest()[:16]
    return cached(f"wheels-{key}", lambda work: _gather(lock, work))


def dependencies_layer() -> Path:
    """A virtual environment in its place, with everything but Paddock; made once."""
    wheels = wheelhouse()
    names = sorted(path.name for path in wheels.iterdir() if not path.name.startswith("pip-"))
    files = [f"{WHEELS}/{name}" for name in names]
    key = hashlib.sha256("\n".join([str(root_tree()), str(wheels)]).encode()).hexdigest()[:16]

    def build(work: Path) -> Path:
        layer = work / "layer"
        layer.mkdir()
        enter([root_tree()], layer, wheels, make_environment())
        enter([root_tree()], layer, wheels, install("--no-deps", *files))
        return layer

    return cached(f"layer-{key}", build)


def make_environment() -> list[str]:
    """The command that makes an empty virtual environment."""
    return ["python3", "-m", "venv", "--without-pip", PREFIX]


def install(*words: str) -> list[str]:
    """The command that installs into it from the wheels alone. pip runs out of its own wheel: nothing of it stays."""
    pip = next(path.name for path in wheelhouse().glob("pip-*.whl"))
    options = ["--quiet", "--no-index", f"--find-links={WHEELS}", "--no-cache-dir", "--root-user-action=ignore"]
    return ["python3", f"{WHEELS}/{pip}/pip", "--python", f"{PREFIX}/bin/python", "install", *options, *words]


def enter(lowers: Sequence[Path], layer: Path, bound: Path, command: Sequence[str]) -> str:
    """Run a command in the root file system of these layers, the topmost first; `layer` takes what it writes, `bound` is at
    /mnt. Without a network, in namespaces that end with it. ImageError with its words when it fails.
    """
    require_programs([("unshare", "util-linux"), ("chroot", "coreutils")], "a layer")
    with tempfile.TemporaryDirectory(prefix="layer-", dir=layer.parent) as name:
        places = [Path(name, each) for each in ("work", "root")]
        for place in places:
            place.mkdir()
        script = ["sh", "-c", _MOUNT, "sh", ":".join(map(str, lowers)), str(layer), *map(str, places), str(bound)]
        namespaces = ["unshare", "--mount", "--net", "--ipc", "--uts"]
        done = subprocess.run(
            [*namespaces, *script, *command],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT_S,
            check=False,
        )
        # The kernel leaves its own directory in there.
        shutil.rmtree(places[0])
    if done.returncode != 0:
        words = f"{done.stdout[-2000:]}{done.stderr[-2000:]}".strip()
        raise ImageError(f"`{' '.join(command)}` ended with {done.returncode}: {words}")
    return done.stdout


def _gather(lock: str, work: Path) -> Path:
    wheels = work / "wheels"
    (work / "lock").write_text(lock, encoding="utf-8")
    # cgroupspy is published as source only: what builds it is in our own environment.
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--require-hashes", "--no-build-isolation"]
    run_tool([*pip, "--wheel-dir", str(wheels), "-r", str(work / "lock")], cwd=work)
    return wheels


def _locked_part(names: set[str]) -> str:
    """The lock's lines on these distributions."""
    lines: list[str] = []
    wanted = False
    for line in (REPOSITORY / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith((" ", "#")):
            wanted = canonicalize_name(line.partition("==")[0]) in names
        if wanted:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _needed_names(distribution: str) -> set[str]:
    """What it needs to run, and what that needs, as installed here."""
    found: set[str] = set()
    waiting = [distribution]
    while waiting:
        for text in importlib.metadata.requires(waiting.pop()) or ():
            requirement = Requirement(text)
            name = canonicalize_name(requirement.name)
            if name not in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
                found.add(name)
                waiting.append(name)
    return found


HOST_FILES = {
    # The host's own v1 controllers come read-only from systemd-nspawn, although they are its alone. systemd looks at its start
    # which ones it may use; one that learns of them later moves all that lives in system.slice into system.slice's own.
    "etc/systemd/system/paddock-controllers.service": """\
[Unit]
Description=Makes the controllers of this host writable
DefaultDependencies=no
Before=sysinit.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'for point in /sys/fs/cgroup/*; do [ -d "$point" ] && mount -o remount,bind,rw "$point"; done; true'
ExecStartPost=/bin/systemctl daemon-reexec
""",
    "etc/systemd/journald.conf.d/paddock.conf": "[Journal]\nStorage=volatile\nRateLimitBurst=0\n",
}
HOST_LINKS = {
    "etc/tmpfiles.d/paddock.conf": f"{PREFIX}/lib/tmpfiles.d/paddock.conf",
    "usr/local/bin/paddock": f"{PREFIX}/bin/paddock",
    "etc/systemd/system/sysinit.target.wants/paddock-controllers.service": "../paddock-controllers.service",
    **{
        f"etc/systemd/system/{unit}": "/dev/null"
        for unit in (
            "apt-daily.timer",
            "apt-daily-upgrade.timer",
            "dpkg-db-backup.timer",
            "e2scrub_all.timer",
            "e2scrub_reap.service",
            "fstrim.timer",
            "getty.target",
            "console-getty.service",
            "systemd-logind.service",
            "systemd-networkd-wait-online.service",
        )
    },
}


def host_layers(wheel: Path, layer: Path) -> list[Path]:
    """The root file system of a host with this wheel, the topmost first; `layer` becomes the uppermost."""
    lowers = [dependencies_layer(), root_tree()]
    with tempfile.TemporaryDirectory(prefix="wheel-", dir=layer.parent) as name:
        for needed in (wheel, *wheelhouse().glob("pip-*.whl")):
            shutil.copy(needed, name)
        enter(lowers, layer, Path(name), install("--no-deps", f"{WHEELS}/{wheel.name}"))
        enter(lowers, layer, Path(name), ["systemd-sysusers", f"{PREFIX}/lib/sysusers.d/paddock.conf"])
    for path, content in HOST_FILES.items():
        (layer / path).parent.mkdir(parents=True, exist_ok=True)
        (layer / path).write_text(content, encoding="utf-8")
    for path, target in HOST_LINKS.items():
        (layer / path).parent.mkdir(parents=True, exist_ok=True)
        (layer / path).symlink_to(target)
    return [layer, *lowers]
