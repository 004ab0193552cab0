"""File systems that become full, fail, hang or lose their power, really. A full one fails at the write or at the sync."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.agentd_process import TIME_SCALE

KINDS = ("write", "sync")
HANGING_S = 30.0 * TIME_SCALE
_SIZE_MIB = 6


class FullDisk:
    """Mounted at `path`. `fill` and `free` as often as one likes."""

    def __init__(self, path: Path, filler: Path, error: int) -> None:
        self.path = path
        self.error = error
        self._filler = filler

    def fill(self) -> None:
        with self._filler.open("ab", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while file.write(b"x" * size):
                        pass
                except OSError as error:
                    assert error.errno == errno.ENOSPC  # noqa: PT017

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)


@contextmanager
def full_disk(kind: str, directory: Path) -> Iterator[FullDisk]:
    """`write`: a small tmpfs. `sync`: ext2 in a file with holes, for whose blocks the file system below has no room."""
    path = directory / "disk"
    path.mkdir()
    if kind == "write":
        _mount("-t", "tmpfs", "-o", f"size={_SIZE_MIB}m,mode=755", "paddock-test", str(path))
        try:
            yield FullDisk(path, path / "filler", errno.ENOSPC)
        finally:
            unmount(path)
        return
    below = directory / "below"
    below.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={_SIZE_MIB}m,mode=700", "paddock-test", str(below))
    try:
        image = below / "image"
        with image.open("wb") as file:
            file.truncate(64 << 20)
        # A journal that cannot be written makes the whole file system read-only. And ext4 without one says at the first fsync
        # after such a loss, on Linux 6.18, that all is well: ext2 tells the truth.
        subprocess.run(["mkfs.ext2", "-q", image], check=True)
        _mount("-o", "loop", str(image), str(path))
        try:
            shutil.rmtree(path / "lost+found")
            yield FullDisk(path, below / "filler", errno.EIO)
        finally:
            unmount(path)
    finally:
        unmount(below)


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def unmount(path: Path) -> None:
    """Whoever used it lets go a moment after the end was told, a loop device of its file a moment after it is told to."""
    deadline_s = time.monotonic() + HANGING_S
    while subprocess.run(["umount", path], check=False, capture_output=True).returncode:
        assert time.monotonic() < deadline_s, f"{path} is still used: {os.listdir(path)}"
        time.sleep(0.02)
    path.rmdir()


class FailingDisk:
    """Read-write, then for ever read-only, as an ext4 is after an error; `repair` lets go of it and mounts it anew."""

    def __init__(self, path: Path, image: Path) -> None:
        self.path = path
        self._image = image

    def mount(self) -> None:
        self.path.mkdir()
        _mount("-o", "loop,errors=remount-ro", str(self._image), str(self.path))

    def fail(self) -> None:
        number = os.minor(self.path.stat().st_dev)
        Path(f"/sys/fs/ext4/loop{number}/trigger_fs_error").write_text("a test of ours")

    def repair(self) -> None:
        """Nobody may use it."""
        unmount(self.path)
        subprocess.run(["e2fsck", "-fy", self._image], check=False, capture_output=True)
        self.mount()


@contextmanager
def failing_disk(directory: Path) -> Iterator[FailingDisk]:
    image = directory / "image"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    disk = FailingDisk(directory / "disk", image)
    disk.mount()
    try:
        yield disk
    finally:
        unmount(disk.path)


@contextmanager
def power_cut(directory: Path, *, journal: bool) -> Iterator[tuple[Path, Callable[[], Path]]]:
    """An ext4, and what cuts its power: it returns where what was on the disk at this moment is mounted."""
    image, copy, disk, later = (directory / name for name in ("image", "copy", "disk", "later"))
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-O", "has_journal" if journal else "^has_journal", image], check=True)
    disk.mkdir()
    # Nothing is written by the clock: only what is synced.
    _mount("-o", "loop,commit=3600" if journal else "loop", str(image), str(disk))

    def cut() -> Path:
        shutil.copyfile(image, copy)
        later.mkdir()
        _mount("-o", "loop", str(copy), str(later))
        return later

    try:
        yield disk, cut
    finally:
        for path in (disk, later):
            if path.exists():
                unmount(path)


class HangingDisk:
    """Mounted at `path`. From `hang` to `go_on` whoever syncs waits, and nobody else; for HANGING_S at most."""

    def __init__(self, path: Path, below: Path) -> None:
        self.path = path
        self._below = below
        self._timer = threading.Timer(HANGING_S, self._thaw)

    def hang(self) -> None:
        """Once."""
        self._timer.start()
        subprocess.run(["fsfreeze", "--freeze", self._below], check=True)

    def go_on(self) -> None:
        """Once it hangs, or not."""
        self._timer.cancel()
        self._thaw()

    def _thaw(self) -> None:
        subprocess.run(["fsfreeze", "--unfreeze", self._below], check=False, capture_output=True)


@contextmanager
def hanging_disk(directory: Path) -> Iterator[HangingDisk]:
    """An ext4 in a file of another one: what that does not write hangs. Without a journal, which others would wait for."""
    with ExitStack() as stack:
        places = [directory / "below", directory / "disk"]
        for place, image, size_mib in zip(
            places, (directory / "below-image", places[0] / "image"), (64, 32), strict=True
        ):
            with image.open("wb") as file:
                file.truncate(size_mib << 20)
            subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", image], check=True)
            place.mkdir()
            _mount("-o", "loop", str(image), str(place))
            stack.callback(unmount, place)
        disk = HangingDisk(places[1], places[0])
        stack.callback(disk.go_on)
        yield disk
