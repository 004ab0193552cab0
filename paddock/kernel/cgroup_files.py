"""Files of a cgroup directory, by directory descriptor, read and written by one system call each.

Never through a buffered file object: closing one hides EBUSY and EINVAL, the very answers that matter here.
"""

from __future__ import annotations

import errno
import os
import time
from itertools import islice

from paddock.kernel.errors import KernelError, wrapped

_READ_BYTES = 65536
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


def open_directory(path: str) -> int:
    """A descriptor of the cgroup directory."""
    try:
        return os.open(path, _DIRECTORY)
    except OSError as error:
        raise wrapped(error, "open", path) from None


def make_directory(path: str) -> bool:
    """Make one directory; False when it is there already."""
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        return False
    except OSError as error:
        raise wrapped(error, "mkdir", path) from None
    return True


def write_file(directory_fd: int, name: str, value: str, path: str = "") -> None:
    """Write the value in one system call; a refusal names the file (`path` is its directory, for the message)."""
    shown = f"{path}/{name}" if path else name
    try:
        fd = os.open(name, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=directory_fd)
    except OSError as error:
        raise wrapped(error, "open", shown, value) from None
    try:
        os.write(fd, value.encode())
    except OSError as error:
        raise wrapped(error, "write", shown, value) from None
    finally:
        os.close(fd)


def read_file(directory_fd: int, name: str, path: str = "") -> str:
    """The file's text, at most 64 KiB: more than any file of a cgroup that we read, save long lists of pids."""
    shown = f"{path}/{name}" if path else name
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=directory_fd)
    except OSError as error:
        raise wrapped(error, "open", shown) from None
    try:
        return os.read(fd, _READ_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise wrapped(error, "read", shown) from None
    finally:
        os.close(fd)


def read_pids(path: str, name: str) -> tuple[int, ...]:
    """Every pid in a `cgroup.procs` or `tasks` file, however long; () when the cgroup is gone."""
    pieces = []
    try:
        fd = os.open(f"{path}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise wrapped(error, "open", f"{path}/{name}") from None
    try:
        while piece := os.read(fd, _READ_BYTES):
            pieces.append(piece)
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise wrapped(error, "read", f"{path}/{name}") from None
    finally:
        os.close(fd)
    return tuple(int(pid) for pid in b"".join(pieces).split())


def list_subgroups(path: str) -> tuple[str, ...]:
    """This cgroup and all below it, the deepest first: what the task made itself comes before our own directory."""
    found = [path]
    index = 0
    while index < len(found):
        try:
            with os.scandir(found[index]) as entries:
                found.extend(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise wrapped(error, "scandir", found[index]) from None
        index += 1
    return tuple(reversed(found))


def list_children(path: str, most_count: int) -> tuple[str, ...]:
    """The cgroups right below, so many at most; none of one that is gone. Raises KernelError."""
    try:
        with os.scandir(path) as entries:
            below = (entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
            return tuple(islice(below, most_count))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise wrapped(error, "scandir", path) from None


def remove(path: str, timeout_s: float = 2.0) -> None:
    """Remove the cgroup and all below it; what is gone already is no error.

    Retries while the kernel is still letting go of the last process (EBUSY). Raises KernelError when the time is over.
    """
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return
    except OSError:
        pass
    else:
        return
    deadline_s = time.monotonic() + timeout_s
    pause_s = 0.0005
    while True:
        failure = _remove_once(path)
        if failure is None:
            return
        if failure.errno not in {errno.EBUSY, errno.ENOTEMPTY} or time.monotonic() > deadline_s:
            raise failure
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.05)


def _remove_once(path: str) -> KernelError | None:
    failure = None
    for directory in list_subgroups(path):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            failure = wrapped(error, "rmdir", directory)
    return failure
