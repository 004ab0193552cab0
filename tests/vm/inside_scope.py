"""Runs inside the machine: launcher, shims and containers in one delegated scope of systemd, as agentd starts them there.

Not collected by name: tests/vm/test_cgroup2.py has it run where systemd is process 1 and the cgroups are v2.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.launch import running
from tests.kernel.launch.running import Agent, Shim, is_running, wait_for

UNIT = "paddock-tasks.scope"
SCOPE = Path("/sys/fs/cgroup/system.slice") / UNIT
RUN_SCOPE = ["systemd-run", "--quiet", "--scope", "--unit=paddock-tasks", "--property=Delegate=yes", "--"]
# One write moves a process that is about to become a launcher into the living scope.
JOIN_SCOPE = ["sh", "-c", 'echo $$ > "$0"/launcher/cgroup.procs && exec "$@"']
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
        wait_for(lambda: self.process.poll() is not None or self.is_ready(), 3, "the launcher does not answer")
        assert self.process.poll() is None, self.log()

    def sleeper(self) -> Shim:
        shim = self.launch(SLEEPER, limits={"memory_bytes": MEMORY_BYTES})
        shim.started()
        wait_for(lambda: shim.stdout() == b"ready\n", 5, "the command says nothing")
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
        wait_for(lambda: not SCOPE.exists(), 10, f"{SCOPE} stays")


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
    wait_for(lambda: not SCOPE.exists(), 10, f"{SCOPE} stays")
    # And the next launcher makes the scope anew.
    agent.process.wait()
    agent.start()
    assert agent.run(["true"]).record()["wait_status"] == 0
