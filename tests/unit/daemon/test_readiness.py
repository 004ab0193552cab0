"""What systemd hears."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddock.daemon.readiness import Readiness


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listener


def test_ready_and_stopping_are_said_and_children_inherit_nothing(heard: socket.socket) -> None:
    readiness = Readiness()
    assert "NOTIFY_SOCKET" not in os.environ
    readiness.ready("serving")
    readiness.stopping()
    assert heard.recv(100) == b"READY=1\nSTATUS=serving"
    assert heard.recv(100) == b"STOPPING=1"


async def test_the_watchdog_is_fed_at_half_its_interval(heard: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "40000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    feeding = asyncio.create_task(Readiness().keep_watchdog())
    heard.setblocking(False)
    begun_s = time.monotonic()
    async with asyncio.timeout(60):
        fed = [await asyncio.get_running_loop().sock_recv(heard, 100) for _ in range(4)]
    feeding.cancel()
    assert fed == [b"WATCHDOG=1"] * 4
    assert time.monotonic() - begun_s >= 0.04, "no oftener than twice in each"


async def test_a_watchdog_meant_for_another_process_is_not_fed(
    heard: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "40000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    await asyncio.wait_for(Readiness().keep_watchdog(), 60)


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Readiness().ready("serving")


def test_a_vanished_systemd_is_a_warning_and_not_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    Readiness().ready("serving")
    assert [record.message for record in caplog.records] == ["systemd could not be told"]
