"""How a launcher comes into systemd's scope for tasks: a program that enters the scope, or makes it, and becomes the launcher.

systemd takes an empty scope away at any moment. Who sees its directory and then writes itself into it can lose that race: the
directory is gone and is made by hand, or systemd has seen it empty just before; either way it lives in a scope that is
nobody's, and that no `systemctl` finds. So a holder goes first, a `cat` that ends with us: into the directory that is there,
and systemd is asked whether the scope is active; if not, systemd makes the scope around another holder. systemd lets go of
what it has found empty before it answers, and reads anew what it hears to be empty: what is held, and then active, stays.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from paddock.kernel.mounts import read_mounts
from paddock.launch.launcher_log import log

SCOPE = "paddock-tasks.scope"
SYSTEMD_RUNS = "/run/systemd/system"
MAKER = "systemd-run"
_ATTEMPTS_COUNT = 8
_ATTEMPT_AGAIN_S = 0.1
_HOLD = ("cat",)
_DESCRIPTION = "Paddock tasks of this host, with their launchers and shims"
_MAKE = (
    *(MAKER, "--scope", "--quiet", f"--unit={SCOPE}", f"--description={_DESCRIPTION}"),
    *("-p", "Delegate=yes", "--collect", "--"),
)


def main() -> None:
    """The command line is the launcher's."""
    if not enter():
        log("no-scope", unit=SCOPE, remedy=f"see `systemctl status {SCOPE}`, or set systemd_enable_support = false")
        sys.exit(1)
    os.execv(sys.argv[1], sys.argv[1:])


def enter() -> bool:
    """Whether this process is in the scope now. One of this host's agents at a time."""
    with _alone():
        for _ in range(_ATTEMPTS_COUNT):
            with _holder(_HOLD) as pid:
                if pid and _join(pid) and _is_active() and _join(os.getpid()):
                    return True
            _clear()
            with _holder((*_MAKE, *_HOLD)) as pid:
                if pid and _join(os.getpid()):
                    return True
            time.sleep(_ATTEMPT_AGAIN_S)
        # Somebody lives in a scope that systemd has given up: containers, which must not be without their launcher.
        return _join(os.getpid())


@contextmanager
def _alone() -> Iterator[None]:
    """A holder in the scope's own cgroup keeps others from handing controllers down there."""
    fd = os.open(SYSTEMD_RUNS, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def _holder(command: tuple[str, ...]) -> Iterator[int]:
    """Its pid, once it is a `cat` that answers; 0 when nothing came of it. It ends with the block, or with us."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(b"\n")
            answers = bool(process.stdout.read(1))
        except BrokenPipeError:
            answers = False
        yield process.pid if answers else 0


def _join(pid: int) -> bool:
    """On v2 a leaf takes it. Makes no scope."""
    directories = _directories()
    try:
        for scope in directories:
            target = scope
            if os.path.exists(f"{scope}/cgroup.subtree_control"):
                target = f"{scope}/launcher"
                _make(target)
            with open(f"{target}/cgroup.procs", "wb", buffering=0) as file:
                file.write(str(pid).encode())
    except OSError:
        return False
    return bool(directories)


def _make(directory: str) -> None:
    try:
        os.mkdir(directory, 0o755)
    except FileExistsError:
        pass


def _is_active() -> bool:
    return subprocess.run(("systemctl", "is-active", "--quiet", SCOPE), check=False).returncode == 0


def _directories() -> tuple[str, ...]:
    """In systemd's own hierarchy (v1) or the only one (v2): those that are there."""
    points = [m.mount_point for m in read_mounts() if m.fs_type == "cgroup2" or "name=systemd" in m.options]
    return tuple(path for point in points if os.path.isdir(path := f"{point}/system.slice/{SCOPE}"))


def _clear() -> None:
    """What a dead scope left, and what an older agent made by hand: systemd cannot put anybody above cgroups that have
    controllers. Nothing when anybody lives there.
    """
    for scope in _directories():
        tree = [path for path, _, _ in os.walk(scope, topdown=False)]
        if not any(_is_inhabited(path) for path in tree):
            for path in tree:
                _remove(path)


def _is_inhabited(directory: str) -> bool:
    try:
        with open(f"{directory}/cgroup.procs", "rb") as file:
            return bool(file.read())
    except OSError:
        return False


def _remove(directory: str) -> None:
    try:
        os.rmdir(directory)
    except OSError:
        pass
