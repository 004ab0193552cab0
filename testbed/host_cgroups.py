"""A host's own directory in each of this machine's cgroup hierarchies: all of it lives there, and nothing of it elsewhere."""

from __future__ import annotations

import os
import signal
import time

from paddock.kernel.mounts import read_mounts

_FREEZE_TIMEOUT_S = 20.0
_REMOVE_TIMEOUT_S = 20.0


class HostCgroups:
    """`name` is the directory's. Nothing is touched before `make`."""

    def __init__(self, name: str) -> None:
        """The name begins with paddock."""
        self.name = name
        mounts = [mount for mount in read_mounts() if mount.fs_type in {"cgroup", "cgroup2"}]
        self.directories = tuple(dict.fromkeys(f"{mount.mount_point}/{name}" for mount in mounts))

    def make(self) -> None:
        """Ready to take processes: cpuset's wants its processors first."""
        for directory in self.directories:
            os.makedirs(directory, exist_ok=True)
            for file in ("cpuset.cpus", "cpuset.mems"):
                if os.path.exists(f"{directory}/{file}") and os.path.exists(f"{directory}/tasks"):
                    _write(f"{directory}/{file}", _read(f"{os.path.dirname(directory)}/{file}"))

    def freeze(self) -> None:
        """Nothing of the host runs when this returns. Raises TimeoutError."""
        self._set_frozen(frozen=True)

    def thaw(self) -> None:
        """Idempotent."""
        self._set_frozen(frozen=False)

    @property
    def is_frozen(self) -> bool:
        """Nobody who enters would run."""
        states = [_read(f"{each}/freezer.state") + _read(f"{each}/cgroup.freeze") for each in self.directories]
        return any(state in {"FROZEN", "FREEZING", "1"} for state in states)

    def _set_frozen(self, *, frozen: bool) -> None:
        v1 = next((each for each in self.directories if os.path.exists(f"{each}/freezer.state")), "")
        v2 = next((each for each in self.directories if os.path.exists(f"{each}/cgroup.freeze")), "")
        deadline_s = time.monotonic() + _FREEZE_TIMEOUT_S
        while time.monotonic() < deadline_s:
            if v1:
                _write(f"{v1}/freezer.state", "FROZEN" if frozen else "THAWED")
                done = _read(f"{v1}/freezer.state") == ("FROZEN" if frozen else "THAWED")
            else:
                _write(f"{v2}/cgroup.freeze", str(int(frozen)))
                done = f"frozen {int(frozen)}" in _read(f"{v2}/cgroup.events")
            if done:
                return
            time.sleep(0.01)
        raise TimeoutError(f"{v1 or v2} does not {'freeze' if frozen else 'thaw'}")

    def remove(self) -> None:
        """What still lives in them is killed: it is the host's. Raises TimeoutError naming one that stays. Idempotent."""
        if any(map(os.path.exists, self.directories)):
            # On v1 what is frozen does not even die.
            self.thaw()
        self._kill_all()
        deadline_s = time.monotonic() + _REMOVE_TIMEOUT_S
        for directory in self.directories:
            for path, _, _ in os.walk(directory, topdown=False):
                while not _is_removed(path):
                    if time.monotonic() > deadline_s:
                        raise TimeoutError(f"{path} cannot be removed: {_read(f'{path}/cgroup.procs')!r} live in it")
                    self._kill_all()
                    time.sleep(0.01)

    def _kill_all(self) -> None:
        for directory in self.directories:
            for path, _, _ in os.walk(directory):
                for pid in _read(f"{path}/cgroup.procs").split():
                    try:
                        os.kill(int(pid), signal.SIGKILL)
                    except ProcessLookupError:
                        continue


def _is_removed(path: str) -> bool:
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _write(path: str, value: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)
