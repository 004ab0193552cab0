"""One machine with cgroup v2 for all tests here, and the proof that it is gone afterwards."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.machine import Machine, booted


@pytest.fixture(scope="session", autouse=True)
def ended_by_sigterm() -> Iterator[None]:
    """Left to itself, SIGTERM would end pytest without the clean-up: as SIGINT it must leave nothing."""

    def end(_number: int, _frame: object) -> None:
        pytest.exit("SIGTERM", returncode=128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, end)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    with booted() as running:
        assert _machines_of_ours()
        yield running
    assert not _machines_of_ours(), "a qemu of ours outlives its block"


def _machines_of_ours() -> list[str]:
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            command = (directory / "cmdline").read_bytes()
            parent = int((directory / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"qemu-system" in command and parent == os.getpid():
            found.append(command.decode(errors="replace"))
    return found
