"""Daemons that are forked instead of started: ended, told and found like any others."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from testbed.our_processes import end_all, pids_naming
from tests.faults.stage import is_alive
from tests.faults.warm_start import WarmDaemon, WarmStarter


def test_its_daemons_are_found_and_end_as_they_ended(tmp_path: Path) -> None:
    """Also when the starter has gone before them."""
    (tmp_path / "empty.toml").touch()
    starter = WarmStarter(str(tmp_path))
    words = [str(tmp_path), "masterd", f"--config={tmp_path}/empty.toml", f"--state-dir={tmp_path}/state"]
    daemon = WarmDaemon(starter, "tests.faults.stopping", [*words, f"--listen=unix:{tmp_path}/m.sock"], str(tmp_path))
    refused = WarmDaemon(starter, "refused", [*words, "--no-such-flag"], str(tmp_path))
    try:
        daemon.start(60)
        assert {daemon.pid, starter.process.pid} <= set(pids_naming(str(tmp_path)))
        with pytest.raises(Exception, match="ended with code 2"):
            refused.start(60)
        assert refused.stop() == 2
        first = daemon.pid
        daemon.send(signal.SIGKILL)
        assert daemon.stop() == -signal.SIGKILL
        daemon.start(60)
        assert is_alive(daemon.pid)
        assert daemon.pid != first
        assert daemon.stop() == 0
        daemon.start(60)
        starter.stop()
        assert is_alive(daemon.pid)
        end_all(str(tmp_path), 10)
        assert daemon.stop() == -signal.SIGKILL
        assert not [*pids_naming(str(tmp_path))]
    finally:
        starter.stop()
        end_all(str(tmp_path), 10)
