"""Being told by the kernel: inotify, cgroup v1's eventfd."""

from __future__ import annotations

import ctypes
import os
import struct

from paddock.kernel.cgroup_files import open_directory, write_file
from paddock.kernel.errors import wrapped
from paddock.kernel.syscalls import failure, function

_inotify_init1 = function("inotify_init1", ctypes.c_int)
_inotify_add_watch = function("inotify_add_watch", ctypes.c_int, ctypes.c_char_p, ctypes.c_ulong)
_inotify_rm_watch = function("inotify_rm_watch", ctypes.c_int, ctypes.c_int)

IN_MODIFY = 0x2
IN_ATTRIB = 0x4
IN_MOVED_TO = 0x80
IN_DELETE_SELF = 0x400
_IN_NONBLOCK = os.O_NONBLOCK
_IN_CLOEXEC = os.O_CLOEXEC
_EVENT = struct.Struct("iIII")


class InotifyEvent:
    """`watch` is what `add_inotify_watch` returned; `mask` the IN_… bits."""

    __slots__ = ("mask", "name", "watch")

    def __init__(self, watch: int, mask: int, name: str) -> None:
        self.watch = watch
        self.mask = mask
        self.name = name


def open_inotify() -> int:
    """A non-blocking inotify descriptor."""
    fd = _inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
    if fd < 0:
        raise failure("inotify_init1")
    return fd


def add_inotify_watch(fd: int, path: str, mask: int = IN_MODIFY) -> int:
    """Watch one file; cgroup v2's events files say IN_MODIFY when a counter in them changes."""
    watch = _inotify_add_watch(fd, os.fsencode(path), mask)
    if watch < 0:
        raise failure("inotify_add_watch", path)
    return watch


def remove_inotify_watch(fd: int, watch: int) -> None:
    """End a watch; one whose file is gone has ended of itself."""
    _inotify_rm_watch(fd, watch)


def read_inotify(fd: int) -> tuple[InotifyEvent, ...]:
    """The events which have come; () when none has."""
    try:
        content = os.read(fd, 16384)
    except BlockingIOError:
        return ()
    except OSError as error:
        raise wrapped(error, "read", "inotify") from None
    return parse_inotify(content)


def parse_inotify(content: bytes) -> tuple[InotifyEvent, ...]:
    """The events in what was read; a cut-off last one is left out."""
    events = []
    offset = 0
    while offset + _EVENT.size <= len(content):
        watch, mask, _cookie, length = _EVENT.unpack_from(content, offset)
        offset += _EVENT.size
        events.append(InotifyEvent(watch, mask, os.fsdecode(content[offset : offset + length].rstrip(b"\0"))))
        offset += length
    return tuple(events)


def open_cgroup_event(directory: str, file: str, argument: str = "") -> int:
    """cgroup v1: a non-blocking eventfd that counts the file's events (memory.oom_control, pressure level, threshold)."""
    event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    directory_fd = file_fd = -1
    try:
        directory_fd = open_directory(directory)
        file_fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory_fd)
        line = f"{event_fd} {file_fd} {argument}".rstrip()
        write_file(directory_fd, "cgroup.event_control", line, directory)
    except OSError as error:
        os.close(event_fd)
        raise wrapped(error, "open", f"{directory}/{file}") from None
    finally:
        for fd in (directory_fd, file_fd):
            if fd >= 0:
                os.close(fd)
    return event_fd
