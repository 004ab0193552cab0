"""The process that stands in for a container of the engine: its output, its signals, its end, whatever the engine does."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from agentd.docker import engine_life
from testbed.engine import images
from testbed.engine.engine import PATIENCE_S, Engine
from tests.engine.held import C1, COUNTED, COUNTING, Hold, wait_for
from tests.engine.listener import Listener

pytestmark = [pytest.mark.no_cgroups, pytest.mark.timeout(180)]


def has_ended(engine: Engine, engine_id: str) -> bool:
    with images.client(engine) as api:
        return bool(api.inspect_container(engine_id)["State"]["Status"] == "exited")


def test_output_and_exit_code_are_the_containers(engine: Engine, hold: Hold) -> None:
    held = hold(engine, "echo to stdout; echo to stderr >&2; exit 42")
    held.go()
    assert held.end() == 42
    assert held.output == {1: b"to stdout\n", 2: b"to stderr\n"}
    assert (held.note().engine_id, held.note().has_ended, held.note().problem) == (held.engine_id, True, "")


def test_a_signal_is_passed_on_and_ends_both_alike(engine: Engine, hold: Hold) -> None:
    held = (
        hold(engine, "trap 'echo asked; exit 7' USR1; echo ready; while true; do sleep 0.05; done").go().said(b"ready")
    )
    note = held.note()
    assert held.engine_id in Path(f"/proc/{note.pid}/cgroup").read_text()
    assert note.main_pid == note.pid
    held.process.send_signal(signal.SIGUSR1)
    assert held.end() == 7
    assert bytes(held.output[1]) == b"ready\nasked\n"


def test_whoever_kills_the_container_is_told_of_by_its_status(engine: Engine, hold: Hold) -> None:
    held = hold(engine, "echo ready; while true; do sleep 0.05; done").go().said(b"ready")
    os.kill(held.note().pid, signal.SIGKILL)
    assert held.end() == -signal.SIGKILL
    assert not held.note().engine_away


def test_an_engine_that_takes_a_moment_to_answer_is_there(engine: Engine, hold: Hold, tmp_path: Path) -> None:
    with Listener(engine, tmp_path / "socket") as listener:
        listener.delay("/_ping", lambda: time.sleep(0.4))
        held = hold(engine, "echo ready; sleep 0.5; exit 1", socket=listener.path).go()
        assert held.end() == 1
    assert "/_ping" in listener.heard
    assert (held.note().engine_away, held.note().engine_silent_ms) == (False, 0)


def test_behind_an_init_the_command_is_told_of(engine: Engine, hold: Hold) -> None:
    held = hold(engine, "echo ready; while true; do sleep 0.05; done", has_init=True).go().said(b"ready")
    note = held.note()
    assert Path(f"/proc/{note.main_pid}/comm").read_text() == "sh\n"
    assert Path(f"/proc/{note.pid}/comm").read_text() == "docker-init\n"
    held.process.send_signal(signal.SIGTERM)
    assert held.end() == -signal.SIGTERM


@pytest.mark.parametrize("has_init", [True, False])
def test_a_code_above_128_of_the_commands_own_is_no_signal(engine: Engine, hold: Hold, has_init: bool) -> None:
    script = "trap 'exit 137' USR1; echo ready; while true; do sleep 0.05; done"
    held = hold(engine, script, has_init=has_init).go().said(b"ready")
    # Linux tells since 6.15; before that nobody knows better than the engine, which says 137 for SIGKILL too.
    knows = tuple(int(number) for number in os.uname().release.split(".")[:2]) >= (6, 15)
    held.process.send_signal(signal.SIGUSR1)
    assert held.end() == (137 if knows else -signal.SIGKILL)


def test_an_oom_kill_is_read_before_the_engines_cgroup_is_gone(engine: Engine, hold: Hold) -> None:
    """By whoever is faster: on a busy machine that is the engine now and then, and the agent reads the kernel's log then."""
    found: list[str] = []
    while not found or (len(found) < 5 and "oom_kill 1\n" not in found[-1]):
        held = hold(engine, "echo ready; sleep 0.2; exec dd if=/dev/zero of=/dev/null bs=100M count=1").go()
        assert held.end() == -signal.SIGKILL
        found.append(held.note().counters.get("memory/memory.oom_control", ""))
        held.notes.forget(C1)
    assert "oom_kill 1\n" in found[-1]


def test_what_has_ended_before_it_was_looked_at_is_looked_at_once(engine: Engine, hold: Hold, tmp_path: Path) -> None:
    with Listener(engine, tmp_path / "socket") as listener:
        held = hold(engine, "echo short; exit 3", socket=listener.path)
        listener.delay("/start", lambda: wait_for(lambda: has_ended(engine, held.engine_id), "it has not ended"))
        held.go()
        assert held.end() == 3
    assert held.output[1] == b"short\n"
    assert held.note().has_ended
    assert held.note().writes, "what the engine said is known, though nobody was told of the start before the end"
    assert [path.rpartition("/")[2].partition("?")[0] for path in sorted(listener.heard)] == ["json", "logs", "start"]


