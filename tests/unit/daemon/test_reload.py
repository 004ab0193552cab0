"""SIGHUP: what is safe changes, the rest is named, and what is wrong changes nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from paddock.daemon.readiness import Readiness
from paddock.daemon.reload import Reload
from paddock.daemon.settings import TEXT, setting
from paddock.model.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Some:
    safe: str = setting("a", "may change", TEXT, reloads=True)
    fixed_s: str = setting("a", "may not", TEXT, name="fixed")


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listener


class Reloaded:
    """A reload whose file says what the test wants next."""

    def __init__(self) -> None:
        self.wanted: Some | ConfigError = Some()
        self.applied: list[Some] = []
        self.reload = Reload(Some(), load=self._load, apply=self._apply, readiness=Readiness(), status="it serves")

    def _apply(self, settings: Some) -> None:
        if settings.safe == "cannot be":
            raise ConfigError(("safe: it cannot be",))
        self.applied.append(settings)

    def _load(self) -> Some:
        if isinstance(self.wanted, ConfigError):
            raise self.wanted
        return self.wanted


def status(heard: socket.socket) -> str:
    assert heard.recv(500).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    ready = heard.recv(500).decode()
    assert ready.startswith("READY=1\nSTATUS=")
    return ready.removeprefix("READY=1\nSTATUS=")


def test_a_safe_setting_is_in_force(heard: socket.socket) -> None:
    each = Reloaded()
    each.wanted = Some(safe="b")
    each.reload.run()
    assert each.applied == [Some(safe="b")]
    assert status(heard) == "it serves"


def test_one_that_needs_a_restart_is_named_as_it_is_written_and_stays_as_it_was(
    heard: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    each = Reloaded()
    each.wanted = Some(safe="b", fixed_s="b")
    for _ in range(2):
        # Again, as long as it is so.
        each.reload.run()
        assert each.applied[-1] == Some(safe="b")
        assert status(heard) == "it serves; a restart is needed for fixed"
    assert "settings that need a restart are not in force" in caplog.text
    each.wanted = Some(safe="b")
    each.reload.run()
    assert status(heard) == "it serves"


def test_a_configuration_that_is_wrong_changes_nothing(heard: socket.socket) -> None:
    each = Reloaded()
    each.wanted = ConfigError(("safe: no\nsecond line",))
    each.reload.run()
    assert each.applied == []
    assert status(heard).startswith("it serves; the reload was refused: ")


def test_what_cannot_be_put_in_force_is_as_wrong_and_stays_out(heard: socket.socket) -> None:
    each = Reloaded()
    each.wanted = Some(safe="cannot be", fixed_s="b")
    each.reload.run()
    assert status(heard).startswith("it serves; the reload was refused: safe: it cannot be")
    each.wanted = Some(safe="b")
    each.reload.run()
    assert each.applied == [Some(safe="b")]
    assert status(heard) == "it serves"
