"""What the one-host cluster ends and removes: its own, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddock.model.errors import Unavailable
from testbed.daemon_process import DaemonProcess
from testbed.one_host import main
from testbed.our_processes import end_all, pids_naming

SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def start(processes: list[subprocess.Popen[bytes]], *words: str) -> subprocess.Popen[bytes]:
    processes.append(subprocess.Popen(words))
    return processes[-1]


def test_only_ours_are_ended(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    directory = str(tmp_path)
    ours = start(started, sys.executable, "-c", SLEEP, "agentd", f"--state-dir={directory}/agent")
    deaf = start(
        started,
        sys.executable,
        "-c",
        "import signal; signal.signal(15, signal.SIG_IGN); " + SLEEP,
        "paddock.launch",
        directory,
    )
    reader = start(started, "tail", "-f", "/dev/null", f"{directory}/agentd.log")
    elsewhere = start(started, sys.executable, "-c", SLEEP, "agentd", "--state-dir=/elsewhere")
    ended = set[int]()
    while not {ours.pid, deaf.pid} <= ended:  # A process is seen once it has exec'ed.
        ended |= set(pids_naming(directory))
    end_all(directory, 0.5)
    assert ours.wait() == -15
    assert deaf.wait() in {-15, -9}
    assert (reader.poll(), elsewhere.poll()) == (None, None)
    assert list(pids_naming(directory)) == []


def test_stop_refuses_what_is_no_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious").write_text("mine")
    assert main(["stop", str(tmp_path)]) == 2
    assert (tmp_path / "precious").exists()
    assert "is no directory of a one-host cluster" in capsys.readouterr().err


def test_a_daemon_that_ends_is_told_with_its_words(tmp_path: Path) -> None:
    process = DaemonProcess("masterd", ["--no-such-flag"], str(tmp_path))
    with pytest.raises(Unavailable, match=r"(?s)masterd ended with code \d+; the end of .*no-such-flag"):
        process.start()
    process.stop()
    assert process.stop() is not None
