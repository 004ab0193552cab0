"""Real processes, listed in a directory that stands for a cgroup."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentd.containerizer.holders import describe_holders

CLONE, EXIT = {"x86_64": (56, 60)}.get(os.uname().machine, (220, 93))
CLONE_VFORK = 0x4000
SLEEPING = f"import ctypes; ctypes.CDLL(None).syscall({CLONE}, {CLONE_VFORK} | 17, 0, 0, 0, 0)"
"""Its parent is in D state until this child executes something, or ends; the child never gets what its parent holds."""

IN_A_THREAD = f"""
import ctypes, threading
def sleep():
    {SLEEPING}
    import time
    time.sleep(1000)
threading.Thread(target=sleep).start()
ctypes.CDLL(None).syscall({EXIT}, 0)
"""


@contextmanager
def running(code: str) -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", code], start_new_session=True) as process:
        try:
            yield process.pid
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def described(directory: Path, pids: list[int], wanted: str) -> str:
    """As soon as what is wanted, a regular expression, is said: a process that begins is in other states first."""
    (directory / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
    deadline_s = time.monotonic() + 20
    while not re.search(wanted, text := describe_holders([str(directory)])):
        assert time.monotonic() < deadline_s, text
        time.sleep(0.01)
    return text


def test_a_process_is_named_with_its_state_and_what_it_waits_for(tmp_path: Path) -> None:
    with running("import time; time.sleep(1000)") as pid:
        described(tmp_path, [pid], rf"^process {pid} \(python[^ ]*\) is in state S \(sleeping\), waits in ")
    assert described(tmp_path, [pid], "") == ""


def test_who_cannot_be_killed_is_named_first_and_not_all_are_named(tmp_path: Path) -> None:
    code = "import time; time.sleep(1000)"
    held = f"{SLEEPING}; {code}"
    with running(code) as a, running(code) as b, running(code) as c, running(held) as last:
        wanted = (
            rf"^process {last} [^;]* is in state D \(uninterruptible\), waits in (.*process ){{2}}[^;]*; and 1 more$"
        )
        text = described(tmp_path, [a, b, c, last], wanted)
    assert text.count("process ") == 3


def test_a_thread_that_is_held_counts_though_the_first_has_ended(tmp_path: Path) -> None:
    with running(IN_A_THREAD) as pid:
        await_zombie(pid)
        described(tmp_path, [pid], rf"^process {pid} \(python[^;]* is in state D")


def await_zombie(pid: int) -> None:
    deadline_s = time.monotonic() + 20
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline_s, "its first thread has not ended"
        time.sleep(0.01)
