"""A start of which the engine has not told: lost on the way, asked of nobody, or cut off by the engine's own death."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from agentd.docker import ended_process
from paddock.kernel import cgroup_files
from testbed.engine import images
from testbed.engine.engine import PATIENCE_S, Engine
from tests.engine.held import C1, COUNTING, Held, Hold, first_in, wait_for
from tests.engine.listener import Listener

pytestmark = [pytest.mark.no_cgroups, pytest.mark.timeout(180)]

ONCE = "trap 'exit 3' TERM; echo ready; while true; do sleep 0.05; done"


@pytest.mark.parametrize("answer", [False, True])
def test_a_start_whose_answer_is_lost_is_looked_for_and_happens_once(
    engine: Engine, hold: Hold, tmp_path: Path, *, answer: bool
) -> None:
    """Lost before the engine has heard of it, or after it has done it."""
    with Listener(engine, tmp_path / "socket") as listener:
        listener.lose("/start", answer=answer)
        held = hold(engine, ONCE, socket=listener.path).go().said(b"ready")
        assert sum(path.endswith("/start") for path in listener.heard) == (1 if answer else 2)
        held.process.send_signal(signal.SIGTERM)
        assert held.end() == 3
    assert held.output[1] == b"ready\n"
    assert (held.note().failed, held.note().has_ended) == (None, True)


def test_an_engine_that_is_away_is_waited_for(hurt_engine: Engine, hold: Hold) -> None:
    held = hold(hurt_engine, "echo ready; exit 4")
    hurt_engine.kill()
    held.go()
    time.sleep(0.3)
    assert held.process.poll() is None
    hurt_engine.start()
    assert held.end() == 4
    assert held.output[1] == b"ready\n"
    assert not held.note().engine_away, "it was, but not any more when it was asked again"


def test_an_end_that_nobody_saw_after_a_start_that_was_cut_off_is_told_with_that(
    engine: Engine, hold: Hold, tmp_path: Path
) -> None:
    """Who has ended it is not known: an engine that stops ends what has not become the command yet with code 2."""

    def has_ended() -> bool:
        with images.client(engine) as api:
            return bool(api.inspect_container(held.engine_id)["State"]["Status"] == "exited")

    with Listener(engine, tmp_path / "socket") as listener:
        listener.lose("/start", answer=True)
        listener.delay("/start", lambda: wait_for(has_ended, "it has not ended"))
        held = hold(engine, "exit 2", socket=listener.path)
        assert held.go().end() == 2
    assert held.note().engine_away


def test_who_is_to_end_while_its_engine_is_away_is_never_started(hurt_engine: Engine, hold: Hold) -> None:
    held = hold(hurt_engine, "echo no")
    hurt_engine.kill()
    held.go()
    time.sleep(0.3)
    held.process.send_signal(signal.SIGTERM)
    assert held.end() == -signal.SIGTERM
    assert held.notes.read(C1) is None, "it was ended, and did not fail"
    hurt_engine.start()
    with images.client(hurt_engine) as api:
        assert api.inspect_container(held.engine_id)["State"]["Status"] == "created"


def test_a_signal_that_comes_before_a_lost_start_is_known_of_is_passed_on(
    engine: Engine, hold: Hold, tmp_path: Path
) -> None:
    def send() -> None:
        with images.client(engine) as api:
            wait_for(lambda: b"ready" in api.logs(held.engine_id), "it is not ready")
        held.process.send_signal(signal.SIGUSR1)

    with Listener(engine, tmp_path / "socket") as listener:
        listener.lose("/start", answer=True)
        listener.delay("/start", send)
        script = "trap 'exit 7' USR1; echo ready; while true; do sleep 0.05; done"
        held = hold(engine, script, socket=listener.path).go()
        assert held.end() == 7
    assert held.output[1] == b"ready\n"
    assert held.note().failed is None


def placed(held: Held) -> subprocess.Popen[bytes]:
    """A process, the first of its PID namespace, where the engine would put that of the container: and it has started none."""
    directories = [f"/sys/fs/cgroup/{point}/{held.engine.name}/{C1}/{held.engine_id}" for point in ("memory", "pids")]
    for directory in directories:
        os.makedirs(directory)
    enter = "; ".join(f"echo $$ > {directory}/cgroup.procs" for directory in directories)
    return subprocess.Popen(["sh", "-c", f"{enter}; exec unshare --pid --fork --kill-child sh -c 'sleep 1000; exit 9'"])


def test_what_runs_without_the_engines_knowledge_is_held_all_the_same(
    engine: Engine, hold: Hold, tmp_path: Path
) -> None:
    """An engine that is killed between a start and its own note of it calls the container `created` ever after."""
    with Listener(engine, tmp_path / "socket") as listener:
        listener.lose("/start", answer=False)
        held = hold(engine, "echo no", socket=listener.path)
        outer = placed(held)
        try:
            wait_for(lambda: first_in(held) > 0, "it is not there")
            held.go()
            wait_for(lambda: held.notes.read(C1) is not None, "it was not taken for started")
            assert held.note().pid == first_in(held)
            held.process.send_signal(signal.SIGTERM)
            os.kill(first_in(held), signal.SIGKILL)
            assert held.end() == -signal.SIGKILL
            assert held.note().has_ended
        finally:
            outer.kill()
            outer.wait()
            for point in ("memory", "pids"):
                cgroup_files.remove(f"/sys/fs/cgroup/{point}/{engine.name}/{C1}/{held.engine_id}", PATIENCE_S)
    assert sum(path.endswith("/start") for path in listener.heard) == 1, "what runs is not started"


def test_an_engine_that_is_killed_as_its_container_begins_costs_nothing(hurt_engine: Engine, hold: Hold) -> None:
    """Whether it had noted the start by then or not: in the second case it says `created` from then on."""
    hurt_engine.restart(live_restore=True)
    held = hold(hurt_engine, COUNTING).go()
    deadline_s = time.monotonic() + PATIENCE_S
    while not ended_process.has_begun(first_in(held)):
        assert time.monotonic() < deadline_s
    hurt_engine.kill()
    hurt_engine.start()
    assert held.end() == 0
    assert bytes(held.output[1]) == held.logged()
    assert held.logged().endswith(b"\n199\n200\n")
    assert bytes(held.output[2]) == b"end\n"
    assert (held.note().failed, held.note().problem) == (None, "")