def test_what_ends_while_it_is_looked_at_has_its_log_read_once(engine: Engine, hold: Hold, tmp_path: Path) -> None:
    """The engine has said that it runs; nobody can hold it any more."""
    with Listener(engine, tmp_path / "socket") as listener:
        held = hold(engine, "echo short; sleep 0.5; exit 3", socket=listener.path, counts=False)
        listener.delay("/json", lambda: wait_for(lambda: has_ended(engine, held.engine_id), "it has not ended"))
        held.go()
        assert held.end() == 3
    assert held.output[1] == b"short\n"
    assert sum("/logs" in path for path in listener.heard) == 1


@pytest.mark.parametrize("is_back", [True, False])
def test_what_ends_while_the_engine_is_slow_to_describe_it_is_told_in_time(
    engine: Engine, hold: Hold, tmp_path: Path, *, is_back: bool
) -> None:
    """Its shim is patient for ten seconds after a kill's grace. The wait is no part of the command's own time."""
    over = threading.Event()
    with Listener(engine, tmp_path / "socket") as listener:
        listener.delay("/json", lambda: wait_for(over.is_set, "the test has not ended"))
        held = hold(engine, "trap 'exit 3' TERM; echo ready; while true; do sleep 0.05; done", socket=listener.path)
        held.go()
        with images.client(engine) as api:
            wait_for(lambda: b"ready" in api.logs(held.engine_id), "it is not ready")
        try:
            held.process.send_signal(signal.SIGTERM)
            if is_back:
                wait_for(lambda: has_ended(engine, held.engine_id), "it has not obeyed")
                time.sleep(3)
                over.set()
            assert held.process.wait(PATIENCE_S) == 3
        finally:
            over.set()
    note = held.note()
    assert (note.has_ended, note.oom_killed) == (True, None)
    assert "pids/pids.events" in note.counters
    assert (2000 if is_back else 6000) < note.late_ms < 1000 * engine_life.STATUS_TIMEOUT_S / 2
    assert (bytes(held.output[1]), note.problem) == (b"ready\n", ""), "its log has come"


def test_what_the_engine_sends_readily_after_the_end_comes_whole_however_late_it_was_described(
    engine: Engine, hold: Hold, tmp_path: Path
) -> None:
    over = threading.Event()
    with Listener(engine, tmp_path / "socket") as listener:
        listener.delay("/json", lambda: wait_for(over.is_set, "the test has not ended"))
        try:
            held = hold(engine, "sleep 1; seq 1 60000", socket=listener.path).go()
            assert held.end() == 0
        finally:
            over.set()
    note = held.note()
    assert note.late_ms > 1000 * engine_life.LAST_OUTPUT_S, "it has waited for the description"
    assert bytes(held.output[1]) == b"".join(b"%d\n" % number for number in range(1, 60_001)), note.problem
    assert note.problem == ""


def test_an_engine_that_has_not_noticed_the_end_does_not_say_how_it_ended(engine: Engine, hold: Hold) -> None:
    """It says that it runs, and 0 for the code that it does not have yet."""
    script = "trap 'exit 3' TERM; echo ready; while true; do sleep 0.05; done"
    held = hold(engine, script, is_told=False).go().said(b"ready")
    engines_part = psutil.Process(held.note().pid).ppid()
    os.kill(engines_part, signal.SIGSTOP)
    try:
        held.process.send_signal(signal.SIGTERM)
        assert held.process.wait(PATIENCE_S) == 125
    finally:
        os.kill(engines_part, signal.SIGCONT)
    assert "the engine does not know how it ended" in held.note().problem


@pytest.mark.parametrize("is_killed", [True, False])
def test_who_alone_knows_how_it_ended_is_waited_for_unless_a_kill_is_under_way(
    hurt_engine: Engine, hold: Hold, *, is_killed: bool
) -> None:
    """Its shim ends a stand-in that takes longer than ten seconds: what else is known of the end would be lost with it."""
    script = "trap 'exit 3' USR1; echo ready; while true; do sleep 0.05; done"
    held = hold(hurt_engine, script, is_told=False).go().said(b"ready")
    pid = held.note().pid
    hurt_engine.pause()
    if is_killed:
        held.process.send_signal(signal.SIGUSR1)
        assert held.process.wait(PATIENCE_S) == 125
        assert "did not end its log" in held.note().problem
        assert "did not tell how it ended" in held.note().problem
    else:
        os.kill(pid, signal.SIGUSR1)
        wait_for(lambda: bool(held.note().counters), "nothing is known of its end")
        time.sleep(1)
        assert not held.note().has_ended, "an agent would have the engine remove it, and nobody could tell how it ended"
        hurt_engine.resume()
        assert held.end() == 3
    assert "pids/pids.events" in held.note().counters
    assert 6000 < held.note().late_ms < 1000 * engine_life.STATUS_TIMEOUT_S / 2


