"""How somebody else's process ended, and ending so oneself."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.docker import ended_process


@pytest.mark.parametrize(
    ("status", "expected"),
    [(0, 0), (7 << 8, 7), (255 << 8, 255), (9, -9), (15, -15), (11, -11), (11 | 0x80, -11)],
)
def test_one_ends_as_another_did(status: int, expected: int) -> None:
    code = f"from agentd.docker.ended_process import end_as; end_as({status})"
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == expected


@pytest.mark.parametrize("code", [0, 3, 127, 128, 200, 255])
def test_an_engines_exit_code_is_one(code: int) -> None:
    assert os.waitstatus_to_exitcode(ended_process.status_of_code(code)) == code


def test_an_engines_code_above_128_is_a_signal() -> None:
    assert ended_process.status_of_code(128 + 9) == 9
    assert ended_process.status_of_code(128 + 15) == 15


def test_the_kernel_tells_whoever_holds_the_pidfd_or_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import os; os.kill(os.getpid(), 15)"])
    pidfd = os.pidfd_open(process.pid)
    try:
        deadline_s = time.monotonic() + 20
        while not ended_process.has_ended(pidfd):
            assert time.monotonic() < deadline_s
            time.sleep(0.005)
        process.wait()
        # Kernels before 6.15 do not say.
        assert ended_process.wait_status(pidfd) in {signal.SIGTERM, None}
    finally:
        os.close(pidfd)


def test_a_process_is_known_by_its_cgroup() -> None:
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        mine = file.readline().strip().rpartition("/")[2]
    assert ended_process.is_in(os.getpid(), mine)
    assert not ended_process.is_in(os.getpid(), "0" * 64)
    assert not ended_process.is_in(2**22 + 1, mine)


def test_who_is_first_in_a_namespace_is_found_among_others(tmp_path: Path) -> None:
    assert ended_process.first_in(str(tmp_path)) == 0
    maker = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "sleep", "1000"])
    try:
        deadline_s = time.monotonic() + 20
        while not (children := Path(f"/proc/{maker.pid}/task/{maker.pid}/children").read_text().split()):
            assert time.monotonic() < deadline_s
            time.sleep(0.005)
        procs = tmp_path / "cgroup.procs"
        procs.write_text(f"{2**22 + 1}\n{os.getpid()}\n{maker.pid}\n")
        assert ended_process.first_in(str(tmp_path)) == 0
        procs.write_text(procs.read_text() + children[0] + "\n")
        assert ended_process.first_in(str(tmp_path)) == int(children[0])
    finally:
        maker.kill()
        maker.wait()


@given(st.integers(0, 7_258_118_400))
def test_the_engines_times_are_seconds_since_1970(moment_s: int) -> None:
    text = time.strftime("%Y-%m-%dT%H:%M:%S.123456789Z", time.gmtime(moment_s))
    assert ended_process.since_of(text) == f"&since={moment_s}.123456789"


@given(st.text(max_size=40))
def test_any_other_time_asks_for_everything(text: str) -> None:
    assert ended_process.since_of(text) == "" or ended_process.since_of(text).startswith("&since=")
