"""The daemons, launchers and shims that belong to one directory: their command line names it. Ended by pidfd."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack

OURS = (b"agentd", b"masterd", b"paddock/launch", b"paddock.launch")
"""What a command line of ours has besides the directory: somebody's `tail -f` of a log there is not ours to end."""


def pids_naming(directory: str) -> Iterator[int]:
    """Every live process of ours that names the directory: its name is random, so it was started for it."""
    own = os.getpid()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != own and _names(int(name), directory):
            yield int(name)


def _names(pid: int, directory: str) -> bool:
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
        and any(mark in word.replace(needle, b"") for word in words for mark in OURS)
    )


def end_all(directory: str, timeout_s: float) -> tuple[int, ...]:
    """SIGTERM to all of them, SIGKILL to those left, then wait. Returns those that were there."""
    with ExitStack() as stack:
        descriptors: dict[int, int] = {}
        for pid in pids_naming(directory):
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            stack.callback(os.close, descriptor)
            # Looked at again now that the pidfd holds it: a pid may have been given to somebody else in between.
            if _names(pid, directory):
                descriptors[pid] = descriptor
        for number in (signal.SIGTERM, signal.SIGKILL):
            for descriptor in descriptors.values():
                _send(descriptor, number)
            if _all_ended(set(descriptors.values()), timeout_s):
                break
        return tuple(descriptors)


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