def test_to_end_before_it_begins(engine: Engine, hold: Hold) -> None:
    held = hold(engine, "echo no")
    time.sleep(0.2)
    held.process.send_signal(signal.SIGTERM)
    assert held.end() == -signal.SIGTERM
    assert held.notes.read(C1) is None
    assert held.output[1] == b""


def test_a_start_that_the_engine_refuses_is_told_in_its_words(engine: Engine, hold: Hold) -> None:
    held = hold(engine, "true")
    with images.client(engine) as api:
        api.remove_container(held.engine_id)
        created = api.create_container(
            images.BUSYBOX, ["/no/such/program"], host_config=api.create_host_config(network_mode="none")
        )
        held.engine_id = created["Id"]
    held.go()
    assert held.end() == 125
    note = held.note()
    assert note.failed is not None
    assert "/no/such/program" in note.failed
    assert note.failed_status == 400


def test_when_its_shim_is_gone_it_goes(engine: Engine, hold: Hold) -> None:
    """The sweep ends the container; without the stand-in's end its name would stay taken."""
    held = hold(engine, "echo ready; while true; do sleep 0.05; done").go().said(b"ready")
    held.close_pipes()
    assert held.process.wait(PATIENCE_S) == 1


def test_without_a_shim_from_the_start_it_leaves_nothing_of_its_own(engine: Engine, hold: Hold) -> None:
    """The agent may have cleaned up after the shim before the stand-in has come to anything."""
    held = hold(engine, "true")
    wait_for(lambda: os.path.exists(held.notes.wake_path(C1)), "it does not wait")
    held.close_pipes()
    assert held.process.wait(PATIENCE_S) == 1
    assert held.notes.left() == ()


@pytest.mark.parametrize("way", ["terminate", "kill", "pause"])
def test_output_has_no_gap_and_nothing_twice_over_an_engine_that_goes(
    hurt_engine: Engine, hold: Hold, way: str
) -> None:
    """With live-restore its containers go on, and so does everything about them but the engine's own answers."""
    hurt_engine.restart(live_restore=True)
    held = hold(hurt_engine, COUNTING).go().said(b"\n50\n")
    if way == "terminate":
        hurt_engine.restart()
    elif way == "kill":
        hurt_engine.kill()
        time.sleep(0.3)
        hurt_engine.start()
    else:
        hurt_engine.pause()
        time.sleep(0.5)
        hurt_engine.resume()
    assert held.end() == 0
    assert bytes(held.output[1]) == (held.logged() if way == "kill" else COUNTED)
    assert bytes(held.output[1]).endswith(b"\n199\n200\n")
    assert bytes(held.output[2]) == b"end\n"
    assert held.note().problem == ""


def test_an_engine_that_ends_its_containers_is_told_as_what_it_was(hurt_engine: Engine, hold: Hold) -> None:
    held = (
        hold(hurt_engine, "trap 'echo asked; exit 3' TERM; echo ready; while true; do sleep 0.05; done")
        .go()
        .said(b"ready")
    )
    hurt_engine.terminate()
    hurt_engine.start()
    assert held.end() == 3
    assert bytes(held.output[1]) == b"ready\nasked\n"
    assert held.note().engine_away


def test_an_engine_that_comes_back_without_live_restore_has_ended_it(hurt_engine: Engine, hold: Hold) -> None:
    held = hold(hurt_engine, "echo ready; while true; do sleep 0.05; done").go().said(b"ready")
    hurt_engine.kill()
    hurt_engine.start()
    assert held.end() == -signal.SIGKILL
    assert held.note().engine_away


def test_what_ends_by_itself_while_its_engine_hangs_is_told_with_that(hurt_engine: Engine, hold: Hold) -> None:
    script = "trap 'exit 3' USR1; echo ready; while true; do sleep 0.05; done"
    held = hold(hurt_engine, script).go().said(b"ready")
    hurt_engine.pause()
    os.kill(held.note().pid, signal.SIGUSR1)
    wait_for(lambda: not Path(f"/proc/{held.note().pid}/stat").exists(), "it does not end")
    # So long, and what a busy machine takes to ask.
    time.sleep(engine_life.SILENT_AFTER_S + 4)
    hurt_engine.resume()
    assert held.end() == 3
    assert (held.note().engine_away, held.note().engine_silent_ms) == (False, 2000)
