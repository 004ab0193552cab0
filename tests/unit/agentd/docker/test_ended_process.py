"""How somebody else's process ended, and ending so oneself."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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


@pytest.fixture
def cgroup(tmp_path: Path) -> str:
    """The name of a cgroup that we are in; below `tmp_path` its counters."""
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        name = file.readline().strip().rpartition("/")[2]
    (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / name / "pids.events").write_text("max 1\n")
    return name


def test_who_is_held_gets_signals_and_leaves_its_counters(tmp_path: Path, cgroup: str) -> None:
    reads = [("pids/pids.events", str(tmp_path), "pids.events"), ("none", str(tmp_path), "none-such")]
    held = ended_process.Held()
    with subprocess.Popen(["sleep", "1000"]) as process:
        try:
            assert held.take(process.pid, cgroup, reads, has_init=False)
            assert (held.pid, held.main_pid, held.see_end(), held.counters) == (process.pid, process.pid, False, {})
            (tmp_path / cgroup / "pids.events").write_text("max 2\n")
            held.send([signal.SIGTERM])
            deadline_s = time.monotonic() + 20
            while not held.see_end():
                assert time.monotonic() < deadline_s
                time.sleep(0.005)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGTERM
    assert held.wait_status() in {signal.SIGTERM, None}
    assert held.counters == {"pids/pids.events": "max 2\n"}
    held.send([signal.SIGTERM])  # too late, and no error
    os.close(held.pidfd)


@pytest.mark.parametrize(
    ("line", "code", "expected"),
    [
        ("exit 137", 137, {137 << 8, 9}),
        ("kill -9 $$", 137, {9}),
        # What the init says of somebody else than who is held.
        ("exit 137", 143, {15}),
        ("exit 3", 3, {3 << 8}),
    ],
)
def test_what_is_behind_an_init_is_asked_for_itself(cgroup: str, line: str, code: int, expected: set[int]) -> None:
    """Kernels before 6.15 do not say; the init's word is taken then."""
    words = ["sh", "-c", f"sh -c 'echo begun; read x; {line}'; exit 0"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as init:
        assert init.stdout is not None
        assert init.stdout.readline() == b"begun\n"
        held = ended_process.Held()
        assert held.take(init.pid, cgroup, (), has_init=True)
        assert held.main_pid not in {0, init.pid}
    knows = held.wait_status() is not None
    status = held.status_behind_init(code)
    assert status in expected
    assert not knows or status == max(expected)
    os.close(held.pidfd)
    os.close(held._main_pidfd)


def test_who_is_not_reaped_is_waited_for_once(cgroup: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        held = ended_process.Held()
        assert held.take(process.pid, cgroup, (), has_init=False)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert held.wait_status() is None
        monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waits again"))
        assert held.wait_status() is None
        monkeypatch.undo()
    assert held.wait_status() in {signal.SIGKILL, None}
    os.close(held.pidfd)


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1])
def test_nobody_else_is_held(pid: int, cgroup: str) -> None:
    held = ended_process.Held()
    assert not held.take(pid, cgroup, (), has_init=False)
    assert not held.take(os.getpid(), "0" * 64, (), has_init=False)
    assert (held.pidfd, held.pid, held.see_end(), held.wait_status()) == (-1, 0, False, None)


def test_until_it_is_told_to_begin_runc_stands_in_a_containers_place(tmp_path: Path) -> None:
    waiting = tmp_path / "runc:[2:INIT]"
    waiting.symlink_to("/bin/sleep")
    for program, has_begun in (("/bin/sleep", True), (str(waiting), False)):
        with subprocess.Popen([program, "1000"]) as process:
            deadline_s = time.monotonic() + 20
            while "sleep" not in os.readlink(f"/proc/{process.pid}/exe"):
                assert time.monotonic() < deadline_s
            assert ended_process.has_begun(process.pid) is has_begun
            process.kill()
            process.wait()
            assert not ended_process.has_begun(process.pid), "nobody has not begun"
