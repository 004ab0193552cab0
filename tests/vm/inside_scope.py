"""Runs inside the machine: launcher, shims and containers in one delegated scope of systemd, as agentd starts them there.

Not collected by name: tests/vm/test_cgroup2.py has it run where systemd is process 1 and the cgroups are v2.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentd.containerizer import launcher_process
from tests.kernel.launch import running
from tests.kernel.launch.running import Agent, Shim, is_running, wait_for

UNIT = "paddock-tasks.scope"
SCOPE = Path("/sys/fs/cgroup/system.slice") / UNIT
RUN_SCOPE = ["systemd-run", "--quiet", "--scope", "--unit=paddock-tasks", "--property=Delegate=yes", "--"]
# One write moves a process that is about to become a launcher into the living scope.
JOIN_SCOPE = ["sh", "-c", 'echo $$ > "$0"/launcher/cgroup.procs && exec "$@"']
# As agentd starts its launcher, but to become another program.
ENTER = [*launcher_process.isolated(launcher_process.ENTER), "/bin/sleep", "1000"]
SLEEPER = ["sh", "-c", "echo ready; exec sleep 1000"]
MEMORY_BYTES = 48 << 20


class ScopeMachine(running.Machine):
    """Everything of an agent is below the scope."""

    def roots(self, agent_id: str) -> dict[str, str]:
        return {"": str(SCOPE / f"paddock-{agent_id}")}


class ScopeAgent(Agent):
    """The launcher starts through systemd-run, or joins the scope when that is alive: systemd-run keeps its pid."""

    def start(self, flags: tuple[str, ...] = (), **options: Any) -> None:
        self.machine = ScopeMachine()
        root = self.machine.roots(self.agent_id)[""]
        prefix = [*JOIN_SCOPE, root] if SCOPE.exists() else RUN_SCOPE
        code = f"import sys; sys.path[:0] = [{str(running.ROOT)!r}]; from paddock.launch.launcher import main; main()"
        command = [
            *prefix,
            sys.executable,
            "-I",
            "-S",
            "-c",
            code,
            "--socket",
            self.socket,
            "--agent-id",
            self.agent_id,
        ]
        with (self.directory / "launcher.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, f"--cgroup-root={root}", *flags], stdout=log, stderr=log, stdin=subprocess.DEVNULL, **options
            )
        wait_for(lambda: self.process.poll() is not None or self.is_ready(), "the launcher does not answer")
        assert self.process.poll() is None, self.log()

    def sleeper(self) -> Shim:
        shim = self.launch(SLEEPER, limits={"memory_bytes": MEMORY_BYTES})
        shim.started()
        wait_for(lambda: shim.stdout() == b"ready\n", "the command says nothing")
        return shim


@pytest.fixture
def agent() -> Iterator[ScopeAgent]:
    made = ScopeAgent()
    try:
        yield made
        for shim in made.shims:
            with contextlib.suppress(BrokenPipeError):  # it has ended
                shim.control.send(b'{"op":"kill","seq":0,"grace_ms":0}')
        made.assert_clean()
    finally:
        made.close()
        systemctl("stop", UNIT, check=False)
        wait_for(lambda: not SCOPE.exists(), f"{SCOPE} stays")


def systemctl(*words: str, check: bool = True) -> str:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout.strip()


def cgroup_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::")


def assert_limited(shim: Shim) -> None:
    assert (shim.directory("memory") / "memory.max").read_text().strip() == str(MEMORY_BYTES)
    assert {"cpu", "memory", "pids"} <= set((shim.directory("") / "cgroup.controllers").read_text().split())


def test_launcher_shims_and_containers_are_siblings_in_the_scope(agent: ScopeAgent) -> None:
    shim = agent.sleeper()
    started = shim.started()
    agent_path = f"/system.slice/{UNIT}/paddock-{agent.agent_id}"
    assert cgroup_of(agent.process.pid) == f"{agent_path}/launcher"
    assert cgroup_of(started["shim_pid"]) == f"{agent_path}/launcher"
    assert cgroup_of(started["pid"]) == f"{agent_path}/{shim.plan['container_id']}"
    assert_limited(shim)


def test_a_killed_launcher_leaves_its_containers_and_the_next_one_joins(agent: ScopeAgent) -> None:
    shim = agent.sleeper()
    agent.kill_launcher()
    assert systemctl("is-active", UNIT) == "active"
    agent.start()
    assert cgroup_of(agent.process.pid).endswith(f"{UNIT}/paddock-{agent.agent_id}/launcher")
    assert agent.run(["true"]).record()["wait_status"] == 0
    assert shim.connect_ear().ask("state")["state"] == "running"
    assert_limited(shim)


def test_systemd_may_reload_and_start_itself_anew(agent: ScopeAgent) -> None:
    shim = agent.sleeper()
    for verb in ("daemon-reload", "daemon-reexec"):
        systemctl(verb)
        assert_limited(shim)
        assert agent.run(["true"]).record()["wait_status"] == 0
    assert is_running(shim.started()["pid"])


def test_stopping_the_scope_ends_the_tasks_and_their_records_are_written(agent: ScopeAgent) -> None:
    shims = [agent.sleeper() for _number in range(3)]
    systemctl("stop", UNIT)
    for shim in shims:
        record = shim.wait_record_file()
        assert record["wait_status"] == 15
        assert not record["supervisor_lost"]
    wait_for(lambda: not SCOPE.exists(), f"{SCOPE} stays")
    # And the next launcher makes the scope anew.
    agent.process.wait()
    agent.start()
    assert agent.run(["true"]).record()["wait_status"] == 0


@pytest.fixture
def entering() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Those who have gone the way into the scope; ended, with the scope, afterwards."""
    entered: list[subprocess.Popen[bytes]] = []
    try:
        yield entered
    finally:
        for process in entered:
            process.kill()
            process.wait()
        systemctl("stop", UNIT, check=False)
        subprocess.run(["find", SCOPE, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], check=False)
        wait_for(lambda: not SCOPE.exists(), f"{SCOPE} stays")


