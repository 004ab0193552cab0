"""The process that stands in for a container of the engine: its output, its signals, its end, whatever the engine does."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentd.containerizer.docker import stand_in_command
from agentd.docker import ended_process
from agentd.docker.notes import Note, Notes
from agentd.docker.stand_in_order import order_words
from paddock.kernel import cgroup_files
from paddock.model.ids import ContainerId
from testbed.engine import images
from testbed.engine.engine import API_VERSION, PATIENCE_S, Engine
from tests.engine.listener import Listener

pytestmark = [pytest.mark.no_cgroups, pytest.mark.timeout(180)]

C1 = ContainerId("c1")


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.01)


def has_ended(engine: Engine, engine_id: str) -> bool:
    with images.client(engine) as api:
        return bool(api.inspect_container(engine_id)["State"]["Status"] == "exited")


class Held:
    """A container of the engine and the process that stands in for it, whose pipes are ours as they would be a shim's."""

    def __init__(
        self, engine: Engine, directory: Path, script: str, *, has_init: bool = False, socket: Path | None = None
    ) -> None:
        self.engine = engine
        self.notes = Notes(f"{directory}/notes")
        self.notes.make()
        with images.client(engine) as api:
            host = api.create_host_config(
                network_mode="none", init=has_init, mem_limit="64m", cgroup_parent=f"/{engine.name}/{C1}"
            )
            command = ["/bin/sh", "-c", script]
            created = api.create_container(images.BUSYBOX, command, host_config=host, stop_signal="SIGTERM")
        self.engine_id: str = created["Id"]
        directory_of = {point: f"/sys/fs/cgroup/{point}/{engine.name}/{C1}" for point in ("memory", "pids")}
        order = order_words(
            socket=str(socket or engine.socket),
            api=API_VERSION,
            go=self.notes.go_path(C1),
            wake=self.notes.wake_path(C1),
            note=self.notes.note_path(C1),
            reads=[
                ("memory/memory.oom_control", directory_of["memory"], "memory.oom_control"),
                ("pids/pids.events", directory_of["pids"], "pids.events"),
            ],
            has_init=has_init,
        )
        self.process = subprocess.Popen(stand_in_command(order), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.output = {1: bytearray(), 2: bytearray()}
        self._is_deaf = threading.Event()
        self._readers = [
            threading.Thread(target=self._read, args=(stream, number))
            for number, stream in ((1, self.process.stdout), (2, self.process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: object, number: int) -> None:
        fd = stream.fileno()  # type: ignore[attr-defined]
        while not self._is_deaf.is_set():
            if select.select([fd], [], [], 0.05)[0]:
                piece = os.read(fd, 65_536)
                if not piece:
                    return
                self.output[number] += piece

    def go(self) -> Held:
        self.notes.go(C1, self.engine_id)
        return self

    def said(self, words: bytes) -> Held:
        wait_for(lambda: words in self.output[1], f"it has not said {words!r}: {self.output}")
        return self

    def close_pipes(self) -> None:
        """As the end of a shim does."""
        self._is_deaf.set()
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def end(self) -> int:
        code = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join()
        return code

    def note(self) -> Note:
        found = self.notes.read(C1)
        assert found is not None
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.close_pipes()
        self.engine.heal()
        with images.client(self.engine) as api:
            api.remove_container(self.engine_id, force=True)


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Callable[..., Held]]:
    made: list[Held] = []

    def make(engine: Engine, script: str, *, has_init: bool = False, socket: Path | None = None) -> Held:
        made.append(Held(engine, tmp_path, script, has_init=has_init, socket=socket))
        return made[-1]

    yield make
    for each in made:
        each.close()
    for point in Path("/sys/fs/cgroup").iterdir():
        for each in made:
            cgroup_files.remove(str(point / each.engine.name / C1))


Hold = Callable[..., Held]


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


def test_behind_an_init_the_command_is_told_of(engine: Engine, hold: Hold) -> None:
    held = hold(engine, "echo ready; while true; do sleep 0.05; done", has_init=True).go().said(b"ready")
    note = held.note()
    assert Path(f"/proc/{note.main_pid}/comm").read_text() == "sh\n"
    assert Path(f"/proc/{note.pid}/comm").read_text() == "docker-init\n"
    held.process.send_signal(signal.SIGTERM)
    assert held.end() == -signal.SIGTERM


def test_an_oom_kill_is_read_before_the_engines_cgroup_is_gone(engine: Engine, hold: Hold) -> None:
    held = hold(engine, "echo ready; sleep 0.2; exec dd if=/dev/zero of=/dev/null bs=100M count=1").go()
    assert held.end() == -signal.SIGKILL
    assert "oom_kill 1\n" in held.note().counters["memory/memory.oom_control"]


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


COUNTING = "i=0; while test $i -lt 200; do i=$((i+1)); echo $i; sleep 0.005; done; echo end >&2"
COUNTED = b"".join(b"%d\n" % number for number in range(1, 201))


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
    assert bytes(held.output[1]) == COUNTED
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
                os.rmdir(f"/sys/fs/cgroup/{point}/{engine.name}/{C1}/{held.engine_id}")
    assert sum(path.endswith("/start") for path in listener.heard) == 1, "what runs is not started"


def first_in(held: Held) -> int:
    return ended_process.first_in(f"/sys/fs/cgroup/memory/{held.engine.name}/{C1}/{held.engine_id}")


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
    assert bytes(held.output[1]) == COUNTED
    assert bytes(held.output[2]) == b"end\n"
    assert (held.note().failed, held.note().problem) == (None, "")
