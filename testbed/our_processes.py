"""The daemons, launchers and shims that belong to one directory: their command line names it. Ended by pidfd."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack

DAEMONS = (b"agentd", b"masterd")
LAUNCHERS = (b"paddock/launch", b"paddock.launch")
"""Launchers and shims. What a command line of ours has besides the directory: somebody's `tail -f` of a log there is
not ours to end.
"""

_LAUNCHER_GRACE_S = 1.0


def pids_naming(directory: str, marks: tuple[bytes, ...] = DAEMONS + LAUNCHERS) -> Iterator[int]:
    """Every live process of ours that names the directory: its name is random, so it was started for it."""
    own = os.getpid()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != own and _names(int(name), directory, marks):
            yield int(name)


def _names(pid: int, directory: str, marks: tuple[bytes, ...]) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return False
    needle = os.fsencode(directory)
    program = os.path.basename(words[0])
    return (
        program.startswith((b"python", b"agentd", b"masterd"))
        and any(needle in word for word in words[1:])
        and any(mark in word.replace(needle, b"") for word in words for mark in marks)
    )


def end_all(directory: str, timeout_s: float) -> None:
    """SIGTERM, then SIGKILL to those left; the daemons first, because agentd replaces a launcher that ends.

    Until there are none: a launcher forks shims ahead of their use.
    """
    for marks, grace_s in ((DAEMONS, timeout_s), (LAUNCHERS, _LAUNCHER_GRACE_S)):
        while _end_found(directory, marks, grace_s):
            continue


def _end_found(directory: str, marks: tuple[bytes, ...], grace_s: float) -> bool:
    """Whether there were any."""
    with ExitStack() as stack:
        descriptors: set[int] = set()
        for pid in pids_naming(directory, marks):
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            stack.callback(os.close, descriptor)
            # Looked at again now that the pidfd holds it: a pid may have been given to somebody else in between.
            if _names(pid, directory, marks):
                descriptors.add(descriptor)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for descriptor in descriptors:
                _send(descriptor, number)
            if _all_ended(descriptors, grace_s):
                break
        return bool(descriptors)


def _send(descriptor: int, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return


def _all_ended(descriptors: set[int], timeout_s: float) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while descriptors:
        ended, _, _ = select.select(list(descriptors), [], [], max(deadline_s - time.monotonic(), 0))
        if not ended:
            return False
        descriptors = descriptors - set(ended)
    return True