def enter(entered: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(ENTER)
    entered.append(process)
    return process


def wait_until_it_is_sleep(process: subprocess.Popen[bytes]) -> None:
    name = Path(f"/proc/{process.pid}/comm")
    wait_for(lambda: process.poll() is not None or name.read_text() == "sleep\n", "it does not enter")
    assert process.poll() is None


def assert_entered(process: subprocess.Popen[bytes]) -> None:
    """In a scope that systemd knows; by the time it answers, it has done what it had to do."""
    wait_until_it_is_sleep(process)
    assert systemctl("is-active", UNIT, check=False) == "active"
    assert cgroup_of(process.pid) == f"/system.slice/{UNIT}/launcher"


def test_a_scope_that_is_just_taken_away_is_held_or_made_anew(entering: list[subprocess.Popen[bytes]]) -> None:
    """The last one in it ends, and the next comes while systemd notices: a moment later each time, until it has noticed."""
    process = enter(entering)
    assert_entered(process)
    for late_ms in range(0, 60, 15):
        process.kill()
        process.wait()
        time.sleep(late_ms / 1000)
        process = enter(entering)
        assert_entered(process)


def test_two_that_come_at_one_moment_are_in_one_scope(entering: list[subprocess.Popen[bytes]]) -> None:
    for process in [enter(entering) for _ in range(2)]:
        assert_entered(process)


def test_a_scope_of_which_systemd_knows_nothing_is_made_anew(entering: list[subprocess.Popen[bytes]]) -> None:
    """Made by hand: so an older agent did it that had lost the race."""
    (SCOPE / "launcher").mkdir(parents=True)
    (SCOPE / "paddock-gone").mkdir()
    (SCOPE / "cgroup.subtree_control").write_text("+memory")
    assert_entered(enter(entering))
    assert not (SCOPE / "paddock-gone").exists()


def test_who_lives_in_a_scope_of_which_systemd_knows_nothing_is_not_left_alone(
    entering: list[subprocess.Popen[bytes]],
) -> None:
    """An older agent's containers: they cannot be moved, so the launcher goes where they are."""
    (SCOPE / "paddock-old").mkdir(parents=True)
    (SCOPE / "cgroup.subtree_control").write_text("+memory")
    old = subprocess.Popen(["sleep", "1000"])
    entering.append(old)
    (SCOPE / "paddock-old/cgroup.procs").write_text(str(old.pid))
    process = enter(entering)
    wait_until_it_is_sleep(process)
    assert cgroup_of(process.pid) == f"/system.slice/{UNIT}/launcher"
    assert cgroup_of(old.pid) == f"/system.slice/{UNIT}/paddock-old"
    assert old.poll() is None
